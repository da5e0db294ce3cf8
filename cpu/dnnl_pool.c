/* Pooling in the layout of its input. A maximum remembers in oneDNN's workspace where it was; an average counts no padding.
 *
 * oneDNN's maximum passes over a NaN, so they are looked for behind it: one makes the whole output NaN. */
#include "cpu/dnnl.h"

struct pool {
    struct onednn_op op;
    const struct tensor *x, *y;
};

static bool has_nan(const uint32_t *bits, size_t n)
{
    uint32_t most = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t magnitude = bits[i] & 0x7fffffff;
        most = magnitude > most ? magnitude : most;
    }
    return most > 0x7f800000;
}

static bool has_nan_bf16(const uint16_t *bits, size_t n)
{
    uint16_t most = 0;
    for (size_t i = 0; i < n; i++) {
        uint16_t magnitude = bits[i] & 0x7fff;
        most = magnitude > most ? magnitude : most;
    }
    return most > 0x7f80;
}

static int maximum(struct op *head, const struct step *step, struct error *error)
{
    const struct pool *self = (const struct pool *)head;
    const size_t n = element_count(self->x);
    if (onednn_forward(head, step, error))
        return -1;
    if (self->x->precision == PRECISION_BF16 ? has_nan_bf16(self->x->data, n) : has_nan(self->x->data, n))
        poison(self->y);
    return 0;
}

static void describe(struct window *window, const struct build *build, const struct pool_args *args)
{
    const struct op_request *request = build->request;
    const struct tensor *x = request->inputs[0];
    const int in[2] = { x->shape.h, x->shape.w }, out[2] = { request->output->shape.h, request->output->shape.w };
    for (int i = 0; i < 2; i++) {
        window->size[i] = args->size ? args->size : in[i];
        window->stride[i] = args->size ? args->stride : 1;
        window->before[i] = args->pad;
        window->after[i] = padding_after(in[i], out[i], window->size[i], window->stride[i], args->pad);
    }
}

int onednn_pool(struct op **op, const struct op_request *request, const struct pool_args *args, struct error *error)
{
    static const struct op_calls of_maximum = { .forward = maximum, .backward = onednn_backward, .free = onednn_free };
    static const struct op_calls of_average = { .forward = onednn_forward, .backward = onednn_backward, .free = onednn_free };
    const struct tensor *x = request->inputs[0], *y = request->output;
    const dnnl_alg_kind_t alg = args->kind == POOL_MAX ? dnnl_pooling_max : dnnl_pooling_avg_exclude_padding;
    dnnl_prop_kind_t kind = request->training ? dnnl_forward_training : dnnl_forward_inference;
    struct build build;
    struct window w;
    if (build_begin(&build, sizeof(struct pool), request, error))
        return -1;
    struct pool *self = (struct pool *)build.op;
    self->x = x;
    self->y = y;
    describe(&w, &build, args);
    const struct layout *want = build_activation(&build, y, build.onednn->nhwc ? dnnl_nhwc : dnnl_format_tag_any);
    dnnl_primitive_desc_t forward = BUILD_DESCRIBE(&build, "pooling, forward", describe_pool, kind, NULL, alg,
                                                   tensor_layout(x), want, &w);
    struct place workspace = build_saved(&build, layout_bytes(build_layout(&build, forward, DNNL_ARG_WORKSPACE)));
    build_output(&build, build_layout(&build, forward, DNNL_ARG_DST));
    const struct binding to_y[] = { { DNNL_ARG_SRC, place_data(x) }, { DNNL_ARG_DST, place_data(y) }, { DNNL_ARG_WORKSPACE, workspace } };
    build_stage(&build, &build.op->forward, forward, "pooling, forward", to_y, 3);
    if (request->training && request->want_gradient[0]) {
        dnnl_primitive_desc_t backward = BUILD_DESCRIBE(&build, "pooling, backward", describe_pool, dnnl_backward,
                                                        forward, alg,
                                                        tensor_layout(x), tensor_layout(y), &w);
        const struct binding to_dx[] = {
            { DNNL_ARG_DIFF_DST, place_gradient(y) }, { DNNL_ARG_WORKSPACE, workspace }, { DNNL_ARG_DIFF_SRC, place_gradient(x) },
        };
        build_stage(&build, &build.op->backward, backward, "pooling, backward", to_dx, 3);
    }
    return build_end(&build, args->kind == POOL_MAX ? &of_maximum : &of_average, op);
}
