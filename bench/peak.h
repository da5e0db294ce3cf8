/* The most multiply-adds that this core does with an instruction set, in GFLOP/s: a loop of independent ones in registers. */
#ifndef BENCH_PEAK_H
#define BENCH_PEAK_H

#include "base/door.h"
#include "cpu/isa.h"

#ifdef __x86_64__
#include <immintrin.h>

enum { PEAK_CHAINS = 12, PEAK_TURNS = 100000 };

/* The asm keeps the compiler from knowing that all sums are equal, and from leaving any out. */
#define PEAK_LOOP(name, target_name, type, all, fma) \
    __attribute__((target(target_name))) static double name(void) \
    { \
        type sum[PEAK_CHAINS], a = all(1.0f), b = all(0.0f); \
        _Pragma("GCC unroll 12") for (int i = 0; i < PEAK_CHAINS; i++) { \
            sum[i] = all(0.0f); \
            __asm__ volatile("" : "+x"(sum[i])); \
        } \
        for (int turn = 0; turn < PEAK_TURNS; turn++) { \
            _Pragma("GCC unroll 12") for (int i = 0; i < PEAK_CHAINS; i++) \
                sum[i] = fma(a, b, sum[i]); \
            __asm__ volatile("" : "+x"(a), "+x"(b)); \
        } \
        _Pragma("GCC unroll 12") for (int i = 0; i < PEAK_CHAINS; i++) \
            __asm__ volatile("" : "+x"(sum[i])); \
        return 2.0 * PEAK_CHAINS * PEAK_TURNS * (double)(sizeof(type) / sizeof(float)); \
    }

#define PEAK_SSE(a, b, c) _mm_add_ps(_mm_mul_ps(a, b), c)
PEAK_LOOP(peak_base, "sse2", __m128, _mm_set1_ps, PEAK_SSE)
PEAK_LOOP(peak_v3, "avx2,fma", __m256, _mm256_set1_ps, _mm256_fmadd_ps)
PEAK_LOOP(peak_v4, "avx512f", __m512, _mm512_set1_ps, _mm512_fmadd_ps)

/* The best of several loops. */
static inline double peak_gflops(enum isa isa)
{
    double most = 0;
    for (int i = 0; i < 20; i++) {
        const int64_t begin = door_now_ns();
        const double operations = isa == ISA_V4 ? peak_v4() : isa == ISA_V3 ? peak_v3() : peak_base();
        const double now = operations / (double)(door_now_ns() - begin);
        most = now > most ? now : most;
    }
    return most;
}

#else

static inline double peak_gflops(enum isa isa) { return (void)isa, 0; }

#endif
#endif
