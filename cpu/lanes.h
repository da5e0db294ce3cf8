/* The lanes backend: what its files share. Inside cpu/ only. They are compiled once for each instruction set (isa.h).
 *
 * Samples lie side by side in one vector, LANES of them make a block: an activation is [blocks][C][H][W][LANES] floats,
 * one vector a value. So a kernel broadcasts one weight and multiplies a vector of samples: weights are read where they
 * are, in the canonical vector, channel counts need no padding, nothing is shuffled, and flattening is free.
 *
 * Sixteen samples make a group, PARTS blocks; a batch is filled up to whole groups. What is summed over samples is
 * summed group by group in one order (vec_parts, vec_sum), so that all instruction sets with a fused multiply-add give
 * the same bits. The lanes beyond the batch are zero at the input and get no gradient from the loss, and so add nothing to any
 * weight's gradient. */
#ifndef CPU_LANES_H
#define CPU_LANES_H

#include "cpu/vector.h"
#include "nets/backend.h"

static inline int lanes_groups(int batch) { return (batch + GROUP - 1) / GROUP; }
static inline int lanes_blocks(int batch) { return lanes_groups(batch) * PARTS; }

/* Floats of one block. */
static inline size_t lanes_count(struct shape shape) { return shape_count(shape) * LANES; }

static inline size_t lanes_bytes(struct shape shape, int batch)
{
    return (size_t)lanes_blocks(batch) * lanes_count(shape) * sizeof(float);
}

/* Lanes of a block that hold samples of the batch. */
static inline lane_mask lanes_filled(int batch, int block)
{
    const int left = batch - block * LANES;
    return mask_of(left >= LANES ? ALL_BITS : left > 0 ? (1u << left) - 1 : 0);
}

/* The stored bits of n vectors, in bytes. */
static inline size_t lanes_bits_bytes(size_t n) { return n * sizeof(lane_bits); }

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
