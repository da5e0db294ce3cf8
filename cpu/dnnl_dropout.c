/* Dropout by a mask of 0 and 1/(1-p), drawn in canonical order, so that the layout changes no draw, and reordered to the input's layout. */
#include "cpu/dnnl.h"

#include "cpu/dropout.h"

#include <string.h>

struct dropout {
    struct onednn_op op;
    const struct tensor *x, *y;
    struct dropout_args args;
    struct place drawn; /* [B][C][H][W] */
    struct place mask;  /* as the activations lie; padding 0 */
};

static void multiply(float *restrict to, const float *restrict from, const float *restrict mask, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = from[i] * mask[i];
}

static int forward(struct op *head, const struct step *step, struct error *error)
{
    struct dropout *self = (struct dropout *)head;
    dropout_mask(onednn_resolve(&self->op, &self->drawn, step), self->x->shape, self->x->batch, &self->args, step);
    if (onednn_run(&self->op, &self->op.forward, step, error))
        return -1;
    multiply(self->y->data, self->x->data, onednn_resolve(&self->op, &self->mask, step), self->y->bytes / sizeof(float));
    return 0;
}

static int backward(struct op *head, const struct step *step, struct error *error)
{
    struct dropout *self = (struct dropout *)head;
    (void)error;
    multiply(self->x->gradient, self->y->gradient, onednn_resolve(&self->op, &self->mask, step), self->y->bytes / sizeof(float));
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
    dnnl_memory_desc_t plain;
    if (build_begin(&build, sizeof(struct dropout), request, error))
        return -1;
    struct dropout *self = (struct dropout *)build.op;
    self->args = *args;
    self->x = request->inputs[0];
    self->y = request->output;
    self->op.layout = *tensor_layout(self->x);
    if (request->training) {
        layout_activation(&plain, self->x->shape, request->batch, dnnl_nchw);
        struct view mask = { build_saved(&build, dnnl_memory_desc_get_size(&self->op.layout)), &self->op.layout };
        struct view drawn = build_target(&build, mask, &plain);
        build_deliver(&build, &self->op.forward, drawn, mask);
        self->mask = mask.place;
        self->drawn = drawn.place;
    }
    return build_end(&build, request->training ? &training : &evaluation, op);
}
