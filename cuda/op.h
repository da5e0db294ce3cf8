/* The head of the CUDA backend's operations, and their constructors. Inside cuda/ only.
 *
 * An operation's struct begins with `struct cuda_op`. Its calls run with the device's GPU current, and only enqueue on the device's stream; what a step changes they read from
 * device->values. Launchers of kernels are extern "C" functions in .cu files, with the stream, the plan's precision where they have a version for each, and pointers;
 * they return what the launch did. */
#ifndef CUDA_OP_H
#define CUDA_OP_H

#include "base/sizes.h"
#include "cuda/device.h"

enum layout { LAYOUT_NHWC }; /* tensor.layout: the plan's precision, channels innermost, not padded */

struct cuda_op {
    struct op op;                 /* calls: those below, with the GPU made current around them */
    struct op_calls entered;      /* what op.calls points to */
    const struct op_calls *calls; /* the operation's */
    struct op_request request;
};

static inline struct cuda_op *cuda_op_of(struct op *op) { return (struct cuda_op *)op; }

static inline size_t cuda_element_bytes(enum precision precision) { return precision == PRECISION_FP32 ? sizeof(float) : 2; }

/* A zeroed struct of `bytes`, with its head filled in, the output's layout and bytes set (NHWC, rounded up to 16) and the GPU current, so that a constructor may ask the
 * libraries. EXIT_MEMORY. */
void *cuda_op_new(size_t bytes, const struct op_calls *calls, const struct op_request *request, struct error *error);
void cuda_op_free(struct op *op); /* for calls->free, last */

int cuda_input(struct op **op, const struct op_request *request, const struct input_args *args, struct error *error);
int cuda_conv(struct op **op, const struct op_request *request, const struct conv_args *args, struct error *error);
int cuda_pool(struct op **op, const struct op_request *request, const struct pool_args *args, struct error *error);
int cuda_linear(struct op **op, const struct op_request *request, const struct linear_args *args, struct error *error);
int cuda_relu(struct op **op, const struct op_request *request, struct error *error);
int cuda_batchnorm(struct op **op, const struct op_request *request, const struct batchnorm_args *args, struct error *error);
int cuda_add(struct op **op, const struct op_request *request, const struct add_args *args, struct error *error);
int cuda_shortcut(struct op **op, const struct op_request *request, const struct shortcut_args *args, struct error *error);
int cuda_concat(struct op **op, const struct op_request *request, struct error *error);
int cuda_dropout(struct op **op, const struct op_request *request, const struct dropout_args *args, struct error *error);
int cuda_lrn(struct op **op, const struct op_request *request, const struct lrn_args *args, struct error *error);
int cuda_loss(struct op **op, const struct op_request *request, const struct loss_args *args, struct error *error);

int cuda_pack_all(struct op *const *ops, int n, const struct step *step, struct error *error); /* weighted.c */
void cuda_accumulate(struct device *device, const struct tensor *to, const struct tensor *from);
int cuda_result(struct op *loss, int turn, struct step_result *result, struct error *error);
void cuda_tensor_out(struct device *device, const struct tensor *tensor, bool gradient, float *nchw);
void cuda_tensor_in(struct device *device, const struct tensor *tensor, bool gradient, const float *nchw);

#endif
