/* The lanes backend: what its files share. Inside cpu/ only.
 *
 * Sixteen samples lie side by side in one vector: an activation is [groups][C][H][W][16] floats, groups = ceil(B/16), one vector a
 * value. So a kernel broadcasts one weight and multiplies sixteen samples: weights are read where they are, in the canonical vector,
 * channel counts need no padding, nothing is shuffled, and flattening is free. The lanes that fill up the last group are zero at the
 * input and get no gradient from the loss, and so add nothing to any weight's gradient. */
#ifndef CPU_LANES_H
#define CPU_LANES_H

#include "cpu/vector.h"
#include "nets/backend.h"

static inline int lanes_groups(int batch) { return (batch + LANES - 1) / LANES; }

/* Floats of one group. */
static inline size_t lanes_count(struct shape shape) { return shape_count(shape) * LANES; }

static inline size_t lanes_bytes(struct shape shape, int batch) { return (size_t)lanes_groups(batch) * lanes_count(shape) * sizeof(float); }

/* Lanes of a group that hold samples of the batch, as a mask. */
static inline uint16_t lanes_filled(int batch, int group)
{
    int left = batch - group * LANES;
    return left >= LANES ? 0xffff : (uint16_t)((1u << left) - 1);
}

/* A zeroed operation of `bytes`, `struct op` first; its output gets this backend's layout. EXIT_MEMORY. */
void *lanes_op_new(size_t bytes, const struct op_calls *calls, const struct op_request *request, struct error *error);
void lanes_op_free(struct op *op);

int lanes_input(struct op **op, const struct op_request *request, const struct input_args *args, struct error *error);
int lanes_conv(struct op **op, const struct op_request *request, const struct conv_args *args, struct error *error);
int lanes_pool(struct op **op, const struct op_request *request, const struct pool_args *args, struct error *error);
int lanes_linear(struct op **op, const struct op_request *request, const struct linear_args *args, struct error *error);
int lanes_relu(struct op **op, const struct op_request *request, struct error *error);
int lanes_batchnorm(struct op **op, const struct op_request *request, const struct batchnorm_args *args, struct error *error);
int lanes_add(struct op **op, const struct op_request *request, const struct add_args *args, struct error *error);
int lanes_shortcut(struct op **op, const struct op_request *request, const struct shortcut_args *args, struct error *error);
int lanes_concat(struct op **op, const struct op_request *request, struct error *error);
int lanes_dropout(struct op **op, const struct op_request *request, const struct dropout_args *args, struct error *error);
int lanes_lrn(struct op **op, const struct op_request *request, const struct lrn_args *args, struct error *error);
int lanes_loss(struct op **op, const struct op_request *request, const struct loss_args *args, struct error *error);
int lanes_result(struct op *loss, int turn, struct step_result *result, struct error *error);

#endif
