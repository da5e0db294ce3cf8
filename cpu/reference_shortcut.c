/* The shortcut without parameters: what it takes of the input, and zeros. */
#include "cpu/reference.h"

#include <string.h>

/* Calls for every output element that is an input element: their places in [B][C][H][W]. */
static void each(const struct reference_op *self, void (*visit)(float *, const float *, size_t, size_t), float *to, const float *from)
{
    const struct shape in = self->request.inputs[0]->shape, out = self->request.output->shape;
    const int stride = self->args.shortcut.stride, front = shortcut_front(in.c, out.c);
    for (int b = 0; b < self->request.batch; b++)
        for (int c = 0; c < in.c; c++)
            for (int y = 0; y < out.h; y++)
                for (int x = 0; x < out.w; x++)
                    visit(to, from, (((size_t)b * (size_t)out.c + (size_t)(c + front)) * (size_t)out.h + (size_t)y) * (size_t)out.w + (size_t)x,
                          (((size_t)b * (size_t)in.c + (size_t)c) * (size_t)in.h + (size_t)(y * stride)) * (size_t)in.w + (size_t)(x * stride));
}

static void take(float *y, const float *x, size_t out, size_t in) { y[out] = x[in]; }
static void give(float *dx, const float *dy, size_t out, size_t in) { dx[in] = dy[out]; }

static int forward(struct op *op, const struct step *step, struct error *error)
{
    const struct reference_op *self = reference_of(op);
    const struct tensor *x = self->request.inputs[0], *y = self->request.output;
    (void)step, (void)error;
    memset(y->data, 0, y->bytes);
    each(self, take, y->data, x->data);
    return 0;
}

static int backward(struct op *op, const struct step *step, struct error *error)
{
    const struct reference_op *self = reference_of(op);
    const struct tensor *x = self->request.inputs[0], *y = self->request.output;
    (void)step, (void)error;
    if (!x->gradient)
        return 0;
    memset(x->gradient, 0, x->bytes);
    each(self, give, x->gradient, y->gradient);
    return 0;
}

static const struct op_calls calls = { .forward = forward, .backward = backward, .free = reference_free };

int reference_shortcut(struct op **op, const struct op_request *request, const struct shortcut_args *args, struct error *error)
{
    struct reference_op *self = reference_new(op, request, &calls, 0, error);
    if (!self)
        return -1;
    self->args.shortcut = *args;
    return 0;
}
