/* What dropout draws: the same for every CPU backend, whatever its layout. Inside cpu/ only.
 *
 * An element's word is a function of (seed, epoch, layer, sample number, element), elements counted in C, H, W order; one block of
 * random words serves four elements in a row. */
#ifndef CPU_DROPOUT_H
#define CPU_DROPOUT_H

#include "base/philox.h"
#include "nets/backend.h"

static inline uint64_t dropout_key(const struct dropout_args *args, const struct step *step)
{
    return philox_key(philox_key(step->seed, hash_name("dropout") + args->id), (uint64_t)step->epoch);
}

/* The words of elements 4 quad .. 4 quad + 3 of a sample. */
static inline struct philox_block dropout_words(uint64_t key, int64_t sample, size_t quad) { return philox(key, (uint64_t)sample, quad); }

static inline bool dropout_keeps(uint32_t word, float p) { return uniform_float(word) >= p; }

/* 0 or 1/(1-p) for every element of the batch, [B][C][H][W]. */
static inline void dropout_mask(float *mask, struct shape shape, int batch, const struct dropout_args *args, const struct step *step)
{
    size_t count = shape_count(shape);
    uint64_t key = dropout_key(args, step);
    float kept = 1 / (1 - args->p);
    for (int b = 0; b < batch; b++)
        for (size_t i = 0; i < count; i += 4) {
            struct philox_block words = dropout_words(key, step->index[b], i / 4);
            for (size_t k = 0; k < 4 && i + k < count; k++)
                mask[(size_t)b * count + i + k] = dropout_keeps(words.word[k], args->p) ? kept : 0;
        }
}

#endif
