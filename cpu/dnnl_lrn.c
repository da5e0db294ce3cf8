/* Local response normalization across channels, in the layout of its input. */
#include "cpu/dnnl.h"

int onednn_lrn(struct op **op, const struct op_request *request, const struct lrn_args *args, struct error *error)
{
    static const struct op_calls calls = { .forward = onednn_forward, .backward = onednn_backward, .free = onednn_free };
    const struct tensor *x = request->inputs[0], *y = request->output;
    const dnnl_memory_desc_t *layout = tensor_layout(x);
    dnnl_prop_kind_t kind = request->training ? dnnl_forward_training : dnnl_forward_inference;
    struct build build;
    dnnl_lrn_desc_t lrn;
    if (build_begin(&build, sizeof(struct onednn_op), request, error))
        return -1;
    build.op->layout = *layout;
    dnnl_status_t status = dnnl_lrn_forward_desc_init(&lrn, kind, dnnl_lrn_across_channels, layout, args->size, args->alpha, args->beta, args->k);
    dnnl_primitive_desc_t forward = build_describe(&build, status, &lrn, NULL, "response normalization, forward");
    struct place workspace = build_saved(&build, dnnl_memory_desc_get_size(build_layout(&build, forward, DNNL_ARG_WORKSPACE)));
    const struct binding to_y[] = { { DNNL_ARG_SRC, place_data(x) }, { DNNL_ARG_DST, place_data(y) }, { DNNL_ARG_WORKSPACE, workspace } };
    build_stage(&build, &build.op->forward, forward, "response normalization, forward", to_y, 3);
    if (request->training && request->want_gradient[0]) {
        status = dnnl_lrn_backward_desc_init(&lrn, dnnl_lrn_across_channels, layout, layout, args->size, args->alpha, args->beta, args->k);
        dnnl_primitive_desc_t backward = build_describe(&build, status, &lrn, forward, "response normalization, backward");
        const struct binding to_dx[] = {
            { DNNL_ARG_SRC, place_data(x) }, { DNNL_ARG_DIFF_DST, place_gradient(y) }, { DNNL_ARG_WORKSPACE, workspace },
            { DNNL_ARG_DIFF_SRC, place_gradient(x) },
        };
        build_stage(&build, &build.op->backward, backward, "response normalization, backward", to_dx, 4);
    }
    return build_end(&build, &calls, op);
}
