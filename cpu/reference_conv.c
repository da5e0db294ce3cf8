/* Convolution: y[f][i][j] = bias[f] + sum over c, r, s of w[f][c][r][s] x[c][i stride + r - pad][j stride + s - pad], zero outside. */
#include "cpu/reference.h"

#include <string.h>

/* One convolution's sizes, and how an index is found from coordinates. */
struct geometry { struct shape in, out; int size, stride, pad; };

static struct geometry geometry_of(const struct reference_op *self)
{
    const struct conv_args *args = &self->args.conv;
    return (struct geometry){ self->request.inputs[0]->shape, self->request.output->shape, args->size, args->stride, args->pad };
}

static size_t input_at(const struct geometry *g, int c, int h, int w) { return ((size_t)c * (size_t)g->in.h + (size_t)h) * (size_t)g->in.w + (size_t)w; }
static size_t output_at(const struct geometry *g, int f, int i, int j) { return ((size_t)f * (size_t)g->out.h + (size_t)i) * (size_t)g->out.w + (size_t)j; }

static size_t weight_at(const struct geometry *g, int f, int c, int r, int s)
{
    return (((size_t)f * (size_t)g->in.c + (size_t)c) * (size_t)g->size + (size_t)r) * (size_t)g->size + (size_t)s;
}

/* The part [from, to) of a window at `start` that lies inside [0, n). */
static void inside(int start, int size, int n, int *from, int *to)
{
    *from = start < 0 ? -start : 0;
    *to = start + size > n ? n - start : size;
}

static double window_sum(const struct geometry *g, const float *x, const float *weight, int f, int i, int j)
{
    int top = i * g->stride - g->pad, left = j * g->stride - g->pad, r0, r1, s0, s1;
    double sum = 0;
    inside(top, g->size, g->in.h, &r0, &r1);
    inside(left, g->size, g->in.w, &s0, &s1);
    for (int c = 0; c < g->in.c; c++)
        for (int r = r0; r < r1; r++)
            for (int s = s0; s < s1; s++)
                sum += (double)weight[weight_at(g, f, c, r, s)] * (double)x[input_at(g, c, top + r, left + s)];
    return sum;
}

static int forward(struct op *op, const struct step *step, struct error *error)
{
    const struct reference_op *self = reference_of(op);
    const struct geometry g = geometry_of(self);
    const float *weight = reference_weights(self, 0, step), *bias = self->request.params[1] ? reference_weights(self, 1, step) : NULL;
    (void)error;
    for (int b = 0; b < self->request.batch; b++) {
        const float *x = (const float *)self->request.inputs[0]->data + (size_t)b * shape_count(g.in);
        float *y = (float *)self->request.output->data + (size_t)b * shape_count(g.out);
        for (int f = 0; f < g.out.c; f++)
            for (int i = 0; i < g.out.h; i++)
                for (int j = 0; j < g.out.w; j++)
                    y[output_at(&g, f, i, j)] = (float)(window_sum(&g, x, weight, f, i, j) + (bias ? (double)bias[f] : 0));
    }
    return 0;
}

/* What one output's gradient adds to the gradients of the window (dx may be NULL) and of the filter. */
static void spread(const struct geometry *g, double dy, const float *x, double *dx, const float *weight, double *dweight, int f, int i, int j)
{
    int top = i * g->stride - g->pad, left = j * g->stride - g->pad, r0, r1, s0, s1;
    inside(top, g->size, g->in.h, &r0, &r1);
    inside(left, g->size, g->in.w, &s0, &s1);
    for (int c = 0; c < g->in.c; c++)
        for (int r = r0; r < r1; r++)
            for (int s = s0; s < s1; s++) {
                size_t at = input_at(g, c, top + r, left + s), w = weight_at(g, f, c, r, s);
                dweight[w] += dy * (double)x[at];
                if (dx)
                    dx[at] += dy * (double)weight[w];
            }
}

static void narrow(float *to, const double *from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = (float)from[i];
}

static int backward(struct op *op, const struct step *step, struct error *error)
{
    const struct reference_op *self = reference_of(op);
    const struct geometry g = geometry_of(self);
    const struct tensor *in = self->request.inputs[0], *out = self->request.output;
    const float *weight = reference_weights(self, 0, step);
    size_t n_weights = self->request.params[0]->count, n_in = shape_count(g.in);
    double *dweight = op->scratch, *dbias = dweight + n_weights, *dx = dbias + g.out.c;
    (void)error;
    memset(dweight, 0, (n_weights + (size_t)g.out.c) * sizeof *dweight);
    for (int b = 0; b < self->request.batch; b++) {
        const float *x = (const float *)in->data + (size_t)b * n_in, *dy = (const float *)out->gradient + (size_t)b * shape_count(g.out);
        memset(dx, 0, n_in * sizeof *dx);
        for (int f = 0; f < g.out.c; f++)
            for (int i = 0; i < g.out.h; i++)
                for (int j = 0; j < g.out.w; j++) {
                    double d = (double)dy[output_at(&g, f, i, j)];
                    dbias[f] += d;
                    spread(&g, d, x, in->gradient ? dx : NULL, weight, dweight, f, i, j);
                }
        if (in->gradient)
            narrow((float *)in->gradient + (size_t)b * n_in, dx, n_in);
    }
    narrow(reference_gradient(self, 0, step), dweight, n_weights);
    if (self->request.params[1])
        narrow(reference_gradient(self, 1, step), dbias, (size_t)g.out.c);
    return 0;
}

static const struct op_calls calls = { .forward = forward, .backward = backward, .free = reference_free };

int reference_conv(struct op **op, const struct op_request *request, const struct conv_args *args, struct error *error)
{
    ASSERT(!args->relu && !args->pool.size);
    struct reference_op *self = reference_new(op, request, &calls, 0, error);
    if (!self)
        return -1;
    self->args.conv = *args;
    reference_round_weights(self);
    if (request->training)
        self->op.scratch_bytes = (request->params[0]->count + (size_t)args->filters + shape_count(request->inputs[0]->shape)) * sizeof(double);
    return 0;
}
