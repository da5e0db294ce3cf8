/* Dropout by a mask of 0 and 1/(1-p), drawn in canonical order, so that the layout changes no draw, and reordered to the input's layout. */
#include "cpu/dnnl.h"

#include "cpu/bf16.h"
#include "cpu/dropout.h"

#include <string.h>

struct dropout {
    struct onednn_op op;
    const struct tensor *x, *y;
    struct dropout_args args;
    struct place drawn; /* [B][C][H][W] */
    struct place mask;  /* as the activations lie, in fp32; padding 0 */
};

static void multiply_floats(float *restrict to, const float *restrict from, const float *restrict mask, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = from[i] * mask[i];
}

static void multiply_bf16(uint16_t *restrict to, const uint16_t *restrict from, const float *restrict mask, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = bf16_narrow(bf16_widen(from[i]) * mask[i]);
}

static void multiply(const struct dropout *self, void *to, const void *from, const struct step *step)
{
    const float *mask = onednn_resolve(&self->op, &self->mask, step);
    if (self->y->precision == PRECISION_BF16)
        multiply_bf16(to, from, mask, element_count(self->y));
    else
        multiply_floats(to, from, mask, element_count(self->y));
}

static int forward(struct op *head, const struct step *step, struct error *error)
{
    struct dropout *self = (struct dropout *)head;
    dropout_mask(onednn_resolve(&self->op, &self->drawn, step), self->x->shape, self->x->batch, &self->args, step);
    if (onednn_run(&self->op, &self->op.forward, step, error))
        return -1;
    multiply(self, self->y->data, self->x->data, step);
    return 0;
}

static int backward(struct op *head, const struct step *step, struct error *error)
{
    struct dropout *self = (struct dropout *)head;
    (void)error;
    multiply(self, self->x->gradient, self->y->gradient, step);
    return 0;
}

static int copy(struct op *head, const struct step *step, struct error *error)
{
    const struct dropout *self = (const struct dropout *)head;
    (void)step, (void)error;
    memcpy(self->y->data, self->x->data, self->y->bytes);
    return 0;
}

int onednn_dropout(struct op **op, const struct op_request *request, const struct dropout_args *args, struct error *error)
{
    static const struct op_calls training = { .forward = forward, .backward = backward, .free = onednn_free };
    static const struct op_calls evaluation = { .forward = copy, .free = onednn_free };
    struct build build;
    if (build_begin(&build, sizeof(struct dropout), request, error))
        return -1;
    struct dropout *self = (struct dropout *)build.op;
    self->args = *args;
    self->x = request->inputs[0];
    self->y = request->output;
    build_output(&build, tensor_layout(self->x));
    if (request->training) {
        const struct layout *alike = build_floats_alike(&build, self->x);
        struct view mask = { build_saved(&build, layout_bytes(alike)), alike };
        struct view drawn = build_target(&build, mask, build_floats(&build, self->x));
        build_deliver(&build, &self->op.forward, drawn, mask);
        self->mask = mask.place;
        self->drawn = drawn.place;
    }
    return build_end(&build, request->training ? &training : &evaluation, op);
}
