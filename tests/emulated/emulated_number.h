/* Numbers of the emulated libraries: fp32, bf16 and fp16 elements as floats. Rounding is to the nearest even. */
#ifndef TESTS_EMULATED_NUMBER_H
#define TESTS_EMULATED_NUMBER_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum number { NUMBER_FP32, NUMBER_BF16, NUMBER_FP16 };

static inline size_t number_bytes(enum number kind) { return kind == NUMBER_FP32 ? 4 : 2; }

static inline float number_load(const void *from, int64_t i, enum number kind)
{
    if (kind == NUMBER_FP32)
        return ((const float *)from)[i];
    if (kind == NUMBER_FP16) {
        _Float16 half;
        memcpy(&half, (const char *)from + 2 * i, sizeof half);
        return (float)half;
    }
    uint32_t bits = (uint32_t)((const uint16_t *)from)[i] << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline void number_store(void *to, int64_t i, float value, enum number kind)
{
    if (kind == NUMBER_FP32) {
        ((float *)to)[i] = value;
    } else if (kind == NUMBER_FP16) {
        const _Float16 half = (_Float16)value;
        memcpy((char *)to + 2 * i, &half, sizeof half);
    } else {
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        ((uint16_t *)to)[i] = (uint16_t)(value != value ? bits >> 16 | 0x40 : (bits + 0x7fff + (bits >> 16 & 1)) >> 16);
    }
}

static inline float number_round(float value, enum number kind)
{
    if (kind == NUMBER_FP32)
        return value;
    uint16_t narrow;
    number_store(&narrow, 0, value, kind);
    return number_load(&narrow, 0, kind);
}

/* What a tensor core makes of an fp32 operand: ten bits of fraction. */
static inline float number_tf32(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if ((bits & 0x7f800000) == 0x7f800000)
        return value;
    bits = (bits + 0xfff + (bits >> 13 & 1)) & ~(uint32_t)0x1fff;
    memcpy(&value, &bits, sizeof value);
    return value;
}

#endif
