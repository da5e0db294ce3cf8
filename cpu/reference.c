/* See reference.h. */
#include "cpu/reference.h"

#include "base/door.h"
#include "cpu/cpu.h"
#include "cpu/device.h"

#include <string.h>

struct reference_op *reference_new(struct op **op, const struct op_request *request, const struct op_calls *calls, size_t saved_bytes, struct error *error)
{
    void *block;
    if (door_allocate(&block, sizeof(struct reference_op), "operation", error))
        return NULL;
    struct reference_op *self = block;
    self->op.calls = calls;
    self->op.saved_bytes = saved_bytes;
    self->request = *request;
    request->output->bytes = (size_t)request->batch * shape_count(request->output->shape) * sizeof(float);
    *op = &self->op;
    return self;
}

void reference_free(struct op *op) { door_free(op); }

static size_t floats(const struct tensor *tensor) { return tensor->bytes / sizeof(float); }

static void accumulate(struct device *device, const struct tensor *to, const struct tensor *from)
{
    (void)device;
    float *sum = to->gradient;
    const float *more = from->gradient;
    for (size_t i = 0; i < floats(to); i++)
        sum[i] += more[i];
}

static void tensor_out(struct device *device, const struct tensor *tensor, bool gradient, float *nchw)
{
    (void)device;
    memcpy(nchw, gradient ? tensor->gradient : tensor->data, tensor->bytes);
}

static void tensor_in(struct device *device, const struct tensor *tensor, bool gradient, const float *nchw)
{
    (void)device;
    memcpy(gradient ? tensor->gradient : tensor->data, nchw, tensor->bytes);
}

const struct backend backend_reference = {
    .name = "reference",
    .help = "plain loops over NCHW, double sums: slow, for comparison",
    .offers = cpu_offers_fp32,
    .device_open = cpu_device_open,
    .device_close = cpu_device_close,
    .allocate = cpu_allocate,
    .release = cpu_release,
    .input = reference_input,
    .conv = reference_conv,
    .pool = reference_pool,
    .linear = reference_linear,
    .relu = reference_relu,
    .batchnorm = reference_batchnorm,
    .add = reference_add,
    .shortcut = reference_shortcut,
    .concat = reference_concat,
    .dropout = reference_dropout,
    .lrn = reference_lrn,
    .loss = reference_loss,
    .accumulate = accumulate,
    .result = reference_result,
    .tensor_out = tensor_out,
    .tensor_in = tensor_in,
    .copy = cpu_copy,
    .sgd = cpu_sgd,
    .local = cpu_local,
    .predict = cpu_predict,
    .square_sum = cpu_square_sum,
    .forecast = cpu_forecast,
};
