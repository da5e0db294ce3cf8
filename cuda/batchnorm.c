/* Batch normalization, and behind it the addition of a residual and ReLU where the plan asks: moments of each channel, then one pass; backward likewise one reduction, then
 * one pass that writes both inputs' gradients. Kept are a mean and an inverse deviation a channel and one bit an element where ReLU passes. */
#include "cuda/batchnorm.h"
#include "cuda/op.h"

struct batchnorm {
    struct cuda_op head;
    struct batchnorm_pass pass; /* weight, bias: of the step */
};

static struct batchnorm_pass pass_of(const struct batchnorm *self, const struct step *step)
{
    const struct op_request *request = &self->head.request;
    struct batchnorm_pass pass = self->pass;
    const size_t channel_bytes = round_up((size_t)pass.channels * sizeof(float), 16);
    char *saved = self->head.op.saved;
    pass.weight = step->weights + request->params[0]->offset;
    pass.bias = step->weights + request->params[1]->offset;
    pass.mean = (float *)(void *)saved;
    pass.inverse = (float *)(void *)(saved + channel_bytes);
    pass.passes = self->head.op.saved_bytes > 2 * channel_bytes ? (uint8_t *)saved + 2 * channel_bytes : NULL;
    return pass;
}

static int forward(struct op *op, const struct step *step, struct error *error)
{
    const struct batchnorm *self = (const struct batchnorm *)op;
    const struct op_request *request = &self->head.request;
    const struct batchnorm_pass pass = pass_of(self, step);
    struct device *device = request->device;
    const void *x = request->inputs[0]->data, *residual = request->n_inputs > 1 ? request->inputs[1]->data : NULL;
    float *running_mean = step->stats + request->stats[0]->offset, *running_variance = step->stats + request->stats[1]->offset;
    const cudaError_t status = request->training ? cuda_launch_moments(device->stream, request->precision, &pass, op->scratch, x, running_mean, running_variance)
                                                 : cuda_launch_running(device->stream, &pass, running_mean, running_variance);
    if (cuda_try(device, status, "moments of a batch normalization", error))
        return -1;
    return cuda_try(device, cuda_launch_normalize(device->stream, request->precision, &pass, request->output->data, x, residual), "batch normalization", error);
}

static size_t parts(const struct batchnorm *self)
{
    return (size_t)batchnorm_cut_for_sums(self->pass.rows, self->pass.channels).stretches * (size_t)self->pass.channels;
}

static struct batchnorm_line *lines(const struct batchnorm *self)
{
    return (struct batchnorm_line *)(void *)((char *)self->head.op.scratch + round_up(parts(self) * sizeof(struct batchnorm_sums), sizeof(struct batchnorm_line)));
}

static int backward(struct op *op, const struct step *step, struct error *error)
{
    const struct batchnorm *self = (const struct batchnorm *)op;
    const struct op_request *request = &self->head.request;
    const struct batchnorm_pass pass = pass_of(self, step);
    struct device *device = request->device;
    const struct tensor *x = request->inputs[0], *y = request->output;
    void *dresidual = request->n_inputs > 1 ? request->inputs[1]->gradient : NULL;
    float *dweight = step->gradient + request->params[0]->offset, *dbias = step->gradient + request->params[1]->offset;
    if (cuda_try(device, cuda_launch_batchnorm_sums(device->stream, request->precision, &pass, op->scratch, lines(self), dweight, dbias, y->gradient, x->data, y->data, device->values),
                 "sums of a batch normalization, backward", error))
        return -1;
    if (dresidual == y->gradient && !pass.relu)
        dresidual = NULL; /* it is there */
    if (!x->gradient && !dresidual)
        return 0;
    return cuda_try(device, cuda_launch_batchnorm_back(device->stream, request->precision, &pass, x->gradient, dresidual, y->gradient, x->data, y->data, lines(self)),
                    "batch normalization, backward", error);
}

int cuda_batchnorm(struct op **op, const struct op_request *request, const struct batchnorm_args *args, struct error *error)
{
    static const struct op_calls calls = { .forward = forward, .backward = backward, .free = cuda_op_free };
    const struct tensor *y = request->output;
    struct batchnorm *self = cuda_op_new(sizeof *self, &calls, request, error);
    if (!self)
        return -1;
    const bool keeps = request->training && args->relu && batchnorm_vector(y->shape.c) == BATCHNORM_VECTOR;
    self->pass = (struct batchnorm_pass){ .rows = (size_t)y->batch * (size_t)y->shape.h * (size_t)y->shape.w, .channels = y->shape.c,
                                          .epsilon = args->epsilon, .momentum = args->momentum, .relu = args->relu };
    self->head.op.saved_bytes = 2 * round_up((size_t)y->shape.c * sizeof(float), 16) + (keeps ? cuda_elements(y) / 8 : 0);
    if (request->training)
        self->head.op.scratch_bytes = parts(self) * sizeof(struct batchnorm_spread) + 16 + (size_t)y->shape.c * sizeof(struct batchnorm_line);
    self->head.op.in_place = args->add && request->want_gradient[1] ? 2 : request->want_gradient[0] ? 1 : 0;
    *op = &self->head.op;
    return 0;
}
