/* Convolution by cuDNN, in NHWC with filters packed as [K][R][S][C] in the plan's precision. Channels are not padded: an engine that wants them in multiples pads a copy in its
 * workspace.
 *
 * The bias is added by cuDNN where it has an engine for that, else by our kernel. ReLU is a pass of ours in any case: of cuDNN 9's engines only the slowest is noted to keep a
 * NaN (CUDNN_NUMERICAL_NOTE_STRICT_NAN_PROP). Backward, one pass clips the gradient by ReLU and sums it for the bias.
 *
 * The gradient of the filters is asked for in fp32. cuDNN 9.19 has that from fp32 operands only; from bf16 and fp16 it sums in fp32 and rounds the result once, which is widened
 * on the way to the canonical vector. */
#include "cuda/cudnn_choose.h"
#include "cuda/cudnn_type.h"
#include "cuda/settings.h"
#include "cuda/weighted.h"

/* One of a convolution's three products. */
struct product { struct cudnn_graph graph; struct cudnn_plan plan; bool offered; };

struct conv {
    struct weighted weighted;
    struct conv_args args;
    struct product forward, data, filter;
    enum precision filter_precision; /* of the filters' gradient as cuDNN writes it */
};

static int tensor_of(struct cudnn_graph *graph, const struct tensor *tensor)
{
    return cudnn_graph_tensor(graph, cudnn_type(tensor->precision), (const int64_t[4]){ tensor->batch, tensor->shape.c, tensor->shape.h, tensor->shape.w });
}

/* x, w and y in that order, which is also that of the pointers in cudnn_plan_run; a bias comes before y. */
static void describe(const struct conv *self, struct cudnn_graph *graph, enum cudnn_pass pass, enum precision filter_precision, bool bias)
{
    const struct op_request *request = &self->weighted.head.request;
    const struct cudnn_window window = { self->args.stride, self->args.pad };
    const struct filter_shape f = self->weighted.filters;
    const struct tensor *out = request->output;
    cudnn_graph_begin(graph, (struct cudnn_target){ .gpu = request->device->ordinal, .handle = request->device->cudnn });
    const int x = tensor_of(graph, request->inputs[0]), w = cudnn_graph_tensor(graph, cudnn_type(filter_precision), (const int64_t[4]){ f.k, f.c, f.r, f.s });
    if (!bias) {
        cudnn_graph_convolution(graph, pass, &window, x, w, tensor_of(graph, out));
        return;
    }
    const int sum = cudnn_graph_virtual(graph, CUDNN_DATA_FLOAT, (const int64_t[4]){ out->batch, out->shape.c, out->shape.h, out->shape.w });
    const int b = cudnn_graph_tensor(graph, cudnn_type(out->precision), (const int64_t[4]){ 1, f.k, 1, 1 });
    cudnn_graph_convolution(graph, pass, &window, x, w, sum);
    cudnn_graph_add(graph, sum, b, tensor_of(graph, out));
}

static void forget(struct product *product)
{
    cudnn_plan_close(&product->plan);
    cudnn_graph_release(&product->graph);
    product->offered = false;
}

static int choose(const struct conv *self, struct product *product, enum cudnn_pass pass, enum precision filter_precision, bool bias, struct error *error)
{
    forget(product);
    describe(self, &product->graph, pass, filter_precision, bias);
    return cudnn_graph_finish(&product->graph, error) ? -1 : cudnn_choose(&product->plan, &product->offered, self->weighted.head.request.device, &product->graph, error);
}

static int none_offered(const struct conv *self, const char *direction, struct error *error)
{
    const struct op_request *request = &self->weighted.head.request;
    const struct cuda_settings *settings = cuda_settings();
    const struct shape in = request->inputs[0]->shape;
    const char *deterministic = settings->deterministic ? ", deterministic," : "", *strict = request->precision == PRECISION_FP32 && !settings->tf32 ? " without TF32" : "";
    return fail(error, EXIT_DEVICE, "cuda:%d: cuDNN %zu has no %s convolution of %dx%d, stride %d, over %d x %dx%dx%d to %d channels in %s%s%s within %zu MiB of workspace",
                request->device->ordinal, cudnnGetVersion(), direction, self->args.size, self->args.size, self->args.stride, request->batch, in.c, in.h, in.w,
                self->args.filters, precision_name(request->precision), deterministic, strict, settings->workspace_bytes >> 20);
}

static int choose_forward(struct conv *self, struct error *error)
{
    const enum precision precision = self->weighted.head.request.precision;
    const bool bias = self->weighted.head.request.params[1] != NULL;
    if (bias && choose(self, &self->forward, PASS_FORWARD, precision, true, error))
        return -1;
    self->weighted.bias_fused = self->forward.offered;
    if (!self->forward.offered && choose(self, &self->forward, PASS_FORWARD, precision, false, error))
        return -1;
    return self->forward.offered ? 0 : none_offered(self, "forward", error);
}

static int choose_filter(struct conv *self, struct error *error)
{
    const enum precision precision = self->weighted.head.request.precision;
    self->filter_precision = PRECISION_FP32;
    if (choose(self, &self->filter, PASS_FILTER, PRECISION_FP32, false, error))
        return -1;
    if (!self->filter.offered && precision != PRECISION_FP32) {
        self->filter_precision = precision;
        if (choose(self, &self->filter, PASS_FILTER, precision, false, error))
            return -1;
    }
    return self->filter.offered ? 0 : none_offered(self, "backward (filter)", error);
}

static int choose_data(struct conv *self, struct error *error)
{
    const struct op_request *request = &self->weighted.head.request;
    if (request->add_gradient[0] && choose(self, &self->data, PASS_DATA_ADDED, request->precision, false, error))
        return -1;
    self->weighted.head.op.adds = self->data.offered;
    if (!self->data.offered && choose(self, &self->data, PASS_DATA, request->precision, false, error))
        return -1;
    return self->data.offered ? 0 : none_offered(self, "backward (data)", error);
}

static int forward(struct op *op, const struct step *step, struct error *error)
{
    struct conv *self = (struct conv *)op;
    const struct op_request *request = &self->weighted.head.request;
    void *x = request->inputs[0]->data, *y = request->output->data;
    void *const with_bias[] = { x, op->saved, weighted_bias(&self->weighted), y }, *const without[] = { x, op->saved, y };
    const int result = cudnn_plan_run(&self->forward.plan, self->weighted.bias_fused ? with_bias : without, weighted_workspace(&self->weighted, false), error);
    return result ? weighted_placed(&self->weighted, result, error) : weighted_finish(&self->weighted, step, error);
}

static int backward(struct op *op, const struct step *step, struct error *error)
{
    struct conv *self = (struct conv *)op;
    const struct weighted *weighted = &self->weighted;
    const struct tensor *x = weighted->head.request.inputs[0], *y = weighted->head.request.output;
    void *const of_filter[] = { x->data, weighted_gradient(weighted), y->gradient }, *const of_data[] = { x->gradient, op->saved, y->gradient };
    void *workspace = weighted_workspace(weighted, true);
    if (weighted_begin_back(weighted, step, error))
        return -1;
    if (weighted_placed(weighted, cudnn_plan_run(&self->filter.plan, of_filter, workspace, error), error) || weighted_unpack(weighted, step, self->filter_precision, error))
        return -1;
    return x->gradient ? weighted_placed(weighted, cudnn_plan_run(&self->data.plan, of_data, workspace, error), error) : 0;
}

static void release(struct op *op)
{
    struct conv *self = (struct conv *)op;
    forget(&self->forward);
    forget(&self->filter);
    forget(&self->data);
    cuda_op_free(op);
}

int cuda_conv(struct op **op, const struct op_request *request, const struct conv_args *args, struct error *error)
{
    static const struct op_calls calls = { .pack = weighted_pack, .forward = forward, .backward = backward, .free = release };
    cudnnHandle_t handle;
    ASSERT(!args->pool.size);
    if (cuda_cudnn(request->device, &handle, error))
        return -1;
    struct conv *self = cuda_op_new(sizeof *self, &calls, request, error);
    if (!self)
        return -1;
    self->args = *args;
    self->weighted.relu = args->relu;
    self->weighted.filters = (struct filter_shape){ args->filters, request->inputs[0]->shape.c, args->size, args->size };
    int result = choose_forward(self, error);
    if (result == 0 && request->training)
        result = choose_filter(self, error);
    if (result == 0 && request->training && request->want_gradient[0])
        result = choose_data(self, error);
    if (weighted_placed(&self->weighted, result, error)) {
        release(&self->weighted.head.op);
        return -1;
    }
    const size_t gradient_bytes = request->training ? filter_count(self->weighted.filters) * cuda_element_bytes(self->filter_precision) : 0;
    weighted_lay_out(&self->weighted, gradient_bytes, self->forward.plan.workspace_bytes, size_max(self->filter.plan.workspace_bytes, self->data.plan.workspace_bytes));
    *op = &self->weighted.head.op;
    return 0;
}
