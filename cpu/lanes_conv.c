/* Convolution in lanes: preparation and the forward pass. Bias, relu and a 2 x 2 maximum are taken while the values are in registers; other
 * pools are prepared as two operations in one (lanes_chain.c). */
#include "cpu/lanes_conv.h"

#include "cpu/lanes_chain.h"
#include "cpu/lanes_strip.h"

size_t conv_bits(const struct conv *conv)
{
    size_t values = shape_count(conv->out->shape);
    return conv->pooled ? POOLED_BITS * values : conv->args.relu ? values : 0;
}

struct shape lanes_conv_map(struct shape in, const struct conv_args *args)
{
    return (struct shape){ args->filters, (in.h + 2 * args->pad - args->size) / args->stride + 1, (in.w + 2 * args->pad - args->size) / args->stride + 1 };
}

int conv_forward(struct op *op, const struct step *step, struct error *error)
{
    (void)error;
    const struct conv *conv = (const struct conv *)op;
    const struct conv_args *args = &conv->args;
    const struct shape in = conv_plane(conv, conv->in->shape), out = conv_plane(conv, conv->out->shape);
    for (int block = 0; block < lanes_blocks(conv->batch); block++) {
        const float *from = (const float *)conv->in->data + (size_t)block * lanes_count(in);
        float *to = (float *)conv->out->data + (size_t)block * lanes_count(out);
        lane_bits *bits = conv->keep && conv_bits(conv) ? (lane_bits *)op->saved + (size_t)block * conv_bits(conv) : NULL;
        for (int y = 0; y < out.h; y++) {
            const int line = (conv->pooled ? 2 * y : y) * args->stride - args->pad;
            /* kernel rows that fall inside; the pooled kernel looks for itself */
            const int first = conv->pooled || line >= 0 ? 0 : -line;
            const int end = conv->pooled || line + args->size <= in.h ? args->size : in.h - line;
            const struct strip strip = {
                .in = from + ((ptrdiff_t)(line + first) * in.w - args->pad) * LANES,
                .in_channel = (ptrdiff_t)in.h * in.w, .in_row = in.w, .in_step = args->stride,
                .in_column = -args->pad, .in_width = in.w, .in_line = line, .in_height = in.h,
                .channels = in.c, .rows = end > first ? end - first : 0, .columns = args->size,
                .w = step->weights + conv->weight->offset + first * args->size,
                .w_filter = (ptrdiff_t)in.c * args->size * args->size, .w_channel = (ptrdiff_t)args->size * args->size,
                .w_row = args->size, .w_column = 1,
                .filters = out.c, .n = out.w,
                .out = to + (size_t)y * (size_t)out.w * LANES, .out_channel = (ptrdiff_t)out.h * out.w, .out_step = 1,
                .bias = conv->bias ? step->weights + conv->bias->offset : NULL, .relu = args->relu,
                .bits = bits ? bits + (size_t)y * (size_t)out.w * (conv->pooled ? POOLED_BITS : 1) : NULL,
            };
            if (conv->pooled)
                strip_pooled(&strip);
            else
                strip_plain(&strip);
        }
    }
    return 0;
}

static const struct op_calls calls = { .forward = conv_forward, .backward = conv_backward, .free = lanes_op_free };
static const struct op_calls winograd_calls = { .forward = conv_winograd_forward, .backward = conv_winograd_backward, .free = lanes_op_free };

static bool pools_in_registers(const struct pool_args *pool)
{
    return pool->kind == POOL_MAX && pool->size == 2 && pool->stride == 2 && pool->pad == 0;
}

static struct conv *conv_new(const struct op_calls *own, const struct op_request *request, const struct conv_args *args, struct error *error)
{
    struct conv *conv = lanes_op_new(sizeof *conv, own, request, error);
    if (!conv)
        return NULL;
    conv->args = *args;
    conv->batch = request->batch;
    conv->want_gradient = request->want_gradient[0];
    conv->pooled = args->pool.size > 0;
    conv->keep = request->training;
    conv->in = request->inputs[0];
    conv->out = request->output;
    conv->weight = request->params[0];
    conv->bias = request->params[1];
    conv->map = lanes_conv_map(conv->in->shape, args);
    return conv;
}

int lanes_conv_plain(struct op **op, const struct op_request *request, const struct conv_args *args, struct error *error)
{
    struct conv *conv = conv_new(&calls, request, args, error);
    if (!conv)
        return -1;
    if (request->training) {
        conv->op.saved_bytes = lanes_bits_bytes((size_t)lanes_blocks(conv->batch) * conv_bits(conv));
        conv->op.scratch_bytes = conv_backward_scratch(conv);
    }
    *op = &conv->op;
    return 0;
}

int lanes_conv(struct op **op, const struct op_request *request, const struct conv_args *args, struct error *error)
{
    if (args->pool.size > 0 && !pools_in_registers(&args->pool))
        return lanes_conv_then_pool(op, request, args, error);
    if (!conv_winograd_pays(request->inputs[0]->shape, args))
        return lanes_conv_plain(op, request, args, error);
    struct conv *conv = conv_new(&winograd_calls, request, args, error);
    if (!conv)
        return -1;
    conv->op.scratch_bytes = conv_winograd_scratch(conv);
    *op = &conv->op;
    return 0;
}
