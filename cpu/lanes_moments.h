/* Mean and variance of a channel, in one pass over memory. Inside cpu/ only. */
#ifndef CPU_LANES_MOMENTS_H
#define CPU_LANES_MOMENTS_H

#include "cpu/lanes.h"

struct moments { double mean, variance; }; /* variance with n in the divisor */

/* Over the batch and the plane of channel c; the lanes beyond the batch do not count. */
struct moments lanes_moments(const struct tensor *tensor, int c);

/* The planes of channel c: `places` vectors each. The first vector of a block's, in floats from the tensor's beginning. */
static inline size_t lanes_plane(struct shape shape, int block, int c)
{
    return ((size_t)block * (size_t)shape.c + (size_t)c) * (size_t)shape.h * (size_t)shape.w * LANES;
}

#endif
