/* See reference.h. */
#include "cpu/reference.h"

#include "base/door.h"
#include "cpu/bf16.h"
#include "cpu/cpu.h"
#include "cpu/device.h"

#include <string.h>

static size_t floats(const struct tensor *tensor) { return tensor->bytes / sizeof(float); }

static void round_values(float *to, const float *from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = bf16_widen(bf16_narrow(from[i]));
}

static int rounded_forward(struct op *op, const struct step *step, struct error *error)
{
    const struct reference_op *self = reference_of(op);
    const struct tensor *y = self->request.output;
    if (self->rounds_weights)
        round_values(op->saved, step->weights + self->request.params[0]->offset, self->request.params[0]->count);
    if (self->calls->forward(op, step, error))
        return -1;
    round_values(y->data, y->data, floats(y));
    return 0;
}

static int rounded_backward(struct op *op, const struct step *step, struct error *error)
{
    const struct reference_op *self = reference_of(op);
    if (self->calls->backward(op, step, error))
        return -1;
    for (int k = 0; k < self->request.n_inputs; k++) {
        const struct tensor *x = self->request.inputs[k];
        if (x->gradient)
            round_values(x->gradient, x->gradient, floats(x));
    }
    return 0;
}

static const struct op_calls rounded = { .forward = rounded_forward, .backward = rounded_backward, .free = reference_free };

struct reference_op *reference_new(struct op **op, const struct op_request *request, const struct op_calls *calls, size_t saved_bytes, struct error *error)
{
    void *block;
    if (door_allocate(&block, sizeof(struct reference_op), "operation", error))
        return NULL;
    struct reference_op *self = block;
    self->op.calls = request->precision == PRECISION_BF16 ? &rounded : calls;
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
    self->rounds_weights = self->request.precision == PRECISION_BF16;
    self->op.saved_bytes = self->rounds_weights ? self->request.params[0]->count * sizeof(float) : 0;
}

static bool offers(enum precision precision) { return precision == PRECISION_FP32 || precision == PRECISION_BF16; }

static void accumulate(struct device *device, const struct tensor *to, const struct tensor *from)
{
    (void)device;
    float *sum = to->gradient;
    const float *more = from->gradient;
    for (size_t i = 0; i < floats(to); i++)
        sum[i] += more[i];
    if (to->precision == PRECISION_BF16)
        round_values(sum, sum, floats(to));
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
    if (tensor->precision == PRECISION_BF16)
        round_values(to, to, floats(tensor));
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
