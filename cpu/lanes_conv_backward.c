/* Convolution backward, one group of sixteen samples at a time, so that everything a group touches stays in the second cache: the
 * gradient of the map (spread out from the pooled one, cut by relu), then the filters' gradients, then the input's. */
#include "cpu/lanes_conv.h"

#include "cpu/lanes_filters.h"
#include "cpu/lanes_strip.h"
#include "cpu/loss_scale.h"

/* bias_sum[filter] += the sum of dout over the map, lane by lane. */
static void spread_pooled(const struct conv *conv, const float *dout, const uint16_t *masks, float *dmap, v16 *bias_sum)
{
    const struct shape map = conv->map, out = conv->out->shape;
    if (map.h != 2 * out.h || map.w != 2 * out.w)
        memset(dmap, 0, lanes_count(map) * sizeof *dmap);
    for (int c = 0; c < out.c; c++) {
        v16 sum = v16_zero();
        for (int y = 0; y < out.h; y++) {
            float *row = dmap + ((size_t)c * (size_t)map.h + (size_t)y * 2) * (size_t)map.w * LANES, *below = row + map.w * LANES;
            for (int x = 0; x < out.w; x++, dout += LANES, masks += POOLED_MASKS, row += 2 * LANES, below += 2 * LANES) {
                const uint16_t right = masks[POOLED_RIGHT], lower = masks[POOLED_LOWER];
                v16 d = v16_keep(masks[POOLED_LIVE], v16_load(dout));
                v16_store(row, v16_keep((uint16_t)~(lower | right), d));
                v16_store(row + LANES, v16_keep((uint16_t)(~lower & right), d));
                v16_store(below, v16_keep((uint16_t)(lower & ~right), d));
                v16_store(below + LANES, v16_keep(lower & right, d));
                sum += d;
            }
        }
        bias_sum[c] += sum;
    }
}

static void spread_relu(const struct conv *conv, const float *dout, const uint16_t *masks, float *dmap, v16 *bias_sum)
{
    const int places = conv->map.h * conv->map.w;
    for (int c = 0; c < conv->map.c; c++) {
        v16 sum = v16_zero();
        for (int i = 0; i < places; i++, dout += LANES, dmap += LANES, masks++) {
            v16 d = v16_keep(*masks, v16_load(dout));
            v16_store(dmap, d);
            sum += d;
        }
        bias_sum[c] += sum;
    }
}

/* The bias alone: where nobody wants the map's gradient. */
static void sum_pooled(const struct conv *conv, const float *dout, const uint16_t *masks, v16 *bias_sum)
{
    const int places = conv->out->shape.h * conv->out->shape.w;
    for (int c = 0; c < conv->map.c; c++)
        for (int i = 0; i < places; i++, dout += LANES, masks += POOLED_MASKS)
            bias_sum[c] += v16_keep(masks[POOLED_LIVE], v16_load(dout));
}

static void sum_places(const struct conv *conv, const float *dout, v16 *bias_sum)
{
    const int places = conv->map.h * conv->map.w;
    for (int c = 0; c < conv->map.c; c++)
        for (int i = 0; i < places; i++, dout += LANES)
            bias_sum[c] += v16_load(dout);
}

/* One row of the input's gradient. With a stride, columns that differ in their remainder meet different taps, so each remainder is a strip of its own.
 * Taps are walked backwards: the highest one meets the first output. */
static void input_gradient_row(const struct conv *conv, const float *weights, const float *dmap, float *din, int y)
{
    const int size = conv->args.size, stride = conv->args.stride, pad = conv->args.pad;
    const struct shape in = conv->in->shape, map = conv->map;
    int ky = y + pad < size ? y + pad : (y + pad) % stride + (size - 1 - (y + pad) % stride) / stride * stride;
    int rows = 0, line = (y + pad - ky) / stride;
    if ((y + pad) % stride < size)
        for (int k = ky; k >= 0 && line + rows < map.h; k -= stride)
            rows++;
    for (int px = 0; px < stride && px < in.w; px++) {
        const int remainder = (px + pad) % stride, columns = remainder < size ? (size - 1 - remainder) / stride + 1 : 0;
        const int kx = remainder + (columns - 1) * stride, first = (px + pad - kx) / stride;
        const struct strip strip = {
            .in = dmap + ((ptrdiff_t)line * map.w + first) * LANES,
            .in_channel = (ptrdiff_t)map.h * map.w, .in_row = map.w, .in_step = 1,
            .in_column = first, .in_width = map.w,
            .channels = map.c, .rows = columns ? rows : 0, .columns = columns,
            .w = weights + ky * size + kx,
            .w_filter = (ptrdiff_t)size * size, .w_channel = (ptrdiff_t)in.c * size * size,
            .w_row = -(ptrdiff_t)stride * size, .w_column = -(ptrdiff_t)stride,
            .filters = in.c, .n = (in.w - px + stride - 1) / stride,
            .out = din + ((ptrdiff_t)y * in.w + px) * LANES, .out_channel = (ptrdiff_t)in.h * in.w, .out_step = stride,
        };
        strip_plain(&strip);
    }
}

/* Filters' gradients can be had from the pooled gradient. */
static bool merges(const struct conv *conv) { return conv->pooled && conv->args.stride == 1 && conv->args.pad == 0; }

/* The gradient of the map, where it lies or made in scratch; and the biases'. */
static const float *map_gradient(const struct conv *conv, const float *dout, const uint16_t *masks, float *scratch, v16 *bias_sum)
{
    if (merges(conv) && !conv->want_gradient)
        sum_pooled(conv, dout, masks, bias_sum);
    else if (conv->pooled)
        spread_pooled(conv, dout, masks, scratch, bias_sum);
    else if (conv->args.relu)
        spread_relu(conv, dout, masks, scratch, bias_sum);
    else if (conv->bias)
        sum_places(conv, dout, bias_sum);
    return conv->pooled || conv->args.relu ? scratch : dout;
}

int conv_backward(struct op *op, const struct step *step, struct error *error)
{
    (void)error;
    const struct conv *conv = (const struct conv *)op;
    const struct shape in = conv->in->shape, out = conv->out->shape;
    const bool merge = merges(conv);
    v16 *bias_sum = (v16 *)((float *)op->scratch + lanes_count(conv->map));
    memset(bias_sum, 0, (size_t)conv->map.c * sizeof *bias_sum);
    for (int group = 0; group < lanes_groups(conv->batch); group++) {
        const float *dout = (const float *)conv->out->gradient + (size_t)group * lanes_count(out);
        const uint16_t *masks = conv_masks(conv) ? (const uint16_t *)op->saved + (size_t)group * conv_masks(conv) : NULL;
        const float *dmap = map_gradient(conv, dout, masks, op->scratch, bias_sum);
        const struct filters_pass pass = {
            .in = (const float *)conv->in->data + (size_t)group * lanes_count(in), .in_shape = in,
            .dout = merge ? dout : dmap, .out_shape = merge ? out : conv->map, .masks = masks,
            .size = conv->args.size, .stride = conv->args.stride, .pad = conv->args.pad,
            .gradient = step->gradient + conv->weight->offset, .add = group > 0,
        };
        if (merge)
            filters_gradient_pooled(&pass);
        else
            filters_gradient(&pass);
        for (int y = 0; conv->want_gradient && y < in.h; y++)
            input_gradient_row(conv, step->weights + conv->weight->offset, dmap, (float *)conv->in->gradient + (size_t)group * lanes_count(in), y);
    }
    for (int c = 0; conv->bias && c < conv->map.c; c++)
        step->gradient[conv->bias->offset + (size_t)c] = v16_sum(bias_sum[c]);
    unscale(step, conv->weight);
    unscale(step, conv->bias);
    return 0;
}
