/* Fully connected, by cuBLASLt: y = x W' + bias over samples as rows, which column by column reads Y = W' X with W stored inner x outputs.
 *
 * Weights are packed in the plan's precision; behind a spatial tensor their columns go from C, H, W to H, W, C, and their gradient's go back. The gradient is computed in fp32 from
 * operands of any precision, straight into the canonical vector where the order is the same. ReLU is a pass of ours: the epilogue's, max(x, 0), is not said to keep a NaN. */
#include "cuda/matmul.h"
#include "cuda/weighted.h"

struct linear {
    struct weighted weighted;
    bool permuted;
    struct matmul forward, data, weight;
};

static int forward(struct op *op, const struct step *step, struct error *error)
{
    struct linear *self = (struct linear *)op;
    const struct weighted *weighted = &self->weighted;
    const struct op_request *request = &weighted->head.request;
    const struct matmul_data data = {
        .a = op->saved, .b = request->inputs[0]->data, .bias = weighted_bias(weighted), .d = request->output->data, .workspace = weighted_workspace(weighted, false),
    };
    const int result = matmul_run(&self->forward, &data, error);
    return result ? weighted_placed(weighted, result, error) : weighted_finish(weighted, step, error);
}

static int weight_gradient(struct linear *self, const struct step *step, struct error *error)
{
    const struct weighted *weighted = &self->weighted;
    const struct op_request *request = &weighted->head.request;
    const struct matmul_data data = {
        .a = request->inputs[0]->data, .b = request->output->gradient, .workspace = weighted_workspace(weighted, true),
        .d = self->permuted ? weighted_gradient(weighted) : step->gradient + request->params[0]->offset, .factor = weighted_factor(weighted), .zero = weighted_zero(weighted),
    };
    const int result = matmul_run(&self->weight, &data, error);
    if (result || !self->permuted)
        return weighted_placed(weighted, result, error);
    return weighted_unpack(weighted, step, PRECISION_FP32, error);
}

static int backward(struct op *op, const struct step *step, struct error *error)
{
    struct linear *self = (struct linear *)op;
    const struct weighted *weighted = &self->weighted;
    const struct op_request *request = &weighted->head.request;
    const struct tensor *x = request->inputs[0];
    const struct matmul_data data = { .a = op->saved, .b = request->output->gradient, .d = x->gradient, .workspace = weighted_workspace(weighted, true) };
    if (weighted_begin_back(weighted, step, error) || weight_gradient(self, step, error))
        return -1;
    return x->gradient ? weighted_placed(weighted, matmul_run(&self->data, &data, error), error) : 0;
}

static void release(struct op *op)
{
    struct linear *self = (struct linear *)op;
    matmul_close(&self->forward);
    matmul_close(&self->weight);
    matmul_close(&self->data);
    cuda_op_free(op);
}

/* In bytes. Canonical vectors are aligned to 64, a parameter in one as its offset is. */
static unsigned alignment_of(const struct param *param) { return param->offset % 4 == 0 ? 16 : param->offset % 2 == 0 ? 8 : 4; }

static int choose_forward(struct linear *self, int inputs, struct error *error)
{
    const struct op_request *request = &self->weighted.head.request;
    struct matmul_shape y = {
        .rows = self->weighted.filters.k, .columns = request->batch, .inner = inputs, .transposed_a = true, .operands = request->precision, .result = request->precision,
        .bias = request->params[1] != NULL, .alignment = 16,
    };
    if (matmul_open(&self->forward, request->device, &y, error))
        return -1;
    self->weighted.bias_fused = y.bias && self->forward.chosen;
    if (!y.bias || self->forward.chosen)
        return 0;
    y.bias = false;
    matmul_close(&self->forward);
    return matmul_open(&self->forward, request->device, &y, error);
}

static int choose_backward(struct linear *self, int inputs, struct error *error)
{
    const struct op_request *request = &self->weighted.head.request;
    const enum precision precision = request->precision;
    const int outputs = self->weighted.filters.k;
    const struct matmul_shape dw = {
        .rows = inputs, .columns = outputs, .inner = request->batch, .transposed_b = true, .operands = precision, .result = PRECISION_FP32, .scaled = !self->permuted,
        .alignment = self->permuted ? 16 : alignment_of(request->params[0]),
    };
    const struct matmul_shape dx = { .rows = inputs, .columns = request->batch, .inner = outputs, .operands = precision, .result = precision, .alignment = 16 };
    if (matmul_open(&self->weight, request->device, &dw, error))
        return -1;
    return request->want_gradient[0] ? matmul_open(&self->data, request->device, &dx, error) : 0;
}

static int none_offered(const struct matmul *product, struct error *error)
{
    const struct matmul_shape *shape = &product->shape;
    return fail(error, EXIT_DEVICE, "cuda:%d: cuBLASLt %zu has no product of %dx%d and %dx%d from %s to %s within the workspace that is allowed", product->gpu,
                cublasLtGetVersion(), shape->rows, shape->inner, shape->inner, shape->columns, precision_name(shape->operands), precision_name(shape->result));
}

static int choose(struct linear *self, struct error *error)
{
    const struct op_request *request = &self->weighted.head.request;
    const int inputs = (int)shape_count(request->inputs[0]->shape);
    const bool data = request->training && request->want_gradient[0];
    const struct matmul *const products[] = { &self->forward, request->training ? &self->weight : NULL, data ? &self->data : NULL };
    if (choose_forward(self, inputs, error) || (request->training && choose_backward(self, inputs, error)))
        return -1;
    for (int i = 0; i < 3; i++)
        if (products[i] && !products[i]->chosen)
            return none_offered(products[i], error);
    return 0;
}

int cuda_linear(struct op **op, const struct op_request *request, const struct linear_args *args, struct error *error)
{
    static const struct op_calls calls = { .pack = weighted_pack, .forward = forward, .backward = backward, .free = release };
    const struct shape in = request->inputs[0]->shape;
    struct linear *self = cuda_op_new(sizeof *self, &calls, request, error);
    if (!self)
        return -1;
    self->weighted.filters = (struct filter_shape){ args->outputs, in.c, in.h, in.w };
    self->weighted.relu = args->relu;
    self->permuted = in.c > 1 && in.h * in.w > 1;
    if (weighted_placed(&self->weighted, choose(self, error), error)) {
        release(&self->weighted.head.op);
        return -1;
    }
    weighted_lay_out(&self->weighted, request->training && self->permuted ? filter_count(self->weighted.filters) * sizeof(float) : 0, self->forward.workspace_bytes,
                     size_max(self->weight.workspace_bytes, self->data.workspace_bytes));
    *op = &self->weighted.head.op;
    return 0;
}
