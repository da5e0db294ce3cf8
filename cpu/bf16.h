/* bfloat16: the upper half of a float. Inside cpu/ only.
 *
 * Rounds to the nearest, of two equally near to the even one; what is too large for it becomes infinite, a NaN stays a (quiet) NaN. In
 * integers, so that every machine gives the same bits: the processor's own conversion takes subnormal numbers for 0. */
#ifndef CPU_BF16_H
#define CPU_BF16_H

#include <stdint.h>
#include <string.h>

static inline float bf16_widen(uint16_t a)
{
    uint32_t bits = (uint32_t)a << 16;
    float wide;
    memcpy(&wide, &bits, sizeof wide);
    return wide;
}

static inline uint16_t bf16_narrow(float a)
{
    uint32_t bits;
    memcpy(&bits, &a, sizeof bits);
    uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16, quiet = bits >> 16 | 0x40;
    return (uint16_t)(a != a ? quiet : rounded);
}

#endif
