/* Counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
 *
 * A number is a pure function of (key, counter), so what a sample, a layer or a weight draws never depends on the worker, on the
 * number of threads or on timing. Everything here is pure and may be called by any thread, and what is DRAW_INLINE by a GPU's kernels. */
#ifndef BASE_PHILOX_H
#define BASE_PHILOX_H

#include <stdint.h>

#ifdef __CUDACC__
#define DRAW_INLINE static inline __host__ __device__
#else
#define DRAW_INLINE static inline
#endif

struct philox_block { uint32_t word[4]; };

/* The block of four words at a 128-bit counter (high, low) under a 64-bit key. */
DRAW_INLINE struct philox_block philox(uint64_t key, uint64_t counter_high, uint64_t counter_low)
{
    struct philox_block block = {{ (uint32_t)counter_low, (uint32_t)(counter_low >> 32), (uint32_t)counter_high, (uint32_t)(counter_high >> 32) }};
    uint32_t key0 = (uint32_t)key, key1 = (uint32_t)(key >> 32), *c = block.word;
    for (int round = 0; round < 10; round++) {
        uint64_t product0 = (uint64_t)0xD2511F53u * c[0], product1 = (uint64_t)0xCD9E8D57u * c[2];
        c[0] = (uint32_t)(product1 >> 32) ^ c[1] ^ key0;
        c[1] = (uint32_t)product1;
        c[2] = (uint32_t)(product0 >> 32) ^ c[3] ^ key1;
        c[3] = (uint32_t)product0;
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    return block;
}

/* One key out of a seed and a purpose, so that two uses of one seed never share a stream. */
DRAW_INLINE uint64_t philox_key(uint64_t seed, uint64_t purpose)
{
    struct philox_block block = philox(0x6F6E65737465700Au, seed, purpose);
    return (uint64_t)block.word[1] << 32 | block.word[0];
}

/* FNV-1a of a name, for keys and purposes that are words. */
uint64_t hash_name(const char *name);

/* [0, 1) with 24 bits. */
DRAW_INLINE float uniform_float(uint32_t word) { return (float)(word >> 8) * 0x1p-24f; }

/* [0, 1) with 53 bits, from two words. */
static inline double uniform_double(uint32_t high, uint32_t low) { return (double)((((uint64_t)high << 32) | low) >> 11) * 0x1p-53; }

#endif
