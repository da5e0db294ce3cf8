/* Pooling in lanes. The maximum remembers, lane by lane, which place of its window won (the first of equals; a NaN always wins). */
#include "cpu/lanes.h"

typedef int32_t place_number __attribute__((vector_size(4 * LANES)));
typedef uint16_t window_place __attribute__((vector_size(2 * LANES))); /* one a lane */

struct pool {
    struct op op;
    struct pool_args args;
    int batch, height, width; /* of the window */
    const struct tensor *in, *out;
};

/* The part of an output's window that lies inside the plane. */
struct window { int y0, y1, x0, x1; };

static struct window window_at(const struct pool *pool, int y, int x)
{
    const struct shape in = pool->in->shape;
    const int top = y * pool->args.stride - pool->args.pad, left = x * pool->args.stride - pool->args.pad;
    return (struct window){
        .y0 = top > 0 ? top : 0, .y1 = top + pool->height < in.h ? top + pool->height : in.h,
        .x0 = left > 0 ? left : 0, .x1 = left + pool->width < in.w ? left + pool->width : in.w,
    };
}

static vec maximum(const float *plane, int width, struct window window, window_place *place)
{
    vec best = vec_load(plane + (window.y0 * width + window.x0) * LANES), winner = vec_zero();
    int k = 0;
    for (int y = window.y0; y < window.y1; y++)
        for (int x = window.x0; x < window.x1; x++, k++) {
            vec a = vec_load(plane + (y * width + x) * LANES);
            lane_mask wins = vec_greater(a, best) | vec_is_nan(a);
            best = vec_select(wins, a, best);
            winner = vec_select(wins, vec_all((float)k), winner); /* exact: windows are smaller than 2^24 places */
        }
    *place = __builtin_convertvector(__builtin_convertvector(winner, place_number), window_place);
    return best;
}

static vec average(const float *plane, int width, struct window window)
{
    vec sum = vec_zero();
    for (int y = window.y0; y < window.y1; y++)
        for (int x = window.x0; x < window.x1; x++)
            sum += vec_load(plane + (y * width + x) * LANES);
    return sum / vec_all((float)((window.y1 - window.y0) * (window.x1 - window.x0)));
}

static int forward(struct op *op, const struct step *step, struct error *error)
{
    (void)step, (void)error;
    const struct pool *pool = (const struct pool *)op;
    const struct shape in = pool->in->shape, out = pool->out->shape;
    const int planes = lanes_blocks(pool->batch) * out.c;
    const float *plane = pool->in->data;
    float *to = pool->out->data;
    window_place *places = op->saved, unused;
    for (int p = 0; p < planes; p++, plane += in.h * in.w * LANES)
        for (int y = 0; y < out.h; y++)
            for (int x = 0; x < out.w; x++, to += LANES) {
                struct window window = window_at(pool, y, x);
                if (pool->args.kind == POOL_AVERAGE)
                    vec_store(to, average(plane, in.w, window));
                else
                    vec_store(to, maximum(plane, in.w, window, op->saved_bytes ? places++ : &unused));
            }
    return 0;
}

static void maximum_back(float *plane, int width, struct window window, vec d, window_place place)
{
    vec winner = __builtin_convertvector(__builtin_convertvector(place, place_number), vec);
    int k = 0;
    for (int y = window.y0; y < window.y1; y++)
        for (int x = window.x0; x < window.x1; x++, k++) {
            float *at = plane + (y * width + x) * LANES;
            lane_mask others = vec_greater(winner, vec_all((float)k)) | vec_greater(vec_all((float)k), winner);
            vec_store(at, vec_load(at) + vec_select(others, vec_zero(), d));
        }
}

static void average_back(float *plane, int width, struct window window, vec d)
{
    d /= vec_all((float)((window.y1 - window.y0) * (window.x1 - window.x0)));
    for (int y = window.y0; y < window.y1; y++)
        for (int x = window.x0; x < window.x1; x++) {
            float *at = plane + (y * width + x) * LANES;
            vec_store(at, vec_load(at) + d);
        }
}

static int backward(struct op *op, const struct step *step, struct error *error)
{
    (void)step, (void)error;
    const struct pool *pool = (const struct pool *)op;
    if (!pool->in->gradient)
        return 0;
    const struct shape in = pool->in->shape, out = pool->out->shape;
    const int planes = lanes_blocks(pool->batch) * out.c;
    float *plane = pool->in->gradient;
    const float *from = pool->out->gradient;
    const window_place *places = op->saved;
    memset(plane, 0, lanes_bytes(in, pool->batch));
    for (int p = 0; p < planes; p++, plane += in.h * in.w * LANES)
        for (int y = 0; y < out.h; y++)
            for (int x = 0; x < out.w; x++, from += LANES) {
                struct window window = window_at(pool, y, x);
                if (pool->args.kind == POOL_AVERAGE)
                    average_back(plane, in.w, window, vec_load(from));
                else
                    maximum_back(plane, in.w, window, vec_load(from), *places++);
            }
    return 0;
}

static const struct op_calls calls = { .forward = forward, .backward = backward, .free = lanes_op_free };

int lanes_pool(struct op **op, const struct op_request *request, const struct pool_args *args, struct error *error)
{
    struct pool *pool = lanes_op_new(sizeof *pool, &calls, request, error);
    if (!pool)
        return -1;
    const bool global = args->size == 0;
    pool->args = *args;
    pool->batch = request->batch;
    pool->in = request->inputs[0];
    pool->out = request->output;
    pool->height = global ? pool->in->shape.h : args->size;
    pool->width = global ? pool->in->shape.w : args->size;
    if (global)
        pool->args.stride = 1, pool->args.pad = 0;
    if (request->training && args->kind == POOL_MAX)
        pool->op.saved_bytes = (size_t)lanes_blocks(request->batch) * shape_count(pool->out->shape) * sizeof(window_place);
    *op = &pool->op;
    return 0;
}
