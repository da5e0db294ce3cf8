/* One sample's random numbers, in turn: a pure function of (key, sample). */
#ifndef DATA_DRAWS_H
#define DATA_DRAWS_H

#include "base/philox.h"

#include <stddef.h>
#include <string.h>

struct draws { uint64_t key, sample, block; int left; struct philox_block words; };

static inline uint32_t draw(struct draws *draws)
{
    if (draws->left == 0) {
        draws->words = philox(draws->key, draws->sample, draws->block++);
        draws->left = 4;
    }
    return draws->words.word[--draws->left];
}

static inline float draw_between(struct draws *draws, float low, float high) { return low + (high - low) * uniform_float(draw(draws)); }

/* n: a multiple of 16. */
static inline void draw_bytes(struct draws *draws, uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i += sizeof draws->words) {
        struct philox_block words = philox(draws->key, draws->sample, draws->block++);
        memcpy(bytes + i, &words, sizeof words);
    }
}

#endif
