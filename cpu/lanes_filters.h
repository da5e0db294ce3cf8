/* Gradients of a convolution's filters, from one group of sixteen samples. */
#ifndef CPU_LANES_FILTERS_H
#define CPU_LANES_FILTERS_H

#include "nets/graph.h"

struct filters_pass {
    const float *in;      /* [in_shape][16] */
    const float *dout;    /* [out_shape][16] */
    const uint16_t *masks; /* filters_gradient_pooled only: [out_shape][POOLED_MASKS] */
    struct shape in_shape, out_shape;
    int size, stride, pad;
    float *gradient;      /* [out_shape.c][in_shape.c][size][size], written, or added to */
    bool add;
};

void filters_gradient(const struct filters_pass *pass);

/* The same where dout and out_shape are those of a 2 x 2 maximum over the map; stride 1, no padding. */
void filters_gradient_pooled(const struct filters_pass *pass);

#endif
