/* What convolutions and fully connected layers have in common: packed weights, a bias, ReLU behind it, and where they lie in what the plan binds. Inside cuda/ only.
 *
 * saved: the weights as [K][R][S][C] in the plan's precision, then the bias, if the library adds it, in that precision too, then a zero.
 * scratch: backward the gradient of the packed weights, partial sums of the bias's, then the library's workspace; forward the workspace alone. */
#ifndef CUDA_WEIGHTED_H
#define CUDA_WEIGHTED_H

#include "cuda/filters.h"
#include "cuda/op.h"

struct weighted {
    struct cuda_op head;
    struct filter_shape filters;
    bool relu;
    bool bias_fused; /* the library adds the bias; else, where there is one, our kernel */
    size_t bias_at, zero_at, sums_at, workspace_at;
};

/* Bytes of the gradient that backward keeps in scratch, and of the larger workspace either way. */
void weighted_lay_out(struct weighted *weighted, size_t gradient_bytes, size_t forward_workspace, size_t backward_workspace);

void *weighted_bias(const struct weighted *weighted);
const float *weighted_zero(const struct weighted *weighted);
const float *weighted_factor(const struct weighted *weighted); /* the inverse loss scale, in the GPU's memory */
/* Libraries want their workspace aligned to 256 bytes. */
void *weighted_gradient(const struct weighted *weighted);
void *weighted_workspace(const struct weighted *weighted, bool backward);

int weighted_pack(struct op *op, const struct step *step, struct error *error); /* for op_calls: nothing else on GPUs packs */

/* Behind the product: a bias that was not added, and ReLU. */
int weighted_finish(const struct weighted *weighted, const struct step *step, struct error *error);
/* Before the products backward: the output's gradient becomes zero where ReLU let nothing pass, and its sums the bias's gradient. */
int weighted_begin_back(const struct weighted *weighted, const struct step *step, struct error *error);
/* The gradient in scratch, in that precision, to the canonical vector. */
int weighted_unpack(const struct weighted *weighted, const struct step *step, enum precision precision, struct error *error);

/* Passes a result on; before a failure's message it puts the layer. */
int weighted_placed(const struct weighted *weighted, int result, struct error *error);

#endif
