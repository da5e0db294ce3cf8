/* Pooling by cuDNN, whose own interface for it takes every precision in NHWC: it reads input and output again backward, so nothing is kept. A maximum passes a NaN on. */
#include "cuda/cudnn_type.h"
#include "cuda/op.h"
#include "cuda/status.h"

struct pooling {
    struct cuda_op head;
    cudnnPoolingDescriptor_t window;
    cudnnTensorDescriptor_t x, y;
};

static const float one = 1, zero = 0;

static int check(const struct op_request *request, cudnnStatus_t status, const char *doing, struct error *error)
{
    return cuda_status_cudnn(request->device->ordinal, status, doing, error);
}

static int forward(struct op *op, const struct step *step, struct error *error)
{
    const struct pooling *self = (const struct pooling *)op;
    const struct op_request *request = &self->head.request;
    (void)step;
    return check(request, cudnnPoolingForward(request->device->cudnn, self->window, &one, self->x, request->inputs[0]->data, &zero, self->y, request->output->data), "pooling, forward", error);
}

static int backward(struct op *op, const struct step *step, struct error *error)
{
    const struct pooling *self = (const struct pooling *)op;
    const struct op_request *request = &self->head.request;
    const struct tensor *x = request->inputs[0], *y = request->output;
    (void)step;
    if (!x->gradient)
        return 0;
    return check(request, cudnnPoolingBackward(request->device->cudnn, self->window, &one, self->y, y->data, self->y, y->gradient, self->x, x->data, &zero, self->x, x->gradient),
                 "pooling, backward", error);
}

static void release(struct op *op)
{
    struct pooling *self = (struct pooling *)op;
    if (self->window)
        cudnnDestroyPoolingDescriptor(self->window);
    if (self->x)
        cudnnDestroyTensorDescriptor(self->x);
    if (self->y)
        cudnnDestroyTensorDescriptor(self->y);
    cuda_op_free(op);
}

static int describe_tensor(const struct op_request *request, cudnnTensorDescriptor_t *descriptor, const struct tensor *tensor, struct error *error)
{
    const struct shape shape = tensor->shape;
    if (check(request, cudnnCreateTensorDescriptor(descriptor), "describing a tensor", error))
        return -1;
    return check(request, cudnnSetTensor4dDescriptor(*descriptor, CUDNN_TENSOR_NHWC, cudnn_type(tensor->precision), tensor->batch, shape.c, shape.h, shape.w), "describing a tensor", error);
}

static int describe(struct pooling *self, const struct pool_args *args, struct error *error)
{
    const struct op_request *request = &self->head.request;
    const struct shape in = request->inputs[0]->shape;
    const cudnnPoolingMode_t mode = args->kind == POOL_MAX ? CUDNN_POOLING_MAX_DETERMINISTIC : CUDNN_POOLING_AVERAGE_COUNT_EXCLUDE_PADDING;
    const bool whole = args->size == 0;
    const int height = whole ? in.h : args->size, width = whole ? in.w : args->size, stride = whole ? 1 : args->stride;
    if (describe_tensor(request, &self->x, request->inputs[0], error) || describe_tensor(request, &self->y, request->output, error))
        return -1;
    if (check(request, cudnnCreatePoolingDescriptor(&self->window), "describing a window", error))
        return -1;
    return check(request, cudnnSetPooling2dDescriptor(self->window, mode, CUDNN_PROPAGATE_NAN, height, width, args->pad, args->pad, stride, stride), "describing a window", error);
}

int cuda_pool(struct op **op, const struct op_request *request, const struct pool_args *args, struct error *error)
{
    static const struct op_calls calls = { .forward = forward, .backward = backward, .free = release };
    cudnnHandle_t handle;
    if (cuda_cudnn(request->device, &handle, error))
        return -1;
    struct pooling *self = cuda_op_new(sizeof *self, &calls, request, error);
    if (!self)
        return -1;
    if (describe(self, args, error)) {
        release(&self->head.op);
        return -1;
    }
    *op = &self->head.op;
    return 0;
}
