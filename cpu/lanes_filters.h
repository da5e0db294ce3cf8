/* Gradients of a convolution's filters, from one group of sixteen samples. */
#ifndef CPU_LANES_FILTERS_H
#define CPU_LANES_FILTERS_H

#include "nets/graph.h"

struct filters_pass {
    const float *in;      /* [in_shape][16] */
    const float *dout;    /* [out_shape][16] */
    struct shape in_shape, out_shape;
    int size, stride, pad;
    float *gradient;      /* [out_shape.c][in_shape.c][size][size], written, or added to */
    bool add;
};

void filters_gradient(const struct filters_pass *pass);

#endif
