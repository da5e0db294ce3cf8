/* Fully connected layers. In fp32 on the canonical weights: what an inner product gains from packed ones (800 to 500, batch 64: 230 us
 * against 265 us forward, nothing backward), packing and unpacking lose twice over (170 us and 130 us a step). In bf16 they have to be
 * converted anyway, and are packed as each product likes best.
 *
 * The columns run C, H, W: an input in any other layout is reordered first, which is cheap beside the product. */
#include "cpu/dnnl.h"

/* The layouts of one product y = x w' + b. */
struct product {
    struct layouts layouts, of_weights; /* of_weights: w is the gradient, which is always canonical */
    const struct layout *canonical;     /* w as it is in the flat vector */
    const struct layout *columns;       /* x as an activation: the same bytes */
};

static void describe(struct product *product, struct build *build)
{
    const struct op_request *request = build->request;
    const dnnl_data_type_t type = element_type(request->precision);
    struct shape in = request->inputs[0]->shape, out = request->output->shape;
    dnnl_dim_t batch = request->batch, n = (dnnl_dim_t)shape_count(in);
    const dnnl_dims_t x = { batch, n }, w = { out.c, n }, bias = { out.c }, y = { batch, out.c };
    product->canonical = build_plain(build, 2, w, dnnl_f32);
    product->columns = build_activation(build, request->inputs[0], dnnl_nchw);
    product->layouts = (struct layouts){
        .x = build_plain(build, 2, x, type),
        .w = request->precision == PRECISION_FP32 ? product->canonical : build_any(build, 2, w, type),
        .bias = request->params[1] ? build_plain(build, 1, bias, dnnl_f32) : NULL,
        .y = build_plain(build, 2, y, type),
    };
    product->of_weights = product->layouts;
    product->of_weights.w = product->canonical;
}

static dnnl_primitive_desc_t forward(struct build *build, const struct product *p, struct view *packed)
{
    static const char what[] = "inner product, forward";
    const struct op_request *request = build->request;
    const struct tensor *x = request->inputs[0];
    dnnl_prop_kind_t kind = request->training ? dnnl_forward_training : dnnl_forward_inference;
    dnnl_primitive_desc_t desc = BUILD_DESCRIBE(build, what, describe_product, kind, &p->layouts);
    packed->layout = build_layout(build, desc, DNNL_ARG_WEIGHTS);
    packed->place = build_packed(build, request->params[0], p->canonical, packed->layout);
    const struct binding bindings[] = {
        { DNNL_ARG_SRC, build_converted(build, &build->op->forward, view_data(x), p->columns) },
        { DNNL_ARG_WEIGHTS, packed->place },
        { DNNL_ARG_BIAS, place_param(PLACE_WEIGHT, request->params[1]) },
        { DNNL_ARG_DST, place_data(request->output) },
    };
    build_stage(build, &build->op->forward, desc, what, bindings, 4);
    return desc;
}

static void backward_weights(struct build *build, const struct product *p, dnnl_primitive_desc_t hint)
{
    static const char what[] = "inner product, backward for weights";
    const struct op_request *request = build->request;
    const struct tensor *x = request->inputs[0];
    dnnl_primitive_desc_t desc = BUILD_DESCRIBE(build, what, describe_product_weights, hint, &p->of_weights);
    const struct binding bindings[] = {
        { DNNL_ARG_SRC, build_converted(build, &build->op->backward, view_data(x), p->columns) },
        { DNNL_ARG_DIFF_DST, place_gradient(request->output) },
        { DNNL_ARG_DIFF_WEIGHTS, place_param(PLACE_DWEIGHT, request->params[0]) },
        { DNNL_ARG_DIFF_BIAS, place_param(PLACE_DWEIGHT, request->params[1]) },
    };
    build_stage(build, &build->op->backward, desc, what, bindings, 4);
}

static void backward_data(struct build *build, const struct product *p, dnnl_primitive_desc_t hint, const struct view *packed)
{
    static const char what[] = "inner product, backward for data";
    const struct op_request *request = build->request;
    const struct tensor *x = request->inputs[0];
    struct sequence *sequence = &build->op->backward;
    dnnl_primitive_desc_t desc = BUILD_DESCRIBE(build, what, describe_product_data, hint, &p->layouts);
    const struct layout *w = build_layout(build, desc, DNNL_ARG_WEIGHTS);
    struct place weights = build->failed || layouts_agree(w, packed->layout) ? packed->place
        : build_packed(build, request->params[0], p->canonical, w);
    struct view dx = build_target(build, view_gradient(x), p->columns);
    const struct binding bindings[] = {
        { DNNL_ARG_DIFF_DST, place_gradient(request->output) },
        { DNNL_ARG_WEIGHTS, weights },
        { DNNL_ARG_DIFF_SRC, dx.place },
    };
    build_stage(build, sequence, desc, what, bindings, 3);
    build_deliver(build, sequence, dx, view_gradient(x));
}

int onednn_linear(struct op **op, const struct op_request *request, const struct linear_args *args, struct error *error)
{
    static const struct op_calls packing = { .pack = onednn_pack, .forward = onednn_forward, .backward = onednn_backward, .free = onednn_free };
    static const struct op_calls in_place = { .forward = onednn_forward, .backward = onednn_backward, .free = onednn_free };
    (void)args;
    struct build build;
    struct product product;
    struct view packed = { .layout = NULL }; /* what forward computes on; its layout lives in the descriptor */
    if (build_begin(&build, sizeof(struct onednn_op), request, error))
        return -1;
    describe(&product, &build);
    build_output(&build, build_activation(&build, request->output, dnnl_nchw));
    dnnl_primitive_desc_t hint = forward(&build, &product, &packed);
    if (request->training)
        backward_weights(&build, &product, hint);
    if (request->training && request->want_gradient[0])
        backward_data(&build, &product, hint, &packed);
    return build_end(&build, build.op->pack.n ? &packing : &in_place, op);
}
