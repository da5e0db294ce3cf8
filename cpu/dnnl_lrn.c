/* Local response normalization across channels, in the layout of its input and always in fp32: oneDNN 2.6's bf16 kernel for NHWC is up to
 * 15 % off backward. */
#include "cpu/dnnl.h"

static void forward(struct build *build, const struct layout *floats, dnnl_primitive_desc_t desc,
                    struct place workspace)
{
    const struct tensor *x = build->request->inputs[0], *y = build->request->output;
    struct sequence *sequence = &build->op->forward;
    struct view to = { place_data(y), build->op->layout }, made = build_target(build, to, floats);
    const struct binding bindings[] = {
        { DNNL_ARG_SRC, build_converted(build, sequence, view_data(x), floats) }, { DNNL_ARG_DST, made.place }, { DNNL_ARG_WORKSPACE, workspace },
    };
    build_stage(build, sequence, desc, "response normalization, forward", bindings, 3);
    build_deliver(build, sequence, made, to);
}

static void backward(struct build *build, const struct layout *floats, dnnl_primitive_desc_t desc,
                     struct place workspace)
{
    const struct tensor *x = build->request->inputs[0], *y = build->request->output;
    struct sequence *sequence = &build->op->backward;
    struct view to = view_gradient(x), made = build_target(build, to, floats);
    const struct binding bindings[] = {
        { DNNL_ARG_SRC, build_converted(build, sequence, view_data(x), floats) },
        { DNNL_ARG_DIFF_DST, build_converted(build, sequence, view_gradient(y), floats) },
        { DNNL_ARG_WORKSPACE, workspace },
        { DNNL_ARG_DIFF_SRC, made.place },
    };
    build_stage(build, sequence, desc, "response normalization, backward", bindings, 4);
    build_deliver(build, sequence, made, to);
}

int onednn_lrn(struct op **op, const struct op_request *request, const struct lrn_args *args, struct error *error)
{
    static const struct op_calls calls = { .forward = onednn_forward, .backward = onednn_backward, .free = onednn_free };
    const struct response response = { args->size, args->alpha, args->beta, args->k };
    dnnl_prop_kind_t kind = request->training ? dnnl_forward_training : dnnl_forward_inference;
    struct build build;
    if (build_begin(&build, sizeof(struct onednn_op), request, error))
        return -1;
    build_output(&build, tensor_layout(request->inputs[0]));
    const struct layout *floats = build_floats_alike(&build, request->inputs[0]);
    dnnl_primitive_desc_t desc = BUILD_DESCRIBE(&build, "response normalization, forward", describe_lrn, kind, NULL,
                                                floats, &response);
    struct place workspace = build_saved(&build, layout_bytes(build_layout(&build, desc, DNNL_ARG_WORKSPACE)));
    forward(&build, floats, desc, workspace);
    if (request->training && request->want_gradient[0]) {
        desc = BUILD_DESCRIBE(&build, "response normalization, backward", describe_lrn, dnnl_backward, desc, floats,
                              &response);
        backward(&build, floats, desc, workspace);
    }
    return build_end(&build, &calls, op);
}
