/* Local response normalization: with s[c] = k + alpha/size * sum of x^2 over the size channels around c (those that exist),
 * y[c] = x[c] s[c]^-beta, and dx[c] = dy[c] s[c]^-beta - 2 alpha beta/size x[c] * sum over the same channels of dy x s^(-beta-1). */
#include "base/elementary.h"
#include "cpu/reference.h"

/* Channels [from, to) around c. */
static int from(const struct lrn_args *args, int c) { return c < args->size / 2 ? 0 : c - args->size / 2; }
static int to(const struct lrn_args *args, int c, int channels) { return c + args->size / 2 + 1 > channels ? channels : c + args->size / 2 + 1; }

/* s[c] at one place; `x` points at channel 0 there, channels are `plane` apart. */
static double base(const struct lrn_args *args, const float *x, int c, int channels, size_t plane)
{
    double squares = 0;
    for (int i = from(args, c); i < to(args, c, channels); i++)
        squares += (double)x[(size_t)i * plane] * (double)x[(size_t)i * plane];
    return (double)args->k + (double)args->alpha / args->size * squares;
}

/* Calls for every place of every sample: where channel 0 is; channels are `plane` apart. */
static void each_place(const struct reference_op *self, void (*visit)(const struct reference_op *self, size_t start, size_t plane))
{
    const struct shape shape = self->request.output->shape;
    const size_t plane = (size_t)shape.h * (size_t)shape.w;
    for (int b = 0; b < self->request.batch; b++)
        for (size_t i = 0; i < plane; i++)
            visit(self, (size_t)b * shape_count(shape) + i, plane);
}

static void normalize(const struct reference_op *self, size_t start, size_t plane)
{
    const struct lrn_args *args = &self->args.lrn;
    const int channels = self->request.output->shape.c;
    const float *x = (const float *)self->request.inputs[0]->data + start;
    float *y = (float *)self->request.output->data + start;
    for (int c = 0; c < channels; c++)
        y[(size_t)c * plane] = (float)((double)x[(size_t)c * plane] 
            * elementary_pow(base(args, x, c, channels, plane), -(double)args->beta));
}

static int forward(struct op *op, const struct step *step, struct error *error)
{
    (void)step, (void)error;
    each_place(reference_of(op), normalize);
    return 0;
}

static double gradient(const struct lrn_args *args, const float *x, const float *dy, int c, int channels, size_t plane)
{
    double beta = (double)args->beta, spread = 0;
    for (int i = from(args, c); i < to(args, c, channels); i++)
        spread += (double)dy[(size_t)i * plane] * (double)x[(size_t)i * plane] 
            * elementary_pow(base(args, x, i, channels, plane), -beta - 1);
    double own = (double)dy[(size_t)c * plane] * elementary_pow(base(args, x, c, channels, plane), -beta);
    return own - 2 * (double)args->alpha * beta / args->size * (double)x[(size_t)c * plane] * spread;
}

static void spread_back(const struct reference_op *self, size_t start, size_t plane)
{
    const int channels = self->request.output->shape.c;
    const float *x = (const float *)self->request.inputs[0]->data + start, *dy = (const float *)self->request.output->gradient + start;
    float *dx = (float *)self->request.inputs[0]->gradient + start;
    for (int c = 0; c < channels; c++)
        dx[(size_t)c * plane] = (float)gradient(&self->args.lrn, x, dy, c, channels, plane);
}

static int backward(struct op *op, const struct step *step, struct error *error)
{
    (void)step, (void)error;
    each_place(reference_of(op), spread_back);
    return 0;
}

static const struct op_calls calls = { .forward = forward, .backward = backward, .free = reference_free };

int reference_lrn(struct op **op, const struct op_request *request, const struct lrn_args *args, struct error *error)
{
    struct reference_op *self = reference_new(op, request, &calls, 0, error);
    if (!self)
        return -1;
    self->args.lrn = *args;
    return 0;
}
