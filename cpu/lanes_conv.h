/* A prepared convolution of the lanes backend: shared by its forward and backward files. */
#ifndef CPU_LANES_CONV_H
#define CPU_LANES_CONV_H

#include "cpu/lanes.h"

struct conv {
    struct op op;
    struct conv_args args;
    int batch;
    bool want_gradient, pooled; /* pooled: the 2 x 2 maximum is taken from the registers, the map is never stored */
    bool keep;                  /* training: bits are kept for backward */
    struct shape map;           /* what the convolution itself makes; the output's shape unless pooled */
    const struct tensor *in, *out;
    const struct param *weight, *bias; /* bias: NULL where there is none */
};

/* How many lane_bits a block needs: one a value with relu, POOLED_BITS a pooled value; 0 when none are needed. */
size_t conv_bits(const struct conv *conv);

/* The shape of what the convolution itself makes. */
struct shape lanes_conv_map(struct shape in, const struct conv_args *args);

/* Where neighbours do not matter a plane is one long row. */
static inline struct shape conv_plane(const struct conv *conv, struct shape shape)
{
    const bool alone = conv->args.size == 1 && conv->args.stride == 1 && conv->args.pad == 0 && !conv->pooled;
    return alone ? (struct shape){ shape.c, 1, shape.h * shape.w } : shape;
}

/* By plain sums, with relu and a 2 x 2 maximum in registers. */
int lanes_conv_plain(struct op **op, const struct op_request *request, const struct conv_args *args, struct error *error);
int conv_forward(struct op *op, const struct step *step, struct error *error);
size_t conv_backward_scratch(const struct conv *conv); /* bytes */
int conv_backward(struct op *op, const struct step *step, struct error *error);

/* By Winograd's method; `pays` where it may be used and is the faster one. */
bool conv_winograd_pays(struct shape in, const struct conv_args *args);
size_t conv_winograd_scratch(const struct conv *conv); /* bytes */
int conv_winograd_forward(struct op *op, const struct step *step, struct error *error);
int conv_winograd_backward(struct op *op, const struct step *step, struct error *error);

#endif
