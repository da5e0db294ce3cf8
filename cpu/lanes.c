/* The lanes backend's table, and how activations come and go: see lanes.h for the layout. */
#include "cpu/lanes.h"

#include "base/door.h"
#include "cpu/cpu.h"
#include "cpu/device.h"

void *lanes_op_new(size_t bytes, const struct op_calls *calls, const struct op_request *request, struct error *error)
{
    void *block;
    if (door_allocate(&block, bytes, "an operation", error))
        return NULL;
    struct op *op = block;
    op->calls = calls;
    request->output->layout = LANES;
    request->output->bytes = lanes_bytes(request->output->shape, request->batch);
    return op;
}

void lanes_op_free(struct op *op) { door_free(op); }

static float *vectors(const struct tensor *tensor, bool gradient) { return gradient ? tensor->gradient : tensor->data; }

static void accumulate(struct device *device, const struct tensor *to, const struct tensor *from)
{
    (void)device;
    float *sum = to->gradient;
    const float *more = from->gradient;
    for (size_t i = 0; i < to->bytes / sizeof *sum; i += LANES)
        vec_store(sum + i, vec_load(sum + i) + vec_load(more + i));
}

static void tensor_out(struct device *device, const struct tensor *tensor, bool gradient, float *nchw)
{
    (void)device;
    const size_t count = shape_count(tensor->shape);
    const float *from = vectors(tensor, gradient);
    for (size_t sample = 0; sample < (size_t)tensor->batch; sample++)
        for (size_t i = 0; i < count; i++)
            nchw[sample * count + i] = from[(sample / LANES * count + i) * LANES + sample % LANES];
}

static void tensor_in(struct device *device, const struct tensor *tensor, bool gradient, const float *nchw)
{
    (void)device;
    const size_t count = shape_count(tensor->shape);
    float *to = vectors(tensor, gradient);
    memset(to, 0, tensor->bytes);
    for (size_t sample = 0; sample < (size_t)tensor->batch; sample++)
        for (size_t i = 0; i < count; i++)
            to[(sample / LANES * count + i) * LANES + sample % LANES] = nchw[sample * count + i];
}

static bool offers(enum precision precision) { return precision == PRECISION_FP32; }

const struct backend backend_lanes = {
    .name = "lanes",
    .help = "own kernels, samples side by side in a vector",
    .fusions = { .conv_relu = true, .conv_pool = true, .linear_relu = true, .batchnorm_add = true, .batchnorm_relu = true, .add_relu = true },
    .offers = offers,
    .device_open = cpu_device_open,
    .device_close = cpu_device_close,
    CPU_MEMORY_AND_ORDER,
    .input = lanes_input,
    .conv = lanes_conv,
    .pool = lanes_pool,
    .linear = lanes_linear,
    .relu = lanes_relu,
    .batchnorm = lanes_batchnorm,
    .add = lanes_add,
    .shortcut = lanes_shortcut,
    .concat = lanes_concat,
    .dropout = lanes_dropout,
    .lrn = lanes_lrn,
    .loss = lanes_loss,
    .accumulate = accumulate,
    .result = lanes_result,
    .tensor_out = tensor_out,
    .tensor_in = tensor_in,
    .copy = cpu_copy,
    .sgd = cpu_sgd,
    .forecast = cpu_forecast,
    .local = cpu_local,
    .predict = cpu_predict,
    .average = cpu_average,
    .square_sum = cpu_square_sum,
};
