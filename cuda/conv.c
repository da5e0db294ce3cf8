/* Convolution by cuDNN, in NHWC with filters packed as [K][R][S][C] in the plan's precision.
 *
 * The bias is added by cuDNN where it has an engine for that, else by our kernel; then it is packed in the plan's precision. ReLU is a pass of ours in any case: of cuDNN 9's
 * engines only the slowest is noted to keep a NaN (CUDNN_NUMERICAL_NOTE_STRICT_NAN_PROP). Backward, one pass clips the gradient by ReLU and sums it for the bias.
 *
 * The gradient of the filters is asked for in fp32. cuDNN 9.19 has that from fp32 operands only; from bf16 and fp16 it sums in fp32 and rounds the result once, which is widened
 * on the way to the canonical vector. */
#include "cuda/activations.h"
#include "cuda/cudnn_choose.h"
#include "cuda/filters.h"
#include "cuda/op.h"
#include "cuda/settings.h"
#include "cuda/status.h"

#include <stdio.h>
#include <string.h>

enum { ALIGNMENT = 256 };

struct pass { struct cudnn_graph graph; struct cudnn_plan plan; bool offered; };

struct conv {
    struct cuda_op head;
    struct conv_args args;
    struct filter_shape filters;
    struct pass forward, data, filter;
    bool bias_in_forward;             /* cuDNN adds it */
    enum precision filter_precision;  /* of the filters' gradient as cuDNN writes it */
    size_t bias_at;                   /* in saved, behind the filters */
    size_t sums_at, workspace_at;     /* in scratch, behind the filters' gradient */
};

static cudnnDataType_t element_type(enum precision precision)
{
    switch (precision) {
    case PRECISION_BF16: return CUDNN_DATA_BFLOAT16;
    case PRECISION_FP16: return CUDNN_DATA_HALF;
    default: return CUDNN_DATA_FLOAT;
    }
}

static int tensor_of(struct cudnn_graph *graph, const struct tensor *tensor)
{
    return cudnn_graph_tensor(graph, element_type(tensor->precision), (const int64_t[4]){ tensor->batch, tensor->shape.c, tensor->shape.h, tensor->shape.w });
}

/* x, w and y in that order, which is also that of the pointers in cudnn_plan_run; with a bias it comes before y. */
static void describe(struct conv *self, struct pass *pass, enum cudnn_pass kind, enum precision filter_precision, bool bias)
{
    const struct op_request *request = &self->head.request;
    const struct cudnn_window window = { self->args.stride, self->args.pad };
    const struct filter_shape f = self->filters;
    const struct tensor *out = request->output;
    struct cudnn_graph *graph = &pass->graph;
    cudnn_graph_begin(graph, (struct cudnn_target){ .gpu = request->device->ordinal, .handle = request->device->cudnn });
    const int x = tensor_of(graph, request->inputs[0]), w = cudnn_graph_tensor(graph, element_type(filter_precision), (const int64_t[4]){ f.k, f.c, f.r, f.s });
    if (!bias) {
        cudnn_graph_convolution(graph, kind, &window, x, w, tensor_of(graph, out));
        return;
    }
    const int sum = cudnn_graph_virtual(graph, CUDNN_DATA_FLOAT, (const int64_t[4]){ out->batch, out->shape.c, out->shape.h, out->shape.w });
    const int b = cudnn_graph_tensor(graph, element_type(out->precision), (const int64_t[4]){ 1, f.k, 1, 1 });
    cudnn_graph_convolution(graph, kind, &window, x, w, sum);
    cudnn_graph_add(graph, sum, b, tensor_of(graph, out));
}

static int choose(struct conv *self, struct pass *pass, struct error *error)
{
    return cudnn_graph_finish(&pass->graph, error) ? -1 : cudnn_choose(&pass->plan, &pass->offered, self->head.request.device, &pass->graph, error);
}

static void forget(struct pass *pass)
{
    cudnn_plan_close(&pass->plan);
    cudnn_graph_release(&pass->graph);
}

static int none_offered(const struct conv *self, const char *direction, struct error *error)
{
    const struct op_request *request = &self->head.request;
    const struct cuda_settings *settings = cuda_settings();
    const struct shape in = request->inputs[0]->shape;
    return fail(error, EXIT_DEVICE, "cuda:%d: cuDNN %zu has no %s convolution of %dx%d, stride %d, over %d x %dx%dx%d to %d channels in %s%s%s within %zu MiB of workspace", request->device->ordinal,
                cudnnGetVersion(), direction, self->args.size, self->args.size, self->args.stride, request->batch, in.c, in.h, in.w, self->args.filters, precision_name(request->precision),
                settings->deterministic ? ", deterministic," : "", request->precision == PRECISION_FP32 && !settings->tf32 ? " without TF32" : "", settings->workspace_bytes >> 20);
}

static int choose_forward(struct conv *self, struct error *error)
{
    const enum precision precision = self->head.request.precision;
    if (self->head.request.params[1]) {
        describe(self, &self->forward, PASS_FORWARD, precision, true);
        if (choose(self, &self->forward, error))
            return -1;
        self->bias_in_forward = self->forward.offered;
        if (self->bias_in_forward)
            return 0;
        forget(&self->forward);
    }
    describe(self, &self->forward, PASS_FORWARD, precision, false);
    if (choose(self, &self->forward, error))
        return -1;
    return self->forward.offered ? 0 : none_offered(self, "forward", error);
}

static int choose_filter(struct conv *self, struct error *error)
{
    const enum precision precision = self->head.request.precision;
    self->filter_precision = PRECISION_FP32;
    describe(self, &self->filter, PASS_FILTER, PRECISION_FP32, false);
    if (choose(self, &self->filter, error))
        return -1;
    if (self->filter.offered)
        return 0;
    forget(&self->filter);
    self->filter_precision = precision;
    describe(self, &self->filter, PASS_FILTER, precision, false);
    if (choose(self, &self->filter, error))
        return -1;
    return self->filter.offered ? 0 : none_offered(self, "backward (filter)", error);
}

static int choose_data(struct conv *self, struct error *error)
{
    describe(self, &self->data, PASS_DATA, self->head.request.precision, false);
    if (choose(self, &self->data, error))
        return -1;
    return self->data.offered ? 0 : none_offered(self, "backward (data)", error);
}

/* ---- running ---- */

static size_t rows_of(const struct tensor *tensor) { return (size_t)tensor->batch * (size_t)tensor->shape.h * (size_t)tensor->shape.w; }

/* Libraries want their workspace aligned to 256 bytes, and a plan aligns scratch to 64. */
static void *scratch(const struct conv *self, size_t at) { return (void *)(((uintptr_t)self->head.op.scratch + at + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT); }

/* Before a failure's message: the layer. */
static int placed(const struct conv *self, int result, struct error *error)
{
    char place[NAME_ROOM + 8];
    const char *name = self->head.request.params[0]->name, *dot = strrchr(name, '.');
    snprintf(place, sizeof place, "layer %.*s", dot ? (int)(dot - name) : (int)strlen(name), name);
    return result ? error_place(error, place) : 0;
}

static int check(const struct conv *self, cudaError_t status, const char *doing, struct error *error)
{
    return placed(self, cuda_status(self->head.request.device->ordinal, status, doing, error), error);
}

static int pack(struct op *op, const struct step *step, struct error *error)
{
    const struct conv *self = (const struct conv *)op;
    const struct op_request *request = &self->head.request;
    const cudaStream_t stream = request->device->stream;
    cudaError_t status = cuda_launch_pack(stream, request->precision, op->saved, step->weights + request->params[0]->offset, self->filters);
    if (!status && self->bias_in_forward)
        status = cuda_launch_pack(stream, request->precision, (char *)op->saved + self->bias_at, step->weights + request->params[1]->offset, (struct filter_shape){ self->filters.k, 1, 1, 1 });
    return check(self, status, "packing weights", error);
}

static int forward(struct op *op, const struct step *step, struct error *error)
{
    struct conv *self = (struct conv *)op;
    const struct op_request *request = &self->head.request;
    const struct tensor *out = request->output;
    void *const with_bias[] = { request->inputs[0]->data, op->saved, (char *)op->saved + self->bias_at, out->data };
    void *const without[] = { request->inputs[0]->data, op->saved, out->data };
    if (placed(self, cudnn_plan_run(&self->forward.plan, self->bias_in_forward ? with_bias : without, scratch(self, 0), error), error))
        return -1;
    const float *bias = request->params[1] && !self->bias_in_forward ? step->weights + request->params[1]->offset : NULL;
    if (!bias && !self->args.relu)
        return 0;
    return check(self, cuda_launch_bias(request->device->stream, out->precision, out->data, rows_of(out), out->shape.c, bias, self->args.relu), "adding a bias", error);
}

static cudaError_t clip_and_sum(const struct conv *self, const struct step *step)
{
    const struct op_request *request = &self->head.request;
    const struct tensor *out = request->output;
    const void *y = self->args.relu ? out->data : NULL;
    const struct device *device = request->device;
    if (request->params[1])
        return cuda_launch_bias_back(device->stream, out->precision, step->gradient + request->params[1]->offset, out->gradient, y, rows_of(out), out->shape.c, scratch(self, self->sums_at),
                                     &device->values->inverse_loss_scale);
    return y ? cuda_launch_relu_back(device->stream, out->precision, rows_of(out) * (size_t)out->shape.c, out->gradient, NULL, y, out->gradient) : cudaSuccess;
}

static int backward(struct op *op, const struct step *step, struct error *error)
{
    struct conv *self = (struct conv *)op;
    const struct op_request *request = &self->head.request;
    const struct tensor *in = request->inputs[0], *out = request->output;
    void *dfilter = scratch(self, 0), *workspace = scratch(self, self->workspace_at);
    if (check(self, clip_and_sum(self, step), "summing a bias's gradient", error))
        return -1;
    if (placed(self, cudnn_plan_run(&self->filter.plan, (void *const[]){ in->data, dfilter, out->gradient }, workspace, error), error))
        return -1;
    if (check(self, cuda_launch_unpack(request->device->stream, self->filter_precision, step->gradient + request->params[0]->offset, dfilter, self->filters,
                                       &request->device->values->inverse_loss_scale), "unpacking a gradient", error))
        return -1;
    if (!in->gradient)
        return 0;
    return placed(self, cudnn_plan_run(&self->data.plan, (void *const[]){ in->gradient, op->saved, out->gradient }, workspace, error), error);
}

static void release(struct op *op)
{
    struct conv *self = (struct conv *)op;
    forget(&self->forward);
    forget(&self->filter);
    forget(&self->data);
    cuda_op_free(op);
}

static void lay_out(struct conv *self)
{
    const struct op_request *request = &self->head.request;
    const size_t n = filter_count(self->filters);
    struct op *op = &self->head.op;
    self->bias_at = round_up(n * cuda_element_bytes(request->precision), ALIGNMENT);
    op->saved_bytes = self->bias_at + (self->bias_in_forward ? (size_t)self->filters.k * cuda_element_bytes(request->precision) : 0);
    self->sums_at = request->training ? round_up(n * cuda_element_bytes(self->filter_precision), ALIGNMENT) : 0;
    self->workspace_at = self->sums_at + (request->training && request->params[1] ? round_up(cuda_bias_sums_bytes(rows_of(request->output), self->filters.k), ALIGNMENT) : 0);
    const size_t backward_bytes = self->workspace_at + size_max(self->filter.plan.workspace_bytes, self->data.plan.workspace_bytes);
    op->scratch_bytes = size_max(self->forward.plan.workspace_bytes, backward_bytes) + ALIGNMENT;
}

int cuda_conv(struct op **op, const struct op_request *request, const struct conv_args *args, struct error *error)
{
    static const struct op_calls calls = { .pack = pack, .forward = forward, .backward = backward, .free = release };
    cudnnHandle_t handle;
    ASSERT(!args->pool.size);
    if (cuda_cudnn(request->device, &handle, error))
        return -1;
    struct conv *self = cuda_op_new(sizeof *self, &calls, request, error);
    if (!self)
        return -1;
    self->args = *args;
    self->filters = (struct filter_shape){ args->filters, request->inputs[0]->shape.c, args->size, args->size };
    int result = choose_forward(self, error);
    if (result == 0 && request->training)
        result = choose_filter(self, error);
    if (result == 0 && request->training && request->want_gradient[0])
        result = choose_data(self, error);
    if (placed(self, result, error)) {
        release(&self->head.op);
        return -1;
    }
    lay_out(self);
    *op = &self->head.op;
    return 0;
}
