/* Pooling. The maximum's gradient goes to the first of equals in row order; a NaN in the window is its maximum. The average is over
 * the elements inside the plane. */
#include "cpu/reference.h"

#include <math.h>
#include <string.h>

/* Rows [top, bottom) and columns [left, right) of a plane. */
struct window { int top, bottom, left, right; };

static int clip_low(int x) { return x < 0 ? 0 : x; }
static int clip_high(int x, int n) { return x > n ? n : x; }

static struct window window_at(const struct pool_args *args, struct shape in, int i, int j)
{
    if (args->size == 0)
        return (struct window){ 0, in.h, 0, in.w };
    int top = i * args->stride - args->pad, left = j * args->stride - args->pad;
    return (struct window){ clip_low(top), clip_high(top + args->size, in.h), clip_low(left), clip_high(left + args->size, in.w) };
}

static int elements(const struct window *window) { return (window->bottom - window->top) * (window->right - window->left); }

static size_t first_maximum(const struct window *window, const float *plane, int width)
{
    size_t best = (size_t)window->top * (size_t)width + (size_t)window->left;
    for (int h = window->top; h < window->bottom; h++)
        for (int w = window->left; w < window->right; w++) {
            size_t at = (size_t)h * (size_t)width + (size_t)w;
            if (plane[at] > plane[best] || (isnan(plane[at]) && !isnan(plane[best])))
                best = at;
        }
    return best;
}

static double average(const struct window *window, const float *plane, int width)
{
    double sum = 0;
    for (int h = window->top; h < window->bottom; h++)
        for (int w = window->left; w < window->right; w++)
            sum += (double)plane[(size_t)h * (size_t)width + (size_t)w];
    return sum / elements(window);
}

static int forward(struct op *op, const struct step *step, struct error *error)
{
    const struct reference_op *self = reference_of(op);
    const struct pool_args *args = &self->args.pool;
    struct shape in = self->request.inputs[0]->shape, out = self->request.output->shape;
    const float *x = self->request.inputs[0]->data;
    float *y = self->request.output->data;
    (void)step, (void)error;
    for (int plane = 0; plane < self->request.batch * in.c; plane++, x += (size_t)in.h * (size_t)in.w)
        for (int i = 0; i < out.h; i++)
            for (int j = 0; j < out.w; j++) {
                struct window window = window_at(args, in, i, j);
                *y++ = args->kind == POOL_MAX ? x[first_maximum(&window, x, in.w)] : (float)average(&window, x, in.w);
            }
    return 0;
}

static void spread_average(const struct window *window, float *plane, int width, float dy)
{
    float share = dy / (float)elements(window);
    for (int h = window->top; h < window->bottom; h++)
        for (int w = window->left; w < window->right; w++)
            plane[(size_t)h * (size_t)width + (size_t)w] += share;
}

static int backward(struct op *op, const struct step *step, struct error *error)
{
    const struct reference_op *self = reference_of(op);
    const struct pool_args *args = &self->args.pool;
    const struct tensor *input = self->request.inputs[0];
    struct shape in = input->shape, out = self->request.output->shape;
    size_t plane_size = (size_t)in.h * (size_t)in.w;
    const float *x = input->data, *dy = self->request.output->gradient;
    float *dx = input->gradient;
    (void)step, (void)error;
    memset(dx, 0, input->bytes);
    for (int plane = 0; plane < self->request.batch * in.c; plane++, x += plane_size, dx += plane_size)
        for (int i = 0; i < out.h; i++)
            for (int j = 0; j < out.w; j++, dy++) {
                struct window window = window_at(args, in, i, j);
                if (args->kind == POOL_MAX)
                    dx[first_maximum(&window, x, in.w)] += *dy;
                else
                    spread_average(&window, dx, in.w, *dy);
            }
    return 0;
}

static const struct op_calls calls = { .forward = forward, .backward = backward, .free = reference_free };

int reference_pool(struct op **op, const struct op_request *request, const struct pool_args *args, struct error *error)
{
    struct reference_op *self = reference_new(op, request, &calls, 0, error);
    if (!self)
        return -1;
    self->args.pool = *args;
    return 0;
}
