/* Pooling in the layout of its input. A maximum remembers in oneDNN's workspace where it was; an average counts no padding. */
#include "cpu/dnnl.h"

struct window {
    dnnl_memory_desc_t x, y;
    dnnl_alg_kind_t kind;
    dnnl_dims_t size, stride, before, after;
};

static void describe(struct window *window, const struct build *build, const struct pool_args *args)
{
    const struct op_request *request = build->request;
    const struct tensor *x = request->inputs[0];
    const int in[2] = { x->shape.h, x->shape.w }, out[2] = { request->output->shape.h, request->output->shape.w };
    window->x = *tensor_layout(x);
    window->kind = args->kind == POOL_MAX ? dnnl_pooling_max : dnnl_pooling_avg_exclude_padding;
    layout_activation(&window->y, request->output, build->onednn->nhwc ? dnnl_nhwc : dnnl_format_tag_any);
    for (int i = 0; i < 2; i++) {
        window->size[i] = args->size ? args->size : in[i];
        window->stride[i] = args->size ? args->stride : 1;
        window->before[i] = args->pad;
        window->after[i] = padding_after(in[i], out[i], window->size[i], window->stride[i], args->pad);
    }
}

int onednn_pool(struct op **op, const struct op_request *request, const struct pool_args *args, struct error *error)
{
    static const struct op_calls calls = { .forward = onednn_forward, .backward = onednn_backward, .free = onednn_free };
    const struct tensor *x = request->inputs[0], *y = request->output;
    dnnl_prop_kind_t kind = request->training ? dnnl_forward_training : dnnl_forward_inference;
    struct build build;
    struct window w;
    dnnl_pooling_desc_t pooling;
    if (build_begin(&build, sizeof(struct onednn_op), request, error))
        return -1;
    describe(&w, &build, args);
    dnnl_status_t status = dnnl_pooling_forward_desc_init(&pooling, kind, w.kind, &w.x, &w.y, w.stride, w.size, w.before, w.after);
    dnnl_primitive_desc_t forward = build_describe(&build, status, &pooling, NULL, "pooling, forward");
    struct place workspace = build_saved(&build, dnnl_memory_desc_get_size(build_layout(&build, forward, DNNL_ARG_WORKSPACE)));
    build.op->layout = *build_layout(&build, forward, DNNL_ARG_DST);
    const struct binding to_y[] = { { DNNL_ARG_SRC, place_data(x) }, { DNNL_ARG_DST, place_data(y) }, { DNNL_ARG_WORKSPACE, workspace } };
    build_stage(&build, &build.op->forward, forward, "pooling, forward", to_y, 3);
    if (request->training && request->want_gradient[0]) {
        status = dnnl_pooling_backward_desc_init(&pooling, w.kind, &w.x, &build.op->layout, w.stride, w.size, w.before, w.after);
        dnnl_primitive_desc_t backward = build_describe(&build, status, &pooling, forward, "pooling, backward");
        const struct binding to_dx[] = {
            { DNNL_ARG_DIFF_DST, place_gradient(y) }, { DNNL_ARG_WORKSPACE, workspace }, { DNNL_ARG_DIFF_SRC, place_gradient(x) },
        };
        build_stage(&build, &build.op->backward, backward, "pooling, backward", to_dx, 3);
    }
    return build_end(&build, &calls, op);
}
