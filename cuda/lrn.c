/* Local response normalization across channels. Kept for backward is what the power is taken of, in fp32. */
#include "cuda/activations.h"
#include "cuda/op.h"

struct lrn {
    struct cuda_op head;
    struct lrn_args args;
};

static int forward(struct op *op, const struct step *step, struct error *error)
{
    const struct lrn *self = (const struct lrn *)op;
    const struct op_request *request = &self->head.request;
    const struct tensor *x = request->inputs[0], *y = request->output;
    (void)step;
    float *base = request->training ? op->saved : NULL;
    return cuda_try(request->device, cuda_launch_lrn(request->device->stream, y->precision, cuda_elements(y), y->shape.c, y->data, base, x->data, &self->args),
                    "local response normalization", error);
}

static int backward(struct op *op, const struct step *step, struct error *error)
{
    const struct lrn *self = (const struct lrn *)op;
    const struct op_request *request = &self->head.request;
    const struct tensor *x = request->inputs[0], *y = request->output;
    (void)step;
    if (!x->gradient)
        return 0;
    return cuda_try(request->device, cuda_launch_lrn_back(request->device->stream, y->precision, cuda_elements(y), y->shape.c, x->gradient, y->gradient, x->data, op->saved, &self->args),
                    "local response normalization, backward", error);
}

int cuda_lrn(struct op **op, const struct op_request *request, const struct lrn_args *args, struct error *error)
{
    static const struct op_calls calls = { .forward = forward, .backward = backward, .free = cuda_op_free };
    struct lrn *self = cuda_op_new(sizeof *self, &calls, request, error);
    if (!self)
        return -1;
    self->args = *args;
    self->head.op.saved_bytes = request->training ? cuda_elements(request->output) * sizeof(float) : 0;
    *op = &self->head.op;
    return 0;
}
