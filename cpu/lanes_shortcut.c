/* The shortcut without parameters, in lanes: whole vectors move, the rest of the planes is cleared. */
#include "cpu/lanes.h"

struct shortcut {
    struct op op;
    int batch, stride, front; /* front: planes of zeros before the input's */
    const struct tensor *in, *out;
};

static void take_plane(float *out, const float *in, struct shape size, int in_width, int stride)
{
    for (int y = 0; y < size.h; y++, in += stride * in_width * LANES)
        for (int x = 0; x < size.w; x++, out += LANES)
            vec_store(out, vec_load(in + x * stride * LANES));
}

static int forward(struct op *op, const struct step *step, struct error *error)
{
    (void)step, (void)error;
    const struct shortcut *shortcut = (const struct shortcut *)op;
    const struct shape in = shortcut->in->shape, out = shortcut->out->shape;
    const size_t in_plane = (size_t)in.h * (size_t)in.w * LANES, plane = (size_t)out.h * (size_t)out.w * LANES;
    const size_t front = (size_t)shortcut->front * plane, behind = (size_t)(out.c - in.c - shortcut->front) * plane;
    const float *from = shortcut->in->data;
    float *to = shortcut->out->data;
    for (int block = 0; block < lanes_blocks(shortcut->batch); block++) {
        memset(to, 0, front * sizeof *to);
        to += front;
        for (int c = 0; c < in.c; c++, from += in_plane, to += plane)
            take_plane(to, from, out, in.w, shortcut->stride);
        memset(to, 0, behind * sizeof *to);
        to += behind;
    }
    return 0;
}

static void give_plane(float *in, const float *out, struct shape size, int in_width, int stride)
{
    for (int y = 0; y < size.h; y++, in += stride * in_width * LANES)
        for (int x = 0; x < size.w; x++, out += LANES)
            vec_store(in + x * stride * LANES, vec_load(out));
}

static int backward(struct op *op, const struct step *step, struct error *error)
{
    (void)step, (void)error;
    const struct shortcut *shortcut = (const struct shortcut *)op;
    const struct shape in = shortcut->in->shape, out = shortcut->out->shape;
    const size_t in_plane = (size_t)in.h * (size_t)in.w * LANES, plane = (size_t)out.h * (size_t)out.w * LANES;
    const float *from = shortcut->out->gradient;
    float *to = shortcut->in->gradient;
    if (!to)
        return 0;
    for (int block = 0; block < lanes_blocks(shortcut->batch); block++, from += lanes_count(out))
        for (int c = 0; c < in.c; c++, to += in_plane) {
            if (shortcut->stride > 1)
                memset(to, 0, in_plane * sizeof *to);
            give_plane(to, from + (size_t)(shortcut->front + c) * plane, out, in.w, shortcut->stride);
        }
    return 0;
}

static const struct op_calls calls = { .forward = forward, .backward = backward, .free = lanes_op_free };

int lanes_shortcut(struct op **op, const struct op_request *request, const struct shortcut_args *args, struct error *error)
{
    struct shortcut *shortcut = lanes_op_new(sizeof *shortcut, &calls, request, error);
    if (!shortcut)
        return -1;
    shortcut->batch = request->batch;
    shortcut->stride = args->stride;
    shortcut->in = request->inputs[0];
    shortcut->out = request->output;
    shortcut->front = shortcut_front(shortcut->in->shape.c, shortcut->out->shape.c);
    *op = &shortcut->op;
    return 0;
}
