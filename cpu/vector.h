/* A vector is one register of floats: sixteen with AVX-512, eight with AVX2, four with SSE2 or NEON. This file is
 * compiled once for each instruction set (see isa.h), and all of lanes with it.
 *
 * Multiply-adds are asked for by name, because -ffp-contract=off never makes them. They are fused wherever the
 * processor can, which is everywhere but in the baseline of x86-64. */
#ifndef CPU_VECTOR_H
#define CPU_VECTOR_H

#include <stdint.h>
#include <string.h>

#if defined __AVX512F__
#include <immintrin.h>
enum { LANES = 16, REGISTERS = 32 };
#elif defined __AVX2__ && defined __FMA__
#include <immintrin.h>
enum { LANES = 8, REGISTERS = 16 };
#elif defined __SSE2__
#include <immintrin.h>
enum { LANES = 4, REGISTERS = 16 };
#elif defined __aarch64__
#include <arm_neon.h>
enum { LANES = 4, REGISTERS = 32 };
#else
enum { LANES = 4, REGISTERS = 16 };
#endif

/* Sums over samples go by groups of sixteen, whatever the vector holds: a group is PARTS vectors, and all
 * instruction sets add in one order. */
enum { GROUP = 16, PARTS = GROUP / LANES };

#define VECTOR_INLINE static inline __attribute__((always_inline))

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef float vec_aligned __attribute__((vector_size(4 * LANES), may_alias)); /* as it lies among floats */
typedef float vec_anywhere __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

VECTOR_INLINE vec vec_load(const float *from) { return *(const vec_aligned *)from; }
VECTOR_INLINE void vec_store(float *to, vec a) { *(vec_aligned *)to = a; }
VECTOR_INLINE vec vec_load_anywhere(const float *from) { return *(const vec_anywhere *)from; }
VECTOR_INLINE void vec_store_anywhere(float *to, vec a) { *(vec_anywhere *)to = a; }
VECTOR_INLINE vec vec_zero(void) { return (vec){ 0 }; }

/* A vector that several multiply-adds use is loaded once: GCC would make it an operand in memory of each. */
#if defined __AVX512F__
#define VEC_HELD(a) __asm__("" : "+v"(a))
#elif defined __SSE2__
#define VEC_HELD(a) __asm__("" : "+x"(a))
#elif defined __aarch64__
#define VEC_HELD(a) __asm__("" : "+w"(a))
#else
#define VEC_HELD(a) ((void)0)
#endif

/* One bit a lane: as it is stored (lane_bits), and as the processor selects by it (lane_mask: a mask register, or
 * all bits of a lane). */
#if defined __AVX512F__

typedef uint16_t lane_bits;
typedef __mmask16 lane_mask;

VECTOR_INLINE vec vec_all(float a) { return (vec)_mm512_set1_ps(a); }
VECTOR_INLINE vec vec_fma(vec a, vec b, vec c) { return (vec)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c); }
VECTOR_INLINE vec vec_sqrt(vec a) { return (vec)_mm512_sqrt_ps((__m512)a); }
VECTOR_INLINE lane_bits mask_bits(lane_mask mask) { return mask; }
VECTOR_INLINE lane_mask mask_of(unsigned bits) { return (lane_mask)bits; }
VECTOR_INLINE lane_mask vec_greater(vec a, vec b) { return _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_GT_OQ); }
VECTOR_INLINE lane_mask vec_is_nan(vec a) { return _mm512_cmp_ps_mask((__m512)a, (__m512)a, _CMP_UNORD_Q); }
VECTOR_INLINE vec vec_select(lane_mask mask, vec yes, vec no)
{
    return (vec)_mm512_mask_blend_ps(mask, (__m512)no, (__m512)yes);
}

VECTOR_INLINE vec vec_keep(lane_mask mask, vec a) { return (vec)_mm512_maskz_mov_ps(mask, (__m512)a); }

#else

typedef uint8_t lane_bits;
typedef int32_t lane_mask __attribute__((vector_size(4 * LANES)));

VECTOR_INLINE lane_mask vec_greater(vec a, vec b) { return a > b; }
VECTOR_INLINE lane_mask vec_is_nan(vec a) { return a != a; }
VECTOR_INLINE vec vec_keep(lane_mask mask, vec a) { return (vec)(mask & (lane_mask)a); }

#if defined __AVX2__

VECTOR_INLINE vec vec_all(float a) { return (vec)_mm256_set1_ps(a); }
VECTOR_INLINE vec vec_fma(vec a, vec b, vec c) { return (vec)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c); }
VECTOR_INLINE vec vec_sqrt(vec a) { return (vec)_mm256_sqrt_ps((__m256)a); }
VECTOR_INLINE lane_bits mask_bits(lane_mask mask) { return (lane_bits)_mm256_movemask_ps((__m256)mask); }

VECTOR_INLINE vec vec_select(lane_mask mask, vec yes, vec no)
{
    return (vec)_mm256_blendv_ps((__m256)no, (__m256)yes, (__m256)mask);
}

VECTOR_INLINE lane_mask mask_of(unsigned bits)
{
    const lane_mask lane = { 1, 2, 4, 8, 16, 32, 64, 128 };
    return (lane_mask)(((lane_mask)_mm256_set1_epi32((int)bits) & lane) == lane);
}

#else

VECTOR_INLINE vec vec_all(float a) { return (vec){ a, a, a, a }; }

VECTOR_INLINE vec vec_select(lane_mask mask, vec yes, vec no)
{
    return (vec)((mask & (lane_mask)yes) | (~mask & (lane_mask)no));
}

VECTOR_INLINE lane_mask mask_of(unsigned bits)
{
    const lane_mask lane = { 1, 2, 4, 8 }, all = { (int)bits, (int)bits, (int)bits, (int)bits };
    return (lane_mask)((all & lane) == lane);
}

#if defined __aarch64__

VECTOR_INLINE vec vec_fma(vec a, vec b, vec c)
{
    return (vec)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
}

VECTOR_INLINE vec vec_sqrt(vec a) { return (vec)vsqrtq_f32((float32x4_t)a); }

VECTOR_INLINE lane_bits mask_bits(lane_mask mask)
{
    return (lane_bits)vaddvq_s32((int32x4_t)(mask & (lane_mask){ 1, 2, 4, 8 }));
}

#else

VECTOR_INLINE vec vec_fma(vec a, vec b, vec c) { return a * b + c; }

VECTOR_INLINE vec vec_sqrt(vec a)
{
    for (int i = 0; i < LANES; i++)
        a[i] = __builtin_sqrtf(a[i]);
    return a;
}

VECTOR_INLINE lane_bits mask_bits(lane_mask mask)
{
#ifdef __SSE2__
    return (lane_bits)_mm_movemask_ps((__m128)mask);
#else
    return (lane_bits)((mask[0] & 1) | (mask[1] & 2) | (mask[2] & 4) | (mask[3] & 8));
#endif
}

#endif
#endif
#endif

enum { ALL_BITS = (1 << LANES) - 1 };

/* a where it is positive or NaN, else 0; *passes says where its gradient passes. */
VECTOR_INLINE vec vec_relu(vec a, lane_mask *passes)
{
    *passes = vec_greater(a, vec_zero());
    return vec_keep(*passes | vec_is_nan(a), a);
}

/* Of a group, part by part: a[0], a[step] and so on. What lies eight lanes apart is added, then four apart. */
VECTOR_INLINE vec vec_parts(const vec *a, size_t step)
{
    if (PARTS == 1)
        return a[0];
    if (PARTS == 2)
        return a[0] + a[step];
    return (a[0] + a[2 % PARTS * step]) + (a[step] + a[3 % PARTS * step]);
}

/* The sum over the lanes: what lies eight apart first, then four, two, one. */
VECTOR_INLINE float vec_sum(vec a)
{
    float lane[LANES];
    memcpy(lane, &a, sizeof lane);
    for (int n = LANES / 2; n > 0; n /= 2)
        for (int i = 0; i < n; i++)
            lane[i] += lane[i + n];
    return lane[0];
}

/* vec_sum of as many vectors as a vector has lanes, each in its lane: rounds that halve the vectors and add their
 * halves. */
VECTOR_INLINE vec vec_sums(const vec a[LANES])
{
#if defined __AVX512F__
    __m512 b[8], c[4], d[2];
    for (int i = 0; i < 8; i++) { /* halves of a[j] and a[j + 4] */
        const __m512 x = (__m512)a[i / 4 * 8 + i % 4], y = (__m512)a[i / 4 * 8 + i % 4 + 4];
        b[i] = _mm512_add_ps(_mm512_shuffle_f32x4(x, y, 0x44), _mm512_shuffle_f32x4(x, y, 0xee));
    }
    for (int i = 0; i < 4; i++) /* quarters of a[i], a[i + 4], a[i + 8], a[i + 12] */
        c[i] = _mm512_add_ps(_mm512_shuffle_f32x4(b[i], b[i + 4], 0x88), _mm512_shuffle_f32x4(b[i], b[i + 4], 0xdd));
    for (int i = 0; i < 2; i++) {
        const __m512d x = (__m512d)c[2 * i], y = (__m512d)c[2 * i + 1];
        d[i] = _mm512_add_ps((__m512)_mm512_unpacklo_pd(x, y), (__m512)_mm512_unpackhi_pd(x, y));
    }
    return (vec)_mm512_add_ps(_mm512_shuffle_ps(d[0], d[1], 0x88), _mm512_shuffle_ps(d[0], d[1], 0xdd));
#elif defined __AVX2__
    __m256 c[4], d[2];
    for (int i = 0; i < 4; i++) { /* halves of a[i] and a[i + 4] */
        const __m256 x = (__m256)a[i], y = (__m256)a[i + 4];
        c[i] = _mm256_add_ps(_mm256_permute2f128_ps(x, y, 0x20), _mm256_permute2f128_ps(x, y, 0x31));
    }
    for (int i = 0; i < 2; i++) {
        const __m256d x = (__m256d)c[2 * i], y = (__m256d)c[2 * i + 1];
        d[i] = _mm256_add_ps((__m256)_mm256_unpacklo_pd(x, y), (__m256)_mm256_unpackhi_pd(x, y));
    }
    return (vec)_mm256_add_ps(_mm256_shuffle_ps(d[0], d[1], 0x88), _mm256_shuffle_ps(d[0], d[1], 0xdd));
#else
    vec d[2];
    for (int i = 0; i < 2; i++) {
        const vec x = a[2 * i], y = a[2 * i + 1];
        d[i] = __builtin_shufflevector(x, y, 0, 1, 4, 5) + __builtin_shufflevector(x, y, 2, 3, 6, 7);
    }
    return __builtin_shufflevector(d[0], d[1], 0, 2, 4, 6) + __builtin_shufflevector(d[0], d[1], 1, 3, 5, 7);
#endif
}

/* Only the first n floats, which may be any number. */
VECTOR_INLINE void vec_store_first(float *to, vec a, int n)
{
    if (n >= LANES)
        vec_store_anywhere(to, a);
    else if (n > 0)
        memcpy(to, &a, (size_t)n * sizeof *to);
}

/* rows[i][j] and rows[j][i] change places. */
static inline void vec_transpose(vec rows[LANES])
{
#if defined __AVX512F__
    __m512 a[LANES], b[LANES];
    for (int i = 0; i < 8; i++) {
        a[2 * i] = _mm512_unpacklo_ps((__m512)rows[2 * i], (__m512)rows[2 * i + 1]);
        a[2 * i + 1] = _mm512_unpackhi_ps((__m512)rows[2 * i], (__m512)rows[2 * i + 1]);
    }
    for (int i = 0; i < 4; i++) {
        b[4 * i] = (__m512)_mm512_unpacklo_pd((__m512d)a[4 * i], (__m512d)a[4 * i + 2]);
        b[4 * i + 1] = (__m512)_mm512_unpackhi_pd((__m512d)a[4 * i], (__m512d)a[4 * i + 2]);
        b[4 * i + 2] = (__m512)_mm512_unpacklo_pd((__m512d)a[4 * i + 1], (__m512d)a[4 * i + 3]);
        b[4 * i + 3] = (__m512)_mm512_unpackhi_pd((__m512d)a[4 * i + 1], (__m512d)a[4 * i + 3]);
    }
    for (int i = 0; i < 4; i++) { /* b[4 q + i], quarter k: column 4 k + i of rows 4 q to 4 q + 3 */
        const __m512 even01 = _mm512_shuffle_f32x4(b[i], b[4 + i], 0x88);
        const __m512 odd01 = _mm512_shuffle_f32x4(b[i], b[4 + i], 0xdd);
        const __m512 even23 = _mm512_shuffle_f32x4(b[8 + i], b[12 + i], 0x88);
        const __m512 odd23 = _mm512_shuffle_f32x4(b[8 + i], b[12 + i], 0xdd);
        rows[i] = (vec)_mm512_shuffle_f32x4(even01, even23, 0x88);
        rows[4 + i] = (vec)_mm512_shuffle_f32x4(odd01, odd23, 0x88);
        rows[8 + i] = (vec)_mm512_shuffle_f32x4(even01, even23, 0xdd);
        rows[12 + i] = (vec)_mm512_shuffle_f32x4(odd01, odd23, 0xdd);
    }
#elif defined __AVX2__
    __m256 a[LANES], b[LANES];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        a[2 * i] = _mm256_unpacklo_ps((__m256)rows[2 * i], (__m256)rows[2 * i + 1]);
        a[2 * i + 1] = _mm256_unpackhi_ps((__m256)rows[2 * i], (__m256)rows[2 * i + 1]);
    }
#pragma GCC unroll 2
    for (int i = 0; i < 2; i++) {
        b[4 * i] = _mm256_shuffle_ps(a[4 * i], a[4 * i + 2], 0x44);
        b[4 * i + 1] = _mm256_shuffle_ps(a[4 * i], a[4 * i + 2], 0xee);
        b[4 * i + 2] = _mm256_shuffle_ps(a[4 * i + 1], a[4 * i + 3], 0x44);
        b[4 * i + 3] = _mm256_shuffle_ps(a[4 * i + 1], a[4 * i + 3], 0xee);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        rows[i] = (vec)_mm256_permute2f128_ps(b[i], b[4 + i], 0x20);
        rows[4 + i] = (vec)_mm256_permute2f128_ps(b[i], b[4 + i], 0x31);
    }
#else
    const vec low01 = __builtin_shufflevector(rows[0], rows[1], 0, 4, 1, 5);
    const vec high01 = __builtin_shufflevector(rows[0], rows[1], 2, 6, 3, 7);
    const vec low23 = __builtin_shufflevector(rows[2], rows[3], 0, 4, 1, 5);
    const vec high23 = __builtin_shufflevector(rows[2], rows[3], 2, 6, 3, 7);
    rows[0] = __builtin_shufflevector(low01, low23, 0, 1, 4, 5);
    rows[1] = __builtin_shufflevector(low01, low23, 2, 3, 6, 7);
    rows[2] = __builtin_shufflevector(high01, high23, 0, 1, 4, 5);
    rows[3] = __builtin_shufflevector(high01, high23, 2, 3, 6, 7);
#endif
}

#endif
