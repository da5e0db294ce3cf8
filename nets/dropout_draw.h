/* What dropout draws: the same for every backend, whatever its layout.
 *
 * An element's word is a function of (seed, epoch, layer, sample number, element), elements counted in C, H, W order; one block of
 * random words serves four elements in a row. */
#ifndef NETS_DROPOUT_DRAW_H
#define NETS_DROPOUT_DRAW_H

#include "base/philox.h"

#include <stdbool.h>

/* What the layer of that number draws for. */
static inline uint64_t dropout_purpose(unsigned id) { return hash_name("dropout") + id; }

DRAW_INLINE uint64_t dropout_key_of(uint64_t seed, uint64_t purpose, int64_t epoch) { return philox_key(philox_key(seed, purpose), (uint64_t)epoch); }

/* The words of elements 4 quad .. 4 quad + 3 of a sample. */
DRAW_INLINE struct philox_block dropout_words(uint64_t key, int64_t sample, uint64_t quad) { return philox(key, (uint64_t)sample, quad); }

DRAW_INLINE bool dropout_keeps(uint32_t word, float p) { return uniform_float(word) >= p; }

#endif
