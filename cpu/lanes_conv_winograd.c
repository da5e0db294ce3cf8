/* A convolution of 3 x 3 filters by Winograd's method as an operation. Filters are transformed anew in every pass: that costs no more than
 * reading a transformed copy, four times the size, from memory.
 *
 * Where relu or a maximum is fused onto the convolution the plain sums serve: they give equal windows equal values and exact zeros where
 * products cancel, so that gradients take the reference's way at such corners. */
#include "cpu/lanes_conv.h"

#include "base/sizes.h"
#include "cpu/lanes_winograd.h"
#include "cpu/loss_scale.h"

bool conv_winograd_pays(struct shape in, const struct conv_args *args)
{
    return !args->relu && args->pool.size == 0 && args->size == 3 && args->stride == 1 && args->pad <= 2 && winograd_pays(in, lanes_conv_map(in, args));
}

size_t conv_winograd_scratch(const struct conv *conv)
{
    const int filters = conv->map.c, channels = conv->in->shape.c;
    size_t floats = winograd_filters_floats(filters, channels) + winograd_room_floats(filters, channels);
    if (conv->keep) {
        floats = size_max(floats, winograd_gradient_floats(filters, channels));
        floats = size_max(floats, winograd_filters_floats(channels, filters) + winograd_room_floats(channels, filters));
    }
    return floats * sizeof(float);
}

int conv_winograd_forward(struct op *op, const struct step *step, struct error *error)
{
    (void)error;
    const struct conv *conv = (const struct conv *)op;
    const struct shape in = conv->in->shape;
    float *filters = op->scratch;
    winograd_filters(filters, step->weights + conv->weight->offset, conv->map.c, in.c, false);
    winograd_convolve(&(struct winograd_pass){
        .in = conv->in->data, .out = conv->out->data, .in_shape = in, .out_shape = conv->map, .blocks = lanes_blocks(conv->batch), .pad = conv->args.pad,
        .filters = filters, .bias = conv->bias ? step->weights + conv->bias->offset : NULL, .room = filters + winograd_filters_floats(conv->map.c, in.c),
    });
    return 0;
}

static void bias_gradient(const struct conv *conv, float *gradient)
{
    const size_t plane = (size_t)conv->map.h * (size_t)conv->map.w;
    for (int c = 0; c < conv->map.c; c++) {
        float total = 0;
        for (int group = 0; group < lanes_groups(conv->batch); group++) {
            vec sum[PARTS];
            for (int part = 0; part < PARTS; part++) {
                const size_t block = (size_t)(group * PARTS + part);
                const float *dout = (const float *)conv->out->gradient + (block * (size_t)conv->map.c + (size_t)c) * plane * LANES;
                sum[part] = vec_zero();
                for (size_t i = 0; i < plane; i++)
                    sum[part] += vec_load(dout + i * LANES);
            }
            total += vec_sum(vec_parts(sum, 1));
        }
        gradient[c] = total;
    }
}

int conv_winograd_backward(struct op *op, const struct step *step, struct error *error)
{
    (void)error;
    const struct conv *conv = (const struct conv *)op;
    const struct shape in = conv->in->shape;
    float *filters = op->scratch;
    winograd_filters_gradient(&(struct winograd_gradient){
        .in = conv->in->data, .dout = conv->out->gradient, .in_shape = in, .out_shape = conv->map, .groups = lanes_groups(conv->batch), .pad = conv->args.pad,
        .gradient = step->gradient + conv->weight->offset, .room = op->scratch,
    });
    if (conv->bias)
        bias_gradient(conv, step->gradient + conv->bias->offset);
    unscale(step, conv->weight);
    unscale(step, conv->bias);
    if (!conv->want_gradient)
        return 0;
    winograd_filters(filters, step->weights + conv->weight->offset, in.c, conv->map.c, true);
    winograd_convolve(&(struct winograd_pass){
        .in = conv->out->gradient, .out = conv->in->gradient, .in_shape = conv->map, .out_shape = in, .blocks = lanes_blocks(conv->batch), .pad = 2 - conv->args.pad,
        .filters = filters, .room = filters + winograd_filters_floats(in.c, conv->map.c),
    });
    return 0;
}
