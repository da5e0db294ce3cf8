/* Fully connected layers. In fp32 on the canonical weights: what an inner product gains from packed ones (800 to 500, batch 64: 230 us
 * against 265 us forward, nothing backward), packing and unpacking lose twice over (170 us and 130 us a step). In bf16 they have to be
 * converted anyway, and are packed as each product likes best.
 *
 * The columns run C, H, W: an input in any other layout is reordered first, which is cheap beside the product. */
#include "cpu/dnnl.h"

/* The layouts of one product y = x w' + b. */
struct product {
    dnnl_memory_desc_t x, w, bias, y;
    dnnl_memory_desc_t canonical; /* w as it is in the flat vector, and its gradient */
    dnnl_memory_desc_t columns; /* x as an activation: the same bytes */
    dnnl_memory_desc_t *bias_or_null;
};

static void describe(struct product *product, const struct op_request *request)
{
    struct shape in = request->inputs[0]->shape, out = request->output->shape;
    dnnl_dim_t batch = request->batch, n = (dnnl_dim_t)shape_count(in);
    layout_plain(&product->x, 2, (const dnnl_dims_t){ batch, n });
    layout_plain(&product->canonical, 2, (const dnnl_dims_t){ out.c, n });
    layout_plain(&product->bias, 1, (const dnnl_dims_t){ out.c });
    layout_plain(&product->y, 2, (const dnnl_dims_t){ batch, out.c });
    layout_activation(&product->columns, request->inputs[0], dnnl_nchw);
    product->w = product->canonical;
    product->x.data_type = product->y.data_type = element_type(request->precision);
    if (request->precision != PRECISION_FP32)
        ASSERT(dnnl_memory_desc_init_by_tag(&product->w, 2, product->canonical.dims, element_type(request->precision), dnnl_format_tag_any) == dnnl_success);
    product->bias_or_null = request->params[1] ? &product->bias : NULL;
}

static dnnl_primitive_desc_t forward(struct build *build, const struct product *p, struct view *packed)
{
    static const char what[] = "inner product, forward";
    const struct op_request *request = build->request;
    const struct tensor *x = request->inputs[0];
    dnnl_inner_product_desc_t inner;
    dnnl_prop_kind_t kind = request->training ? dnnl_forward_training : dnnl_forward_inference;
    dnnl_status_t status = dnnl_inner_product_forward_desc_init(&inner, kind, &p->x, &p->w, p->bias_or_null, &p->y);
    dnnl_primitive_desc_t desc = build_describe(build, status, &inner, NULL, what);
    packed->layout = build_layout(build, desc, DNNL_ARG_WEIGHTS);
    packed->place = build_packed(build, request->params[0], &p->canonical, packed->layout);
    const struct binding bindings[] = {
        { DNNL_ARG_SRC, build_converted(build, &build->op->forward, view_data(x), &p->columns) },
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
    dnnl_inner_product_desc_t inner;
    dnnl_status_t status = dnnl_inner_product_backward_weights_desc_init(&inner, &p->x, &p->canonical, p->bias_or_null, &p->y);
    dnnl_primitive_desc_t desc = build_describe(build, status, &inner, hint, what);
    const struct binding bindings[] = {
        { DNNL_ARG_SRC, build_converted(build, &build->op->backward, view_data(x), &p->columns) },
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
    dnnl_inner_product_desc_t inner;
    dnnl_status_t status = dnnl_inner_product_backward_data_desc_init(&inner, &p->x, &p->w, &p->y);
    dnnl_primitive_desc_t desc = build_describe(build, status, &inner, hint, what);
    const dnnl_memory_desc_t *w = build_layout(build, desc, DNNL_ARG_WEIGHTS);
    struct place weights = layouts_agree(w, packed->layout) ? packed->place : build_packed(build, request->params[0], &p->canonical, w);
    struct view dx = build_target(build, view_gradient(x), &p->columns);
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
    describe(&product, request);
    layout_activation(&build.op->layout, request->output, dnnl_nchw);
    dnnl_primitive_desc_t hint = forward(&build, &product, &packed);
    if (request->training)
        backward_weights(&build, &product, hint);
    if (request->training && request->want_gradient[0])
        backward_data(&build, &product, hint, &packed);
    return build_end(&build, build.op->pack.n ? &packing : &in_place, op);
}
