/* Sixteen floats as one value: an AVX-512 register where there are any, otherwise what the compiler makes of two or four smaller ones.
 *
 * Fused multiply-adds are asked for by name, because -std=c11 never makes them by itself. Comparisons give one bit a lane. */
#ifndef CPU_VECTOR_H
#define CPU_VECTOR_H

#include <stdint.h>
#include <string.h>

#ifdef __FMA__
#include <immintrin.h>
#endif

#ifndef __AVX512F__
#pragma GCC diagnostic ignored "-Wpsabi" /* these never cross an object file's border by value */
#endif

enum { LANES = 16 };

#define VECTOR_INLINE static inline __attribute__((always_inline))

typedef float v16 __attribute__((vector_size(64)));
typedef float v16_aligned __attribute__((vector_size(64), may_alias)); /* as it lies among floats */
typedef float v16_anywhere __attribute__((vector_size(64), aligned(4), may_alias));

VECTOR_INLINE v16 v16_load(const float *from) { return *(const v16_aligned *)from; }
VECTOR_INLINE void v16_store(float *to, v16 a) { *(v16_aligned *)to = a; }
VECTOR_INLINE v16 v16_load_anywhere(const float *from) { return *(const v16_anywhere *)from; }
VECTOR_INLINE void v16_store_anywhere(float *to, v16 a) { *(v16_anywhere *)to = a; }
VECTOR_INLINE v16 v16_zero(void) { return (v16){ 0 }; }
VECTOR_INLINE v16 v16_all(float a) { return (v16){ a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a }; }

#ifdef __AVX512F__

VECTOR_INLINE v16 v16_fma(v16 a, v16 b, v16 c) { return (v16)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c); }
VECTOR_INLINE uint16_t v16_greater(v16 a, v16 b) { return _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_GT_OQ); }
VECTOR_INLINE uint16_t v16_is_nan(v16 a) { return _mm512_cmp_ps_mask((__m512)a, (__m512)a, _CMP_UNORD_Q); }
VECTOR_INLINE v16 v16_select(uint16_t mask, v16 yes, v16 no) { return (v16)_mm512_mask_blend_ps(mask, (__m512)no, (__m512)yes); }
VECTOR_INLINE v16 v16_keep(uint16_t mask, v16 a) { return (v16)_mm512_maskz_mov_ps(mask, (__m512)a); }
VECTOR_INLINE v16 v16_sqrt(v16 a) { return (v16)_mm512_sqrt_ps((__m512)a); }

#else

VECTOR_INLINE v16 v16_fma(v16 a, v16 b, v16 c)
{
#ifdef __FMA__
    union { v16 all; __m256 half[2]; } x = { a }, y = { b }, z = { c };
    z.half[0] = _mm256_fmadd_ps(x.half[0], y.half[0], z.half[0]);
    z.half[1] = _mm256_fmadd_ps(x.half[1], y.half[1], z.half[1]);
    return z.all;
#elif defined __FP_FAST_FMAF
    for (int i = 0; i < LANES; i++)
        c[i] = __builtin_fmaf(a[i], b[i], c[i]);
    return c;
#else
    return a * b + c;
#endif
}

VECTOR_INLINE uint16_t v16_greater(v16 a, v16 b)
{
    unsigned mask = 0;
    for (int i = 0; i < LANES; i++)
        mask |= (unsigned)(a[i] > b[i]) << i;
    return (uint16_t)mask;
}

VECTOR_INLINE uint16_t v16_is_nan(v16 a)
{
    unsigned mask = 0;
    for (int i = 0; i < LANES; i++)
        mask |= (unsigned)(a[i] != a[i]) << i;
    return (uint16_t)mask;
}

VECTOR_INLINE v16 v16_select(uint16_t mask, v16 yes, v16 no)
{
    for (int i = 0; i < LANES; i++)
        no[i] = mask >> i & 1 ? yes[i] : no[i];
    return no;
}

VECTOR_INLINE v16 v16_keep(uint16_t mask, v16 a) { return v16_select(mask, a, v16_zero()); }

VECTOR_INLINE v16 v16_sqrt(v16 a)
{
    for (int i = 0; i < LANES; i++)
        a[i] = __builtin_sqrtf(a[i]);
    return a;
}

#endif

/* a where it is positive or NaN, else 0; *mask says where its gradient passes. */
VECTOR_INLINE v16 v16_relu(v16 a, uint16_t *mask)
{
    *mask = v16_greater(a, v16_zero());
    return v16_keep(*mask | v16_is_nan(a), a);
}

/* Pairwise, so always in the same order. */
VECTOR_INLINE float v16_sum(v16 a)
{
    float lane[LANES];
    memcpy(lane, &a, sizeof lane);
    for (int n = LANES / 2; n > 0; n /= 2)
        for (int i = 0; i < n; i++)
            lane[i] += lane[i + n];
    return lane[0];
}

/* The sums over the lanes of sixteen vectors, in sixteen lanes: four rounds that each halve the vectors and add neighbours. */
VECTOR_INLINE v16 v16_sums(const v16 a[LANES])
{
#ifdef __AVX512F__
    __m512 b[8], c[4], d[2];
    for (int i = 0; i < 8; i++) { /* lanes of 2i and 2i+1, alternating */
        __m512 even = _mm512_unpacklo_ps((__m512)a[i], (__m512)a[i + 8]), odd = _mm512_unpackhi_ps((__m512)a[i], (__m512)a[i + 8]);
        b[i] = _mm512_add_ps(even, odd);
    }
    for (int i = 0; i < 4; i++) {
        __m512 low = _mm512_unpacklo_ps(b[i], b[i + 4]), high = _mm512_unpackhi_ps(b[i], b[i + 4]);
        c[i] = _mm512_add_ps(low, high);
    }
    for (int i = 0; i < 2; i++)
        d[i] = _mm512_add_ps(_mm512_shuffle_f32x4(c[i], c[i + 2], 0x88), _mm512_shuffle_f32x4(c[i], c[i + 2], 0xdd));
    __m512 e = _mm512_add_ps(_mm512_shuffle_f32x4(d[0], d[1], 0x88), _mm512_shuffle_f32x4(d[0], d[1], 0xdd));
    /* quarter q of e holds a[q'], a[q' + 4], ...: see the order of the pairs above */
    return (v16)_mm512_permutexvar_ps(_mm512_setr_epi32(0, 8, 4, 12, 1, 9, 5, 13, 2, 10, 6, 14, 3, 11, 7, 15), e);
#else
    v16 sums;
    for (int i = 0; i < LANES; i++)
        sums[i] = v16_sum(a[i]);
    return sums;
#endif
}

/* Only the first n floats, which may be any number. */
VECTOR_INLINE void v16_store_first(float *to, v16 a, int n)
{
    if (n >= LANES)
        v16_store_anywhere(to, a);
    else if (n > 0)
        memcpy(to, &a, (size_t)n * sizeof *to);
}

/* rows[i][j] and rows[j][i] change places. */
static inline void v16_transpose(v16 rows[LANES])
{
#ifdef __AVX512F__
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
        __m512 even01 = _mm512_shuffle_f32x4(b[i], b[4 + i], 0x88), odd01 = _mm512_shuffle_f32x4(b[i], b[4 + i], 0xdd);
        __m512 even23 = _mm512_shuffle_f32x4(b[8 + i], b[12 + i], 0x88), odd23 = _mm512_shuffle_f32x4(b[8 + i], b[12 + i], 0xdd);
        rows[i] = (v16)_mm512_shuffle_f32x4(even01, even23, 0x88);
        rows[4 + i] = (v16)_mm512_shuffle_f32x4(odd01, odd23, 0x88);
        rows[8 + i] = (v16)_mm512_shuffle_f32x4(even01, even23, 0xdd);
        rows[12 + i] = (v16)_mm512_shuffle_f32x4(odd01, odd23, 0xdd);
    }
#else
    for (int i = 0; i < LANES; i++)
        for (int j = 0; j < i; j++) {
            float swap = rows[i][j];
            rows[i][j] = rows[j][i];
            rows[j][i] = swap;
        }
#endif
}

#endif
