/* See reference.h. */
#include "cpu/reference.h"

#include "base/door.h"
#include "cpu/bf16.h"
#include "cpu/cpu.h"
#include "cpu/device.h"
#include "cpu/fp16.h"
#include "cpu/loss_scale.h"

#include <string.h>

static size_t floats(const struct tensor *tensor) { return tensor->bytes / sizeof(float); }

/* `to` may be `from`. */
static void round_values(enum precision precision, float *to, const float *from, size_t n)
{
    if (precision == PRECISION_BF16)
        for (size_t i = 0; i < n; i++)
            to[i] = bf16_widen(bf16_narrow(from[i]));
    if (precision == PRECISION_FP16)
        for (size_t i = 0; i < n; i++)
            to[i] = fp16_widen(fp16_narrow(from[i]));
}

static int forward(struct op *op, const struct step *step, struct error *error)
{
    const struct reference_op *self = reference_of(op);
    const struct tensor *y = self->request.output;
    if (self->rounds_weights)
        round_values(y->precision, op->saved, step->weights + self->request.params[0]->offset, self->request.params[0]->count);
    if (self->calls->forward(op, step, error))
        return -1;
    round_values(y->precision, y->data, y->data, floats(y));
    return 0;
}

static int backward(struct op *op, const struct step *step, struct error *error)
{
    const struct reference_op *self = reference_of(op);
    if (self->calls->backward(op, step, error))
        return -1;
    for (int k = 0; k < self->request.n_inputs; k++) {
        const struct tensor *x = self->request.inputs[k];
        if (x->gradient)
            round_values(x->precision, x->gradient, x->gradient, floats(x));
    }
    for (int k = 0; k < NODE_PARAMS; k++)
        unscale(step, self->request.params[k]);
    return 0;
}

static const struct op_calls around = { .forward = forward, .backward = backward, .free = reference_free };

struct reference_op *reference_new(struct op **op, const struct op_request *request, const struct op_calls *calls, size_t saved_bytes, struct error *error)
{
    void *block;
    if (door_allocate(&block, sizeof(struct reference_op), "operation", error))
        return NULL;
    struct reference_op *self = block;
    self->op.calls = &around;
    self->calls = calls;
    self->op.saved_bytes = saved_bytes;
    self->request = *request;
    request->output->bytes = (size_t)request->batch * shape_count(request->output->shape) * sizeof(float);
    *op = &self->op;
    return self;
}

void reference_free(struct op *op) { door_free(op); }

void reference_round_weights(struct reference_op *self)
{
    ASSERT(self->op.saved_bytes == 0);
    self->rounds_weights = self->request.precision != PRECISION_FP32;
    self->op.saved_bytes = self->rounds_weights ? self->request.params[0]->count * sizeof(float) : 0;
}

static bool offers(enum precision precision) { return precision < PRECISIONS; }

static void accumulate(struct device *device, const struct tensor *to, const struct tensor *from)
{
    (void)device;
    float *sum = to->gradient;
    const float *more = from->gradient;
    for (size_t i = 0; i < floats(to); i++)
        sum[i] += more[i];
    round_values(to->precision, sum, sum, floats(to));
}

static void tensor_out(struct device *device, const struct tensor *tensor, bool gradient, float *nchw)
{
    (void)device;
    memcpy(nchw, gradient ? tensor->gradient : tensor->data, tensor->bytes);
}

/* Rounded, as whatever is stored in a tensor. */
static void tensor_in(struct device *device, const struct tensor *tensor, bool gradient, const float *nchw)
{
    (void)device;
    float *to = gradient ? tensor->gradient : tensor->data;
    memcpy(to, nchw, tensor->bytes);
    round_values(tensor->precision, to, to, floats(tensor));
}

const struct backend backend_reference = {
    .name = "reference",
    .help = "plain loops over NCHW, double sums: slow, for comparison",
    .offers = offers,
    .device_open = cpu_device_open,
    .device_close = cpu_device_close,
    CPU_MEMORY_AND_ORDER,
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
    .average = cpu_average,
    .square_sum = cpu_square_sum,
    .forecast = cpu_forecast,
};
