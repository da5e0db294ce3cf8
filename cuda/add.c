/* The sum of two activations, and ReLU behind it where the plan asks. */
#include "cuda/activations.h"
#include "cuda/op.h"

struct add {
    struct cuda_op head;
    struct add_args args;
};

static int forward(struct op *op, const struct step *step, struct error *error)
{
    const struct add *self = (const struct add *)op;
    const struct op_request *request = &self->head.request;
    const struct tensor *a = request->inputs[0], *b = request->inputs[1], *y = request->output;
    (void)step;
    cudaError_t (*launcher)(cudaStream_t, enum precision, size_t, void *, const void *, const void *) = self->args.relu ? cuda_launch_add_relu : cuda_launch_add;
    return cuda_try(request->device, launcher(request->device->stream, y->precision, cuda_elements(y), y->data, a->data, b->data), "addition", error);
}

/* One gradient for both: where the output's lies already, it stays. */
static cudaError_t pass_on(const struct add *self, void *to, void *also)
{
    const struct op_request *request = &self->head.request;
    const struct tensor *y = request->output;
    if (self->args.relu)
        return cuda_launch_relu_back(request->device->stream, y->precision, cuda_elements(y), to, also, y->data, y->gradient);
    cudaError_t status = to == y->gradient ? cudaSuccess : cudaMemcpyAsync(to, y->gradient, y->bytes, cudaMemcpyDeviceToDevice, request->device->stream);
    if (status == cudaSuccess && also && also != y->gradient)
        status = cudaMemcpyAsync(also, y->gradient, y->bytes, cudaMemcpyDeviceToDevice, request->device->stream);
    return status;
}

static int backward(struct op *op, const struct step *step, struct error *error)
{
    const struct add *self = (const struct add *)op;
    void *a = self->head.request.inputs[0]->gradient, *b = self->head.request.inputs[1]->gradient;
    (void)step;
    return a || b ? cuda_try(self->head.request.device, pass_on(self, a ? a : b, a ? b : NULL), "addition, backward", error) : 0;
}

int cuda_add(struct op **op, const struct op_request *request, const struct add_args *args, struct error *error)
{
    static const struct op_calls calls = { .forward = forward, .backward = backward, .free = cuda_op_free };
    struct add *self = cuda_op_new(sizeof *self, &calls, request, error);
    if (!self)
        return -1;
    self->args = *args;
    self->head.op.in_place = request->want_gradient[0] ? 1 : request->want_gradient[1] ? 2 : 0;
    *op = &self->head.op;
    return 0;
}
