/* Gradients of a convolution's filters, from one group of sixteen samples: PARTS blocks. */
#ifndef CPU_LANES_FILTERS_H
#define CPU_LANES_FILTERS_H

#include "cpu/lanes.h"

struct filters_pass {
    const float *in;       /* [PARTS][in_shape][LANES] */
    const float *dout;     /* [PARTS][out_shape][LANES] */
    const lane_bits *bits; /* filters_gradient_pooled only: [PARTS][out_shape][POOLED_BITS] */
    struct shape in_shape, out_shape;
    int size, stride, pad;
    float *gradient;       /* [out_shape.c][in_shape.c][size][size], written, or added to */
    bool add;
    float *room;           /* filters_pooled_floats, or filters_pointwise_floats; filters_gradient needs none */
};

void filters_gradient(const struct filters_pass *pass);

/* The same where dout and out_shape are those of a 2 x 2 maximum over the map; stride 1, no padding. */
void filters_gradient_pooled(const struct filters_pass *pass);
size_t filters_pooled_floats(struct shape out_shape);

/* What a tile of filters x taps has summed, sums[part][filter * taps + tap]: parts and lanes are added up, and the
 * gradient written. `most`: vectors of a part in `sums`, a multiple of LANES. gradient: of the first filter and tap. */
VECTOR_INLINE void filters_write(const struct filters_pass *p, vec *sums, int most, float *gradient, int filters,
                                 int taps)
{
    const ptrdiff_t stride = (ptrdiff_t)p->in_shape.c * p->size * p->size;
    float values[GROUP * 2];
#pragma GCC unroll 25
    for (int i = 0; i < filters * taps; i++)
        sums[i] = vec_parts(sums + i, (size_t)most);
#pragma GCC unroll 15
    for (int i = filters * taps; i % LANES; i++)
        sums[i] = vec_zero();
    for (int i = 0; i < filters * taps; i += LANES)
        vec_store_anywhere(values + i, vec_sums(sums + i));
    for (int f = 0; f < filters; f++)
        for (int t = 0; t < taps; t++)
            gradient[f * stride + t] = values[f * taps + t] + (p->add ? gradient[f * stride + t] : 0);
}

#endif
