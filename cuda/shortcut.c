/* The shortcut without parameters: every stride-th row and column, zeros for the channels that are new. */
#include "cuda/activations.h"
#include "cuda/op.h"

struct shortcut {
    struct cuda_op head;
    struct shortcut_move move;
};

static int forward(struct op *op, const struct step *step, struct error *error)
{
    const struct shortcut *self = (const struct shortcut *)op;
    const struct op_request *request = &self->head.request;
    (void)step;
    const cudaError_t status = cuda_launch_shortcut(request->device->stream, request->precision, request->output->data, request->inputs[0]->data, &self->move);
    return cuda_try(request->device, status, "shortcut", error);
}

static int backward(struct op *op, const struct step *step, struct error *error)
{
    const struct shortcut *self = (const struct shortcut *)op;
    const struct op_request *request = &self->head.request;
    (void)step;
    if (!request->inputs[0]->gradient)
        return 0;
    const cudaError_t status = cuda_launch_shortcut_back(request->device->stream, request->precision, request->inputs[0]->gradient, request->output->gradient, &self->move);
    return cuda_try(request->device, status, "shortcut, backward", error);
}

int cuda_shortcut(struct op **op, const struct op_request *request, const struct shortcut_args *args, struct error *error)
{
    static const struct op_calls calls = { .forward = forward, .backward = backward, .free = cuda_op_free };
    const struct shape in = request->inputs[0]->shape, out = request->output->shape;
    struct shortcut *self = cuda_op_new(sizeof *self, &calls, request, error);
    if (!self)
        return -1;
    self->move = (struct shortcut_move){ request->batch, args->stride, shortcut_front(in.c, out.c), in, out };
    *op = &self->head.op;
    return 0;
}
