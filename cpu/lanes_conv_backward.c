/* Convolution backward, one group of sixteen samples at a time, so that everything a group touches stays in the
 * second cache: the gradient of the map (spread out from the pooled one, cut by relu), then the filters' gradients,
 * then the input's. The first and the last go block by block. */
#include "cpu/lanes_conv.h"

#include "cpu/lanes_pointwise.h"
#include "cpu/loss_scale.h"

/* bias_sum[filter] += the sum of dout over the map, lane by lane. */
static void spread_pooled(const struct conv *conv, const float *dout, const lane_bits *bits, float *dmap, vec *bias_sum)
{
    const struct shape map = conv->map, out = conv->out->shape;
    if (map.h != 2 * out.h || map.w != 2 * out.w)
        memset(dmap, 0, lanes_count(map) * sizeof *dmap);
    for (int c = 0; c < out.c; c++) {
        vec sum = vec_zero();
        for (int y = 0; y < out.h; y++) {
            float *row = dmap + ((size_t)c * (size_t)map.h + (size_t)y * 2) * (size_t)map.w * LANES, *below = row + map.w * LANES;
            for (int x = 0; x < out.w; x++, dout += LANES, bits += POOLED_BITS, row += 2 * LANES, below += 2 * LANES) {
                const lane_mask right = mask_of(bits[POOLED_RIGHT]), lower = mask_of(bits[POOLED_LOWER]);
                vec d = vec_keep(mask_of(bits[POOLED_LIVE]), vec_load(dout));
                vec_store(row, vec_keep(~(lower | right), d));
                vec_store(row + LANES, vec_keep(~lower & right, d));
                vec_store(below, vec_keep(lower & ~right, d));
                vec_store(below + LANES, vec_keep(lower & right, d));
                sum += d;
            }
        }
        bias_sum[c] += sum;
    }
}

static void spread_relu(const struct conv *conv, const float *dout, const lane_bits *bits, float *dmap, vec *bias_sum)
{
    const int places = conv->map.h * conv->map.w;
    for (int c = 0; c < conv->map.c; c++) {
        vec sum = vec_zero();
        for (int i = 0; i < places; i++, dout += LANES, dmap += LANES, bits++) {
            vec d = vec_keep(mask_of(*bits), vec_load(dout));
            vec_store(dmap, d);
            sum += d;
        }
        bias_sum[c] += sum;
    }
}

/* The bias alone: where nobody wants the map's gradient. */
static void sum_pooled(const struct conv *conv, const float *dout, const lane_bits *bits, vec *bias_sum)
{
    const int places = conv->out->shape.h * conv->out->shape.w;
    for (int c = 0; c < conv->map.c; c++)
        for (int i = 0; i < places; i++, dout += LANES, bits += POOLED_BITS)
            bias_sum[c] += vec_keep(mask_of(bits[POOLED_LIVE]), vec_load(dout));
}

static void sum_places(const struct conv *conv, const float *dout, vec *bias_sum)
{
    const int places = conv->map.h * conv->map.w;
    for (int c = 0; c < conv->map.c; c++)
        for (int i = 0; i < places; i++, dout += LANES)
            bias_sum[c] += vec_load(dout);
}

/* One row of the input's gradient. With a stride, columns that differ in their remainder meet different taps, so
 * each remainder is a strip of its own. Taps are walked backwards: the highest one meets the first output. Weights
 * are [channel][filter][tap] here. */
static void input_gradient_row(const struct conv *conv, const float *weights, const float *dmap, float *din, int y)
{
    const int size = conv->args.size, stride = conv->args.stride, pad = conv->args.pad;
    const struct shape in = conv_plane(conv, conv->in->shape), map = conv_plane(conv, conv->map);
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
            .w_filter = (ptrdiff_t)map.c * size * size, .w_channel = (ptrdiff_t)size * size,
            .w_row = -(ptrdiff_t)stride * size, .w_column = -(ptrdiff_t)stride,
            .filters = in.c, .n = (in.w - px + stride - 1) / stride,
            .out = din + ((ptrdiff_t)y * in.w + px) * LANES, .out_channel = (ptrdiff_t)in.h * in.w, .out_step = stride,
        };
        strip_plain(&strip);
    }
}

/* Filters' gradients can be had from the pooled gradient. */
static bool merges(const struct conv *conv) { return conv->pooled && conv->args.stride == 1 && conv->args.pad == 0; }

static bool pointwise(const struct conv *conv) { return conv->args.pad == 0 && filters_pointwise_pays(conv->in->shape, conv->args.size); }

/* The gradient of the map, where it lies or made in scratch; and the biases'. */
static const float *map_gradient(const struct conv *conv, const float *dout, const lane_bits *bits, float *scratch, vec *bias_sum)
{
    if (merges(conv) && !conv->want_gradient)
        sum_pooled(conv, dout, bits, bias_sum);
    else if (conv->pooled)
        spread_pooled(conv, dout, bits, scratch, bias_sum);
    else if (conv->args.relu)
        spread_relu(conv, dout, bits, scratch, bias_sum);
    else if (conv->bias)
        sum_places(conv, dout, bias_sum);
    return conv->pooled || conv->args.relu ? scratch : dout;
}

/* To [channel][filter][tap], so that what a tile reads of the weights lies together. */
static void exchange(const struct conv *conv, const float *weights, float *to)
{
    const size_t taps = (size_t)conv->args.size * (size_t)conv->args.size;
    const size_t channels = (size_t)conv->in->shape.c, filters = (size_t)conv->map.c;
    for (size_t c = 0; c < channels; c++)
        for (size_t f = 0; f < filters; f++)
            memcpy(to + (c * filters + f) * taps, weights + (f * channels + c) * taps, taps * sizeof *to);
}

/* Where things lie in scratch, in floats: a group's gradients of the map from 0 on, sums of biases [PARTS][filters],
 * the filters' room, the weights exchanged. */
struct rooms { size_t bias, filters, weights, all; };

static struct rooms rooms(const struct conv *conv)
{
    const bool makes_map = conv->pooled ? conv->want_gradient || !merges(conv) : conv->args.relu;
    struct rooms at;
    at.bias = makes_map ? PARTS * lanes_count(conv->map) : 0;
    at.filters = at.bias + (size_t)conv->map.c * GROUP;
    at.weights = at.filters + (merges(conv) ? filters_pooled_floats(conv->out->shape)
                               : pointwise(conv) ? filters_pointwise_floats(conv->in->shape) : 0);
    at.all = at.weights + (conv->want_gradient ? conv->weight->count : 0);
    return at;
}

size_t conv_backward_scratch(const struct conv *conv) { return rooms(conv).all * sizeof(float); }

static void group_gradient(const struct conv *conv, const struct step *step, float *scratch, int group)
{
    const struct shape in = conv->in->shape, out = conv->out->shape;
    const size_t first = (size_t)group * PARTS;
    const float *dout = (const float *)conv->out->gradient + first * lanes_count(out), *dmap[PARTS];
    const lane_bits *bits = conv_bits(conv) ? (const lane_bits *)conv->op.saved + first * conv_bits(conv) : NULL;
    const bool merge = merges(conv);
    const struct rooms at = rooms(conv);
    vec *bias_sum = (vec *)(scratch + at.bias);
    for (size_t part = 0; part < PARTS; part++)
        dmap[part] = map_gradient(conv, dout + part * lanes_count(out), bits ? bits + part * conv_bits(conv) : NULL,
                                  scratch + part * lanes_count(conv->map), bias_sum + part * (size_t)conv->map.c);
    const struct filters_pass pass = {
        .in = (const float *)conv->in->data + first * lanes_count(in), .in_shape = in,
        .dout = merge ? dout : dmap[0], .out_shape = merge ? out : conv->map, .bits = bits,
        .size = conv->args.size, .stride = conv->args.stride, .pad = conv->args.pad,
        .gradient = step->gradient + conv->weight->offset, .add = group > 0, .room = scratch + at.filters,
    };
    if (merge)
        filters_gradient_pooled(&pass);
    else if (pointwise(conv))
        filters_gradient_pointwise(&pass);
    else
        filters_gradient(&pass);
    for (size_t part = 0; conv->want_gradient && part < PARTS; part++)
        for (int y = 0; y < conv_plane(conv, in).h; y++)
            input_gradient_row(conv, scratch + at.weights, dmap[part], (float *)conv->in->gradient + (first + part) * lanes_count(in), y);
}

int conv_backward(struct op *op, const struct step *step, struct error *error)
{
    (void)error;
    const struct conv *conv = (const struct conv *)op;
    const struct rooms at = rooms(conv);
    float *scratch = op->scratch;
    vec *bias_sum = (vec *)(scratch + at.bias);
    const size_t filters = (size_t)conv->map.c;
    memset(bias_sum, 0, PARTS * filters * sizeof *bias_sum);
    if (conv->want_gradient)
        exchange(conv, step->weights + conv->weight->offset, scratch + at.weights);
    for (int group = 0; group < lanes_groups(conv->batch); group++)
        group_gradient(conv, step, scratch, group);
    for (size_t c = 0; conv->bias && c < filters; c++)
        step->gradient[conv->bias->offset + c] = vec_sum(vec_parts(bias_sum + c, filters));
    unscale(step, conv->weight);
    unscale(step, conv->bias);
    return 0;
}
