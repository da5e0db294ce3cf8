/* The order of samples: one permutation of 0..n-1 per epoch, from (seed, epoch), as a pure function.
 *
 * A keyed Feistel network over the smallest even number of bits that holds n, walked until it lands inside (Black and Rogaway,
 * "Ciphers with arbitrary finite domains", CT-RSA 2002), with Philox as round function. Nothing is stored and any position is
 * reached in constant time, so a resume costs nothing. */
#ifndef DATA_ORDER_H
#define DATA_ORDER_H

#include <stdbool.h>
#include <stdint.h>

/* The sample at `position` (0..n-1) of that epoch's permutation. Pure; any thread. */
int64_t order_at(uint64_t seed, int64_t epoch, int64_t n, int64_t position);

#endif
