/* Counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
 *
 * A number is a pure function of (key, counter), so what a sample, a layer or a weight draws never depends on the worker, on the
 * number of threads or on timing. Everything here is pure and may be called by any thread. */
#ifndef BASE_PHILOX_H
#define BASE_PHILOX_H

#include <stdint.h>

struct philox_block { uint32_t word[4]; };

/* The block of four words at a 128-bit counter (high, low) under a 64-bit key. */
struct philox_block philox(uint64_t key, uint64_t counter_high, uint64_t counter_low);

/* One key out of a seed and a purpose, so that two uses of one seed never share a stream. */
uint64_t philox_key(uint64_t seed, uint64_t purpose);

/* FNV-1a of a name, for keys and purposes that are words. */
uint64_t hash_name(const char *name);

/* [0, 1) with 24 bits. */
static inline float uniform_float(uint32_t word) { return (float)(word >> 8) * 0x1p-24f; }

/* [0, 1) with 53 bits, from two words. */
static inline double uniform_double(uint32_t high, uint32_t low) { return (double)((((uint64_t)high << 32) | low) >> 11) * 0x1p-53; }

#endif
