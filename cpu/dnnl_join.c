/* Where branches meet: addition and concatenation. Inputs whose layout differs are reordered; a gradient goes back as a reorder. */
#include "cpu/dnnl.h"

int onednn_add(struct op **op, const struct op_request *request, const struct add_args *args, struct error *error)
{
    static const struct op_calls calls = { .forward = onednn_forward, .backward = onednn_backward, .free = onednn_free };
    static const char what[] = "addition";
    (void)args;
    const struct tensor *a = request->inputs[0], *b = request->inputs[1], *y = request->output;
    const struct layout *layout = tensor_layout(a);
    struct build build;
    if (build_begin(&build, sizeof(struct onednn_op), request, error))
        return -1;
    build_output(&build, layout);
    dnnl_primitive_desc_t sum = BUILD_DESCRIBE(&build, what, describe_sum, layout);
    const struct binding bindings[] = {
        { DNNL_ARG_SRC_0, place_data(a) },
        { DNNL_ARG_SRC_1, build_converted(&build, &build.op->forward, view_data(b), layout) },
        { DNNL_ARG_DST, place_data(y) },
    };
    build_stage(&build, &build.op->forward, sum, what, bindings, 3);
    for (int i = 0; i < 2; i++)
        if (request->training && request->want_gradient[i])
            build_reorder(&build, &build.op->backward, view_gradient(y), view_gradient(request->inputs[i]));
    return build_end(&build, &calls, op);
}

/* Blocks of sixteen channels join without a seam only when every input ends on a block. */
static bool blocks_join(const struct op_request *request)
{
    for (int i = 0; i < request->n_inputs; i++)
        if (request->inputs[i]->shape.c % 16)
            return false;
    return true;
}

static void split_gradient(struct build *build)
{
    const struct op_request *request = build->request;
    dnnl_dims_t offset = { 0 };
    for (int i = 0; i < request->n_inputs; i++) {
        const struct tensor *x = request->inputs[i];
        const dnnl_dims_t dims = { x->batch, x->shape.c, x->shape.h, x->shape.w };
        const struct layout *part = build_part(build, build->op->layout, dims, offset);
        if (request->want_gradient[i])
            build_reorder(build, &build->op->backward, (struct view){ place_gradient(request->output), part },
                          view_gradient(x));
        offset[1] += x->shape.c;
    }
}

int onednn_concat(struct op **op, const struct op_request *request, struct error *error)
{
    static const struct op_calls calls = { .forward = onednn_forward, .backward = onednn_backward, .free = onednn_free };
    static const char what[] = "concatenation";
    const struct layout *layouts[NODE_INPUTS];
    struct binding bindings[NODE_INPUTS + 1] = { { DNNL_ARG_DST, place_data(request->output) } };
    struct build build;
    if (build_begin(&build, sizeof(struct onednn_op), request, error))
        return -1;
    for (int i = 0; i < request->n_inputs; i++) {
        layouts[i] = tensor_layout(request->inputs[i]);
        bindings[i + 1] = (struct binding){ DNNL_ARG_MULTIPLE_SRC + i, place_data(request->inputs[i]) };
    }
    const struct layout *want = build.onednn->nhwc || !blocks_join(request) 
        ? build_activation(&build, request->output, dnnl_nhwc) : NULL;
    dnnl_primitive_desc_t join = BUILD_DESCRIBE(&build, what, describe_concat, want, request->n_inputs, layouts);
    build_output(&build, build_layout(&build, join, DNNL_ARG_DST));
    build_stage(&build, &build.op->forward, join, what, bindings, request->n_inputs + 1);
    if (request->training)
        split_gradient(&build);
    return build_end(&build, &calls, op);
}
