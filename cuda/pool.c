/* Pooling. A maximum keeps for backward which place of its window it came from, so that backward reads neither input nor output: one byte an element where a window has
 * up to 256 places, else four. */
#include "cuda/activations.h"
#include "cuda/op.h"

struct pool {
    struct cuda_op head;
    struct pool_pass pass;
    bool maximum;
};

static int forward(struct op *op, const struct step *step, struct error *error)
{
    const struct pool *self = (const struct pool *)op;
    const struct op_request *request = &self->head.request;
    const struct tensor *x = request->inputs[0], *y = request->output;
    const cudaStream_t stream = request->device->stream;
    void *kept = op->saved_bytes ? op->saved : NULL;
    (void)step;
    const cudaError_t status = self->maximum ? cuda_launch_maxima(stream, y->precision, &self->pass, y->data, kept, x->data)
                                             : cuda_launch_averages(stream, y->precision, &self->pass, y->data, x->data);
    return cuda_try(request->device, status, "pooling", error);
}

static int backward(struct op *op, const struct step *step, struct error *error)
{
    const struct pool *self = (const struct pool *)op;
    const struct op_request *request = &self->head.request;
    const struct tensor *x = request->inputs[0], *y = request->output;
    const cudaStream_t stream = request->device->stream;
    (void)step;
    if (!x->gradient)
        return 0;
    const cudaError_t status = self->maximum ? cuda_launch_maxima_back(stream, y->precision, &self->pass, x->gradient, y->gradient, op->saved)
                                             : cuda_launch_averages_back(stream, y->precision, &self->pass, x->gradient, y->gradient);
    return cuda_try(request->device, status, "pooling, backward", error);
}

static struct pool_pass pass_of(const struct op_request *request, const struct pool_args *args)
{
    const struct shape in = request->inputs[0]->shape;
    const bool whole = args->size == 0;
    return (struct pool_pass){ .batch = request->batch, .in = in, .out = request->output->shape, .height = whole ? in.h : args->size, .width = whole ? in.w : args->size,
                               .stride = whole ? 1 : args->stride, .pad = args->pad };
}

int cuda_pool(struct op **op, const struct op_request *request, const struct pool_args *args, struct error *error)
{
    static const struct op_calls calls = { .forward = forward, .backward = backward, .free = cuda_op_free };
    struct pool *self = cuda_op_new(sizeof *self, &calls, request, error);
    if (!self)
        return -1;
    self->pass = pass_of(request, args);
    self->maximum = args->kind == POOL_MAX;
    self->head.op.saved_bytes = self->maximum && request->want_gradient[0] ? cuda_elements(request->output) * cuda_pool_kept(&self->pass) : 0;
    *op = &self->head.op;
    return 0;
}
