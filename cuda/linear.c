/* Fully connected, by cuBLASLt: y = x W' + bias over samples as rows, which column by column reads Y = W' X with W stored inner x outputs.
 *
 * Weights are packed in the plan's precision; behind a spatial tensor their columns go from C, H, W to H, W, C, and their gradient's go back. The gradient is computed in fp32 from
 * operands of any precision, straight into the canonical vector where the order is the same. The bias is packed in the output's precision, as the epilogue wants it; ReLU is a
 * pass of ours: the epilogue's, max(x, 0), is not said to keep a NaN. */
#include "cuda/activations.h"
#include "cuda/filters.h"
#include "cuda/matmul.h"
#include "cuda/op.h"
#include "cuda/status.h"

#include <stdio.h>
#include <string.h>

enum { ALIGNMENT = 256 };

struct linear {
    struct cuda_op head;
    struct filter_shape weights; /* outputs x C x H x W of the input */
    bool relu, permuted;
    struct matmul forward, data, weight;
    size_t bias_at, zero_at;           /* in saved, behind the weights */
    size_t sums_at, workspace_at;      /* in scratch, behind the permuted gradient */
};

static void *scratch(const struct linear *self, size_t at) { return (void *)(((uintptr_t)self->head.op.scratch + at + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT); }
static void *saved(const struct linear *self, size_t at) { return (char *)self->head.op.saved + at; }

static int placed(const struct linear *self, int result, struct error *error)
{
    char place[NAME_ROOM + 8];
    const char *name = self->head.request.params[0]->name, *dot = strrchr(name, '.');
    snprintf(place, sizeof place, "layer %.*s", dot ? (int)(dot - name) : (int)strlen(name), name);
    return result ? error_place(error, place) : 0;
}

static int check(const struct linear *self, cudaError_t status, const char *doing, struct error *error)
{
    return placed(self, cuda_status(self->head.request.device->ordinal, status, doing, error), error);
}

static int pack(struct op *op, const struct step *step, struct error *error)
{
    const struct linear *self = (const struct linear *)op;
    const struct op_request *request = &self->head.request;
    const cudaStream_t stream = request->device->stream;
    cudaError_t status = cuda_launch_pack(stream, request->precision, op->saved, step->weights + request->params[0]->offset, self->weights);
    if (!status && request->params[1])
        status = cuda_launch_pack(stream, request->precision, saved(self, self->bias_at), step->weights + request->params[1]->offset, (struct filter_shape){ self->weights.k, 1, 1, 1 });
    return check(self, status, "packing weights", error);
}

static int forward(struct op *op, const struct step *step, struct error *error)
{
    struct linear *self = (struct linear *)op;
    const struct op_request *request = &self->head.request;
    const struct tensor *y = request->output;
    const struct matmul_data data = { .a = op->saved, .b = request->inputs[0]->data, .bias = saved(self, self->bias_at), .d = y->data, .workspace = scratch(self, 0) };
    (void)step;
    if (placed(self, matmul_run(&self->forward, &data, error), error))
        return -1;
    if (!self->relu)
        return 0;
    return check(self, cuda_launch_relu(request->device->stream, y->precision, (size_t)y->batch * (size_t)y->shape.c, y->data, y->data), "ReLU", error);
}

static cudaError_t clip_and_sum(const struct linear *self, const struct step *step)
{
    const struct op_request *request = &self->head.request;
    const struct tensor *y = request->output;
    const struct device *device = request->device;
    const void *clip = self->relu ? y->data : NULL;
    if (request->params[1])
        return cuda_launch_bias_back(device->stream, y->precision, step->gradient + request->params[1]->offset, y->gradient, clip, (size_t)y->batch, y->shape.c, scratch(self, self->sums_at),
                                     &device->values->inverse_loss_scale);
    return clip ? cuda_launch_relu_back(device->stream, y->precision, (size_t)y->batch * (size_t)y->shape.c, y->gradient, NULL, clip, y->gradient) : cudaSuccess;
}

static int weight_gradient(struct linear *self, const struct step *step, struct error *error)
{
    const struct op_request *request = &self->head.request;
    const struct device *device = request->device;
    float *gradient = step->gradient + request->params[0]->offset, *permuted = scratch(self, 0);
    const float *factor = &device->values->inverse_loss_scale;
    const struct matmul_data data = {
        .a = request->inputs[0]->data, .b = request->output->gradient, .d = self->permuted ? permuted : gradient, .workspace = scratch(self, self->workspace_at),
        .factor = factor, .zero = saved(self, self->zero_at),
    };
    if (placed(self, matmul_run(&self->weight, &data, error), error) || !self->permuted)
        return error->code ? -1 : 0;
    return check(self, cuda_launch_unpack(device->stream, PRECISION_FP32, gradient, permuted, self->weights, factor), "unpacking a gradient", error);
}

static int backward(struct op *op, const struct step *step, struct error *error)
{
    struct linear *self = (struct linear *)op;
    const struct op_request *request = &self->head.request;
    const struct tensor *x = request->inputs[0];
    if (check(self, clip_and_sum(self, step), "summing a bias's gradient", error) || weight_gradient(self, step, error))
        return -1;
    if (!x->gradient)
        return 0;
    const struct matmul_data data = { .a = op->saved, .b = request->output->gradient, .d = x->gradient, .workspace = scratch(self, self->workspace_at) };
    return placed(self, matmul_run(&self->data, &data, error), error);
}

static void release(struct op *op)
{
    struct linear *self = (struct linear *)op;
    matmul_close(&self->forward);
    matmul_close(&self->weight);
    matmul_close(&self->data);
    cuda_op_free(op);
}

/* Canonical vectors are aligned to 64 bytes, a parameter in one to its offset. */
static unsigned alignment_of(const struct param *param)
{
    return param->offset % 4 == 0 ? 16 : param->offset % 2 == 0 ? 8 : 4;
}

static int choose(struct linear *self, struct error *error)
{
    const struct op_request *request = &self->head.request;
    const enum precision precision = request->precision;
    const int batch = request->batch, outputs = self->weights.k, inputs = (int)(filter_count(self->weights) / (size_t)outputs);
    const struct matmul_shape y = {
        .rows = outputs, .columns = batch, .inner = inputs, .transposed_a = true, .operands = precision, .result = precision, .bias = request->params[1] != NULL, .alignment = 16,
    };
    const struct matmul_shape dw = {
        .rows = inputs, .columns = outputs, .inner = batch, .transposed_b = true, .operands = precision, .result = PRECISION_FP32, .scaled = !self->permuted,
        .alignment = self->permuted ? 16 : alignment_of(request->params[0]),
    };
    const struct matmul_shape dx = { .rows = inputs, .columns = batch, .inner = outputs, .operands = precision, .result = precision, .alignment = 16 };
    if (matmul_open(&self->forward, request->device, &y, error))
        return -1;
    if (!request->training)
        return 0;
    if (matmul_open(&self->weight, request->device, &dw, error))
        return -1;
    return request->want_gradient[0] ? matmul_open(&self->data, request->device, &dx, error) : 0;
}

static void lay_out(struct linear *self)
{
    const struct op_request *request = &self->head.request;
    struct op *op = &self->head.op;
    const size_t n = filter_count(self->weights), outputs = (size_t)self->weights.k;
    self->bias_at = round_up(n * cuda_element_bytes(request->precision), ALIGNMENT);
    self->zero_at = self->bias_at + round_up(outputs * cuda_element_bytes(request->precision), ALIGNMENT);
    op->saved_bytes = self->zero_at + sizeof(float);
    self->sums_at = request->training && self->permuted ? round_up(n * sizeof(float), ALIGNMENT) : 0;
    self->workspace_at = self->sums_at + (request->training && request->params[1] ? round_up(cuda_bias_sums_bytes((size_t)request->batch, self->weights.k), ALIGNMENT) : 0);
    op->scratch_bytes = size_max(self->forward.workspace_bytes, self->workspace_at + size_max(self->weight.workspace_bytes, self->data.workspace_bytes)) + ALIGNMENT;
}

int cuda_linear(struct op **op, const struct op_request *request, const struct linear_args *args, struct error *error)
{
    static const struct op_calls calls = { .pack = pack, .forward = forward, .backward = backward, .free = release };
    struct linear *self = cuda_op_new(sizeof *self, &calls, request, error);
    const struct shape in = request->inputs[0]->shape;
    if (!self)
        return -1;
    self->weights = (struct filter_shape){ args->outputs, in.c, in.h, in.w };
    self->relu = args->relu;
    self->permuted = in.c > 1 && in.h * in.w > 1;
    if (placed(self, choose(self, error), error)) {
        release(&self->head.op);
        return -1;
    }
    lay_out(self);
    *op = &self->head.op;
    return 0;
}
