/* The reference backend: what its files share. Inside cpu/ only.
 *
 * Activations are [B][C][H][W] floats, every operation a plain loop that sums in double: slow, and what the others are compared with.
 * Nothing is fused. Where a definition leaves a choice, the choice made here is the program's.
 *
 * bf16 and fp16 are the same loops on floats that hold such values: what an operation writes to a tensor is rounded behind it, and convolutions
 * and products read rounded weights. Biases and the weights of a normalization are not. */
#ifndef CPU_REFERENCE_H
#define CPU_REFERENCE_H

#include "nets/backend.h"

/* All operations look alike: what they were asked for, and their arguments. */
struct reference_op {
    struct op op;
    struct op_request request;
    union layer_args args;
    const struct op_calls *calls; /* its loops, behind which results are rounded and gradients unscaled */
    bool rounds_weights;          /* params[0] is read rounded, from `saved` */
    struct step_result result;    /* the loss's */
};

/* A zeroed operation whose output is one float an element, and that keeps `saved_bytes`. NULL: EXIT_MEMORY. */
struct reference_op *reference_new(struct op **op, const struct op_request *request, const struct op_calls *calls, size_t saved_bytes, struct error *error);
void reference_free(struct op *op);

/* For an operation that multiplies by params[0] and keeps nothing else: where the precision asks for it, by rounded ones. */
void reference_round_weights(struct reference_op *self);

static inline const struct reference_op *reference_of(const struct op *op) { return (const struct reference_op *)op; }

/* Where a parameter's values, and its gradient, begin. */
static inline const float *reference_weights(const struct reference_op *self, int i, const struct step *step)
{
    return i == 0 && self->rounds_weights ? self->op.saved : step->weights + self->request.params[i]->offset;
}

static inline float *reference_gradient(const struct reference_op *self, int i, const struct step *step) { return step->gradient + self->request.params[i]->offset; }

int reference_input(struct op **op, const struct op_request *request, const struct input_args *args, struct error *error);
int reference_conv(struct op **op, const struct op_request *request, const struct conv_args *args, struct error *error);
int reference_pool(struct op **op, const struct op_request *request, const struct pool_args *args, struct error *error);
int reference_linear(struct op **op, const struct op_request *request, const struct linear_args *args, struct error *error);
int reference_relu(struct op **op, const struct op_request *request, struct error *error);
int reference_batchnorm(struct op **op, const struct op_request *request, const struct batchnorm_args *args, struct error *error);
int reference_add(struct op **op, const struct op_request *request, const struct add_args *args, struct error *error);
int reference_shortcut(struct op **op, const struct op_request *request, const struct shortcut_args *args, struct error *error);
int reference_concat(struct op **op, const struct op_request *request, struct error *error);
int reference_dropout(struct op **op, const struct op_request *request, const struct dropout_args *args, struct error *error);
int reference_lrn(struct op **op, const struct op_request *request, const struct lrn_args *args, struct error *error);
int reference_loss(struct op **op, const struct op_request *request, const struct loss_args *args, struct error *error);
int reference_result(struct op *loss, int turn, struct step_result *result, struct error *error);

#endif
