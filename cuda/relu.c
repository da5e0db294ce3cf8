/* ReLU: max(x, 0); a NaN stays a NaN. */
#include "cuda/activations.h"
#include "cuda/op.h"

static int forward(struct op *op, const struct step *step, struct error *error)
{
    const struct op_request *request = &cuda_op_of(op)->request;
    const struct tensor *x = request->inputs[0], *y = request->output;
    (void)step;
    return cuda_try(request->device, cuda_launch_relu(request->device->stream, y->precision, cuda_elements(y), y->data, x->data), "ReLU", error);
}

static int backward(struct op *op, const struct step *step, struct error *error)
{
    const struct op_request *request = &cuda_op_of(op)->request;
    const struct tensor *x = request->inputs[0], *y = request->output;
    (void)step;
    return cuda_try(request->device, cuda_launch_relu_back(request->device->stream, y->precision, cuda_elements(y), x->gradient, NULL, y->data, y->gradient), "ReLU, backward", error);
}

int cuda_relu(struct op **op, const struct op_request *request, struct error *error)
{
    static const struct op_calls calls = { .forward = forward, .backward = backward, .free = cuda_op_free };
    struct cuda_op *self = cuda_op_new(sizeof *self, &calls, request, error);
    if (!self)
        return -1;
    self->op.in_place = 1;
    *op = &self->op;
    return 0;
}
