/* IEEE 754's binary16: 1 bit of sign, 5 of exponent, 10 of fraction; the largest is 65504, the smallest 2^-24. Inside cpu/ only.
 *
 * Rounds to the nearest, of two equally near to the even one; what is too large for it becomes infinite, subnormal numbers stay, a NaN stays a
 * (quiet) NaN. In integers, so that every machine gives the same bits. */
#ifndef CPU_FP16_H
#define CPU_FP16_H

#include <stdint.h>
#include <string.h>

static inline float fp16_widen(uint16_t a)
{
    const uint32_t sign = (uint32_t)(a & 0x8000) << 16, exponent = a >> 10 & 31, fraction = a & 0x3ff;
    uint32_t bits = sign | (exponent == 31 ? 0x7f800000 : (exponent + 112) << 23) | fraction << 13;
    float wide;
    if (exponent == 0) {
        const float subnormal = (float)fraction * 0x1p-24f;
        memcpy(&bits, &subnormal, sizeof bits);
        bits |= sign;
    }
    memcpy(&wide, &bits, sizeof wide);
    return wide;
}

/* value >> shift, rounded. */
static inline uint32_t fp16_shift(uint32_t value, int shift) { return (value + (1u << (shift - 1)) - 1 + (value >> shift & 1)) >> shift; }

static inline uint16_t fp16_narrow(float a)
{
    enum { BIAS = 112, FRACTION = 13, NORMAL = 0x38800000, INFINITE = 0x7f800000, TOO_LARGE = 0x47800000 };
    uint32_t bits;
    memcpy(&bits, &a, sizeof bits);
    const uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    bits &= 0x7fffffff;
    if (bits > INFINITE)
        return (uint16_t)(sign | 0x7e00 | (bits >> FRACTION & 0x3ff));
    if (bits >= TOO_LARGE)
        return sign | 0x7c00;
    if (bits >= NORMAL) /* from 65520 on the carry makes it infinite */
        return (uint16_t)(sign | fp16_shift(bits - ((uint32_t)BIAS << 23), FRACTION));
    const int shift = 126 - (int)(bits >> 23); /* of the significand, to count in 2^-24 */
    return (uint16_t)(sign | (shift > 24 ? 0 : fp16_shift((bits & 0x7fffff) | 0x800000, shift)));
}

#endif
