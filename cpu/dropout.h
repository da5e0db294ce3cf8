/* Dropout's mask for the CPU backends, whatever their layout. Inside cpu/ only. */
#ifndef CPU_DROPOUT_H
#define CPU_DROPOUT_H

#include "nets/backend.h"
#include "nets/dropout_draw.h"

static inline uint64_t dropout_key(const struct dropout_args *args, const struct step *step)
{
    return dropout_key_of(step->seed, dropout_purpose(args->id), step->epoch);
}

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
