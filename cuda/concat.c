/* Concatenation along the channels: each input is a range of the output's. */
#include "cuda/activations.h"
#include "cuda/op.h"

static size_t rows(const struct tensor *y) { return (size_t)y->batch * (size_t)y->shape.h * (size_t)y->shape.w; }

static int forward(struct op *op, const struct step *step, struct error *error)
{
    const struct op_request *request = &cuda_op_of(op)->request;
    const struct tensor *y = request->output;
    (void)step;
    for (int k = 0, at = 0; k < request->n_inputs; at += request->inputs[k++]->shape.c) {
        const int width = request->inputs[k]->shape.c;
        const struct channel_move move = { .to_channels = y->shape.c, .at = at, .from_channels = width, .width = width };
        if (cuda_try(request->device, cuda_launch_channels(request->device->stream, y->precision, rows(y), y->data, request->inputs[k]->data, &move), "concatenation", error))
            return -1;
    }
    return 0;
}

static int backward(struct op *op, const struct step *step, struct error *error)
{
    const struct op_request *request = &cuda_op_of(op)->request;
    const struct tensor *y = request->output;
    (void)step;
    for (int k = 0, at = 0; k < request->n_inputs; at += request->inputs[k++]->shape.c) {
        const struct tensor *x = request->inputs[k];
        const struct channel_move move = { .to_channels = x->shape.c, .from_channels = y->shape.c, .from_at = at, .width = x->shape.c };
        if (x->gradient &&
            cuda_try(request->device, cuda_launch_channels(request->device->stream, y->precision, rows(y), x->gradient, y->gradient, &move), "concatenation, backward", error))
            return -1;
    }
    return 0;
}

int cuda_concat(struct op **op, const struct op_request *request, struct error *error)
{
    static const struct op_calls calls = { .forward = forward, .backward = backward, .free = cuda_op_free };
    struct cuda_op *self = cuda_op_new(sizeof *self, &calls, request, error);
    if (!self)
        return -1;
    *op = &self->op;
    return 0;
}
