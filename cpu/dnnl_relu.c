/* ReLU in the layout of its input, by our own loops: oneDNN's makes 0 of a NaN, which must stay visible. Padding stays 0. */
#include "cpu/dnnl.h"

struct relu {
    struct onednn_op op;
    const struct tensor *x, *y;
};

static int forward(struct op *op, const struct step *step, struct error *error)
{
    const struct relu *self = (const struct relu *)op;
    (void)step, (void)error;
    const float *restrict x = self->x->data;
    float *restrict y = self->y->data;
    size_t n = self->y->bytes / sizeof(float);
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] <= 0 ? 0 : x[i];
    return 0;
}

static int backward(struct op *op, const struct step *step, struct error *error)
{
    const struct relu *self = (const struct relu *)op;
    (void)step, (void)error;
    const float *restrict y = self->y->data, *restrict dy = self->y->gradient;
    float *restrict dx = self->x->gradient;
    size_t n = self->y->bytes / sizeof(float);
    for (size_t i = 0; i < n; i++)
        dx[i] = y[i] <= 0 ? 0 : dy[i];
    return 0;
}

int onednn_relu(struct op **op, const struct op_request *request, struct error *error)
{
    static const struct op_calls both = { .forward = forward, .backward = backward, .free = onednn_free };
    static const struct op_calls forward_only = { .forward = forward, .free = onednn_free };
    struct build build;
    if (build_begin(&build, sizeof(struct relu), request, error))
        return -1;
    struct relu *self = (struct relu *)build.op;
    self->x = request->inputs[0];
    self->y = request->output;
    self->op.layout = *tensor_layout(self->x);
    return build_end(&build, request->training && request->want_gradient[0] ? &both : &forward_only, op);
}
