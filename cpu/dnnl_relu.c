/* ReLU in the layout of its input, by our own loops: oneDNN's makes 0 of a NaN, which must stay visible. Padding stays 0. The sign and the
 * being a NaN of a bf16 are those of its bits, so nothing is converted. */
#include "cpu/dnnl.h"

struct relu {
    struct onednn_op op;
    const struct tensor *x, *y;
};

/* What is taken where `sign` is positive or a NaN. */
static void rectify(float *to, const float *sign, const float *from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = sign[i] <= 0 ? 0 : from[i];
}

static void rectify_bf16(uint16_t *to, const uint16_t *sign, const uint16_t *from, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bool negative = (sign[i] >= 0x8000) & ((sign[i] & 0x7fff) <= 0x7f80);
        to[i] = (negative | (sign[i] == 0)) ? 0 : from[i];
    }
}

void onednn_rectify(const struct tensor *to, const struct tensor *from)
{
    if (to->precision == PRECISION_BF16)
        rectify_bf16(to->data, from->data, from->data, element_count(to));
    else
        rectify(to->data, from->data, from->data, element_count(to));
}

static int forward(struct op *op, const struct step *step, struct error *error)
{
    const struct relu *self = (const struct relu *)op;
    (void)step, (void)error;
    onednn_rectify(self->y, self->x);
    return 0;
}

static int backward(struct op *op, const struct step *step, struct error *error)
{
    const struct relu *self = (const struct relu *)op;
    (void)step, (void)error;
    if (self->y->precision == PRECISION_BF16)
        rectify_bf16(self->x->gradient, self->y->data, self->y->gradient, element_count(self->y));
    else
        rectify(self->x->gradient, self->y->data, self->y->gradient, element_count(self->y));
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
    build_output(&build, tensor_layout(self->x));
    return build_end(&build, request->training && request->want_gradient[0] ? &both : &forward_only, op);
}
