/* Batch normalization, and behind it the addition of a residual and ReLU where the plan asks: moments of each channel, then one pass; backward likewise one reduction, then
 * one pass that writes both inputs' gradients. Kept are a mean and an inverse deviation a channel and one bit an element where ReLU passes. */
#include "cuda/batchnorm.h"
#include "cuda/op.h"

struct batchnorm {
    struct cuda_op head;
    struct batchnorm_pass pass; /* what a step brings is left open */
    struct batchnorm_cut cut;   /* of the reductions */
};

/* What it keeps, one behind the other: mean, inverse, counters of blocks, bits. */
struct kept { float *mean, *inverse; unsigned *arrived; uint8_t *passes; };

static size_t channel_bytes(const struct batchnorm *self) { return round_up((size_t)self->pass.channels * sizeof(float), 16); }
static size_t counter_bytes(const struct batchnorm *self) { return round_up(self->cut.tiles * sizeof(unsigned), 16); }

static bool keeps_bits(const struct batchnorm *self)
{
    return self->head.request.training && self->pass.relu && batchnorm_vector(self->pass.channels) == BATCHNORM_VECTOR;
}

static size_t kept_bytes(const struct batchnorm *self)
{
    return 2 * channel_bytes(self) + counter_bytes(self) + (keeps_bits(self) ? cuda_elements(self->head.request.output) / 8 : 0);
}

static struct kept kept(const struct batchnorm *self)
{
    char *mean = self->head.op.saved, *inverse = mean + channel_bytes(self), *arrived = inverse + channel_bytes(self), *passes = arrived + counter_bytes(self);
    return (struct kept){ (float *)(void *)mean, (float *)(void *)inverse, (unsigned *)(void *)arrived, keeps_bits(self) ? (uint8_t *)passes : NULL };
}

static struct batchnorm_pass pass_of(const struct batchnorm *self, const struct kept *kept, const struct step *step)
{
    struct batchnorm_pass pass = self->pass;
    pass.weight = step->weights + self->head.request.params[0]->offset;
    pass.bias = step->weights + self->head.request.params[1]->offset;
    pass.mean = kept->mean;
    pass.inverse = kept->inverse;
    pass.passes = kept->passes;
    return pass;
}

static int forward(struct op *op, const struct step *step, struct error *error)
{
    const struct batchnorm *self = (const struct batchnorm *)op;
    const struct op_request *request = &self->head.request;
    const struct kept keep = kept(self);
    const struct batchnorm_pass pass = pass_of(self, &keep, step);
    struct device *device = request->device;
    const void *x = request->inputs[0]->data, *residual = request->n_inputs > 1 ? request->inputs[1]->data : NULL;
    const struct batchnorm_moments to = { op->scratch, keep.arrived, step->stats + request->stats[0]->offset, step->stats + request->stats[1]->offset };
    const cudaError_t status = request->training ? cuda_launch_moments(device->stream, request->precision, &pass, &to, x)
                                                 : cuda_launch_running(device->stream, &pass, to.running_mean, to.running_variance);
    if (cuda_try(device, status, "moments of a batch normalization", error))
        return -1;
    return cuda_try(device, cuda_launch_normalize(device->stream, request->precision, &pass, request->output->data, x, residual), "batch normalization", error);
}

static size_t parts(const struct batchnorm *self) { return (size_t)self->cut.stretches * (size_t)self->pass.channels; }

static struct batchnorm_gradients gradients_of(const struct batchnorm *self, const struct kept *kept, const struct step *step)
{
    const struct op_request *request = &self->head.request;
    char *scratch = self->head.op.scratch;
    void *lines = scratch + round_up(parts(self) * sizeof(struct batchnorm_sums), sizeof(struct batchnorm_line));
    return (struct batchnorm_gradients){ (struct batchnorm_sums *)(void *)scratch, kept->arrived, lines, step->gradient + request->params[0]->offset,
                                         step->gradient + request->params[1]->offset, request->device->values };
}

static int backward(struct op *op, const struct step *step, struct error *error)
{
    const struct batchnorm *self = (const struct batchnorm *)op;
    const struct op_request *request = &self->head.request;
    const struct kept keep = kept(self);
    const struct batchnorm_pass pass = pass_of(self, &keep, step);
    struct device *device = request->device;
    const struct tensor *x = request->inputs[0], *y = request->output;
    void *dresidual = request->n_inputs > 1 ? request->inputs[1]->gradient : NULL;
    const struct batchnorm_gradients to = gradients_of(self, &keep, step);
    if (cuda_try(device, cuda_launch_batchnorm_sums(device->stream, request->precision, &pass, &to, y->gradient, x->data, y->data), "sums of a batch normalization, backward", error))
        return -1;
    if (dresidual == y->gradient && !pass.relu)
        dresidual = NULL; /* it is there */
    if (!x->gradient && !dresidual)
        return 0;
    return cuda_try(device, cuda_launch_batchnorm_back(device->stream, request->precision, &pass, x->gradient, dresidual, y->gradient, x->data, y->data, to.lines),
                    "batch normalization, backward", error);
}

int cuda_batchnorm(struct op **op, const struct op_request *request, const struct batchnorm_args *args, struct error *error)
{
    static const struct op_calls calls = { .forward = forward, .backward = backward, .free = cuda_op_free };
    const struct tensor *y = request->output;
    struct batchnorm *self = cuda_op_new(sizeof *self, &calls, request, error);
    if (!self)
        return -1;
    self->pass = (struct batchnorm_pass){ .rows = (size_t)y->batch * (size_t)y->shape.h * (size_t)y->shape.w, .channels = y->shape.c,
                                          .epsilon = args->epsilon, .momentum = args->momentum, .relu = args->relu };
    self->cut = batchnorm_cut_for_sums(self->pass.rows, self->pass.channels);
    self->head.op.saved_bytes = kept_bytes(self);
    if (request->training)
        self->head.op.scratch_bytes = parts(self) * sizeof(struct batchnorm_spread) + ((size_t)y->shape.c + 1) * sizeof(struct batchnorm_line);
    self->head.op.in_place = args->add && request->want_gradient[1] ? 2 : request->want_gradient[0] ? 1 : 0;
    *op = &self->head.op;
    return 0;
}
