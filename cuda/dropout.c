/* Dropout: the CPU's draws (nets/dropout_draw.h), so the same bits are dropped. */
#include "cuda/activations.h"
#include "cuda/op.h"
#include "nets/dropout_draw.h"

struct dropout {
    struct cuda_op head;
    struct dropout_pass pass;
};

static cudaError_t drop(const struct dropout *self, const struct step *step, void *to, const void *from)
{
    const struct device *device = self->head.request.device;
    return cuda_launch_dropout(device->stream, self->head.request.precision, to, from, step->index, device->values, &self->pass);
}

static int forward(struct op *op, const struct step *step, struct error *error)
{
    const struct dropout *self = (const struct dropout *)op;
    const struct op_request *request = &self->head.request;
    const struct tensor *x = request->inputs[0], *y = request->output;
    const cudaError_t status = request->training ? drop(self, step, y->data, x->data)
                                                 : cudaMemcpyAsync(y->data, x->data, y->bytes, cudaMemcpyDeviceToDevice, request->device->stream);
    return cuda_try(request->device, status, "dropout", error);
}

static int backward(struct op *op, const struct step *step, struct error *error)
{
    const struct dropout *self = (const struct dropout *)op;
    const struct tensor *x = self->head.request.inputs[0], *y = self->head.request.output;
    return x->gradient ? cuda_try(self->head.request.device, drop(self, step, x->gradient, y->gradient), "dropout, backward", error) : 0;
}

int cuda_dropout(struct op **op, const struct op_request *request, const struct dropout_args *args, struct error *error)
{
    static const struct op_calls calls = { .forward = forward, .backward = backward, .free = cuda_op_free };
    struct dropout *self = cuda_op_new(sizeof *self, &calls, request, error);
    if (!self)
        return -1;
    self->pass = (struct dropout_pass){ request->batch, request->output->shape, dropout_purpose(args->id), args->p };
    self->head.op.in_place = 1;
    *op = &self->head.op;
    return 0;
}
