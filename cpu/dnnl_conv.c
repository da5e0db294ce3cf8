/* Convolution. In NHWC the activations are given and the weights' layout is oneDNN's choice; otherwise everything is.
 *
 * Forward and backward-data each compute on a packed copy of the weights (one copy where both want the same), and the weights' gradient
 * leaves in oneDNN's layout and is unpacked to the canonical one; in fp32, whatever the weights were packed to. */
#include "cpu/dnnl.h"

#include <string.h>

/* What the three primitives of one convolution have in common. */
struct geometry {
    struct layouts layouts, of_weights; /* what is asked for; all but bias may leave the layout open. of_weights: w is the gradient */
    const struct layout *canonical;     /* OIHW */
    struct window window;
};

static void describe(struct geometry *geometry, struct build *build, const struct conv_args *args)
{
    const struct op_request *request = build->request;
    struct shape in = request->inputs[0]->shape, out = request->output->shape;
    dnnl_format_tag_t tag = build->onednn->nhwc ? dnnl_nhwc : dnnl_format_tag_any;
    const dnnl_dims_t w = { out.c, in.c, args->size, args->size }, bias = { out.c };
    geometry->canonical = build_plain(build, 4, w, dnnl_f32);
    geometry->layouts = (struct layouts){
        .x = build_activation(build, request->inputs[0], tag),
        .w = build_any(build, 4, w, element_type(request->precision)),
        .bias = request->params[1] ? build_plain(build, 1, bias, dnnl_f32) : NULL,
        .y = build_activation(build, request->output, tag),
    };
    geometry->of_weights = geometry->layouts;
    geometry->of_weights.w = build_any(build, 4, w, dnnl_f32);
    geometry->window = (struct window){
        .stride = { args->stride, args->stride },
        .before = { args->pad, args->pad },
        .after = { padding_after(in.h, out.h, args->size, args->stride, args->pad),
                   padding_after(in.w, out.w, args->size, args->stride, args->pad) },
    };
}

/* oneDNN offers its brgemm kernels first, but with fewer input channels than a vector has lanes the direct ones behind them take half
 * the time (1 channel of 28x28 to 20, batch 64: 370 us against 570 us; 3 of 32x32 to 64: 1.2 ms against 2.3 ms).
 * And oneDNN 2.6's bf16 kernel for 1x1 filters is wrong in NHWC where it sums over an odd number of channels.
 * `summed`: channels of what
 * the kernel reads. */
static bool is_unwanted(const char *kernel, int summed)
{
    return (summed < 16 && strncmp(kernel, "brgconv:", 8) == 0) || (summed % 2 == 1 && strncmp(kernel, "jit_bf16_1x1:", 13) == 0);
}

/* Returns its descriptor: the hint for the backward ones. */
static dnnl_primitive_desc_t forward(struct build *build, const struct geometry *g, struct view *packed)
{
    static const char what[] = "convolution, forward";
    const struct op_request *request = build->request;
    const struct tensor *x = request->inputs[0];
    dnnl_prop_kind_t kind = request->training ? dnnl_forward_training : dnnl_forward_inference;
    const struct wish wish = { is_unwanted, x->shape.c };
    dnnl_primitive_desc_t desc = BUILD_DESCRIBE(build, what, describe_conv, kind, &g->layouts, &g->window, &wish);
    if (build->failed)
        return NULL;
    build_output(build, build_layout(build, desc, DNNL_ARG_DST));
    packed->layout = build_layout(build, desc, DNNL_ARG_WEIGHTS);
    packed->place = build_packed(build, request->params[0], g->canonical, packed->layout);
    struct place from = build_converted(build, &build->op->forward, view_data(x), build_layout(build, desc, DNNL_ARG_SRC));
    const struct binding bindings[] = {
        { DNNL_ARG_SRC, from },
        { DNNL_ARG_WEIGHTS, packed->place },
        { DNNL_ARG_BIAS, place_param(PLACE_WEIGHT, request->params[1]) },
        { DNNL_ARG_DST, place_data(request->output) },
    };
    build_stage(build, &build->op->forward, desc, what, bindings, 4);
    return desc;
}

static void backward_weights(struct build *build, const struct geometry *g, dnnl_primitive_desc_t hint)
{
    static const char what[] = "convolution, backward for weights";
    const struct op_request *request = build->request;
    const struct tensor *x = request->inputs[0];
    struct sequence *sequence = &build->op->backward;
    dnnl_primitive_desc_t desc = BUILD_DESCRIBE(build, what, describe_conv_weights, hint, &g->of_weights, &g->window);
    if (build->failed)
        return;
    const struct layout *made = build_layout(build, desc, DNNL_ARG_DIFF_WEIGHTS);
    struct view dw = { place_param(PLACE_DWEIGHT, request->params[0]), g->canonical };
    struct view packed = build_target(build, dw, made);
    const struct binding bindings[] = {
        { DNNL_ARG_SRC, build_converted(build, sequence, view_data(x), build_layout(build, desc, DNNL_ARG_SRC)) },
        { DNNL_ARG_DIFF_DST, build_converted(build, sequence, view_gradient(request->output), build_layout(build, desc, DNNL_ARG_DIFF_DST)) },
        { DNNL_ARG_DIFF_WEIGHTS, packed.place },
        { DNNL_ARG_DIFF_BIAS, place_param(PLACE_DWEIGHT, request->params[1]) },
    };
    build_stage(build, sequence, desc, what, bindings, 4);
    build_deliver(build, sequence, packed, dw);
}

static void backward_data(struct build *build, const struct geometry *g, dnnl_primitive_desc_t hint, const struct view *packed)
{
    static const char what[] = "convolution, backward for data";
    const struct op_request *request = build->request;
    const struct tensor *x = request->inputs[0];
    struct sequence *sequence = &build->op->backward;
    const struct wish wish = { is_unwanted, request->output->shape.c };
    dnnl_primitive_desc_t desc = BUILD_DESCRIBE(build, what, describe_conv_data, hint, &g->layouts, &g->window, &wish);
    if (build->failed)
        return;
    const struct layout *w = build_layout(build, desc, DNNL_ARG_WEIGHTS);
    const struct layout *made = build_layout(build, desc, DNNL_ARG_DIFF_SRC);
    struct place weights = layouts_agree(w, packed->layout) ? packed->place
        : build_packed(build, request->params[0], g->canonical, w);
    struct view dx = build_target(build, view_gradient(x), made);
    const struct binding bindings[] = {
        { DNNL_ARG_DIFF_DST, build_converted(build, sequence, view_gradient(request->output), build_layout(build, desc, DNNL_ARG_DIFF_DST)) },
        { DNNL_ARG_WEIGHTS, weights },
        { DNNL_ARG_DIFF_SRC, dx.place },
    };
    build_stage(build, sequence, desc, what, bindings, 3);
    build_deliver(build, sequence, dx, view_gradient(x));
}

int onednn_conv(struct op **op, const struct op_request *request, const struct conv_args *args, struct error *error)
{
    static const struct op_calls packing = { .pack = onednn_pack, .forward = onednn_forward, .backward = onednn_backward, .free = onednn_free };
    static const struct op_calls in_place = { .forward = onednn_forward, .backward = onednn_backward, .free = onednn_free };
    struct build build;
    struct geometry geometry;
    struct view packed = { .layout = NULL }; /* what forward computes on; its layout lives in the descriptor */
    if (build_begin(&build, sizeof(struct onednn_op), request, error))
        return -1;
    describe(&geometry, &build, args);
    dnnl_primitive_desc_t hint = forward(&build, &geometry, &packed);
    if (request->training)
        backward_weights(&build, &geometry, hint);
    if (request->training && request->want_gradient[0])
        backward_data(&build, &geometry, hint, &packed);
    return build_end(&build, build.op->pack.n ? &packing : &in_place, op);
}
