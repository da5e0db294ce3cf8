/* Batch normalization, with the ReLU behind it where the plan asks. oneDNN leaves the batch's mean and (biased) variance; the running
 * ones are updated here.
 *
 * oneDNN's fused ReLU makes 0 of a NaN. In training the statistics of its channel tell, and the whole output becomes NaN; in evaluation
 * the ReLU is our own. */
#include "cpu/dnnl.h"

struct batchnorm {
    struct onednn_op op;
    int channels;
    bool relu;
    const struct tensor *y;
    float momentum, unbiased; /* n/(n-1) */
    struct place mean, variance, running_mean, running_variance;
};

static void follow(float *running, const float *batch, int n, float momentum, float scale)
{
    for (int c = 0; c < n; c++)
        running[c] += momentum * (scale * batch[c] - running[c]);
}

static bool all_finite(const float *values, int n)
{
    float zero = 0;
    for (int c = 0; c < n; c++)
        zero += values[c] * 0;
    return zero == 0;
}

static int evaluate(struct op *head, const struct step *step, struct error *error)
{
    const struct batchnorm *self = (const struct batchnorm *)head;
    if (onednn_forward(head, step, error))
        return -1;
    if (self->relu)
        onednn_rectify(self->y, self->y);
    return 0;
}

static int train(struct op *head, const struct step *step, struct error *error)
{
    struct batchnorm *self = (struct batchnorm *)head;
    struct onednn_op *op = &self->op;
    if (onednn_run(op, &op->forward, step, error))
        return -1;
    const float *mean = onednn_resolve(op, &self->mean, step), *variance = onednn_resolve(op, &self->variance, step);
    if (self->relu && !(all_finite(mean, self->channels) && all_finite(variance, self->channels)))
        poison(self->y);
    follow(onednn_resolve(op, &self->running_mean, step), mean, self->channels, self->momentum, 1);
    follow(onednn_resolve(op, &self->running_variance, step), variance, self->channels, self->momentum, self->unbiased);
    return 0;
}

/* Statistics of this batch, kept for backward; in evaluation the running ones. */
static void place_statistics(struct batchnorm *self, struct build *build)
{
    const struct op_request *request = build->request;
    self->running_mean = place_param(PLACE_STAT, request->stats[0]);
    self->running_variance = place_param(PLACE_STAT, request->stats[1]);
    self->mean = request->training ? build_saved(build, (size_t)self->channels * sizeof(float)) : self->running_mean;
    self->variance = request->training ? build_saved(build, (size_t)self->channels * sizeof(float)) : self->running_variance;
}

int onednn_batchnorm(struct op **op, const struct op_request *request, const struct batchnorm_args *args, struct error *error)
{
    static const struct op_calls training = { .forward = train, .backward = onednn_backward, .free = onednn_free };
    static const struct op_calls evaluation = { .forward = evaluate, .free = onednn_free };
    const struct tensor *x = request->inputs[0], *y = request->output;
    const struct layout *layout = tensor_layout(x);
    const struct param *scale = request->params[0], *shift = request->params[1];
    unsigned flags = dnnl_use_scale | dnnl_use_shift | (request->training ? 0u : dnnl_use_global_stats) | (request->training && args->relu ? dnnl_fuse_norm_relu : 0u);
    dnnl_prop_kind_t kind = request->training ? dnnl_forward_training : dnnl_forward_inference;
    size_t count = (size_t)request->batch * (size_t)x->shape.h * (size_t)x->shape.w;
    struct build build;
    if (build_begin(&build, sizeof(struct batchnorm), request, error))
        return -1;
    struct batchnorm *self = (struct batchnorm *)build.op;
    self->channels = x->shape.c;
    self->relu = args->relu;
    self->y = y;
    self->momentum = args->momentum;
    self->unbiased = count > 1 ? (float)((double)count / (double)(count - 1)) : 1;
    build_output(&build, layout);
    place_statistics(self, &build);
    dnnl_primitive_desc_t forward = BUILD_DESCRIBE(&build, "batch normalization, forward", describe_batchnorm, kind,
                                                   NULL, layout, args->epsilon, flags);
    struct place workspace = build_saved(&build, layout_bytes(build_layout(&build, forward, DNNL_ARG_WORKSPACE)));
    const struct binding to_y[] = {
        { DNNL_ARG_SRC, place_data(x) }, { DNNL_ARG_MEAN, self->mean }, { DNNL_ARG_VARIANCE, self->variance },
        { DNNL_ARG_SCALE, place_param(PLACE_WEIGHT, scale) }, { DNNL_ARG_SHIFT, place_param(PLACE_WEIGHT, shift) },
        { DNNL_ARG_DST, place_data(y) }, { DNNL_ARG_WORKSPACE, workspace },
    };
    build_stage(&build, &self->op.forward, forward, "batch normalization, forward", to_y, 7);
    if (request->training) {
        dnnl_primitive_desc_t backward = BUILD_DESCRIBE(&build, "batch normalization, backward", describe_batchnorm,
                                                        dnnl_backward, forward, layout,
                                                        args->epsilon, flags);
        struct place dx = request->want_gradient[0] ? place_gradient(x) : build_scratch(&build, layout_bytes(layout));
        const struct binding to_dx[] = {
            { DNNL_ARG_SRC, place_data(x) }, { DNNL_ARG_MEAN, self->mean }, { DNNL_ARG_VARIANCE, self->variance },
            { DNNL_ARG_DIFF_DST, place_gradient(y) }, { DNNL_ARG_WORKSPACE, workspace },
            { DNNL_ARG_SCALE, place_param(PLACE_WEIGHT, scale) },
            { DNNL_ARG_SHIFT, BATCHNORM_BACKWARD_TAKES_SHIFT ? place_param(PLACE_WEIGHT, shift) : (struct place){ .kind = PLACE_NONE } },
            { DNNL_ARG_DIFF_SRC, dx },
            { DNNL_ARG_DIFF_SCALE, place_param(PLACE_DWEIGHT, scale) }, { DNNL_ARG_DIFF_SHIFT, place_param(PLACE_DWEIGHT, shift) },
        };
        build_stage(&build, &self->op.backward, backward, "batch normalization, backward", to_dx, 10);
    }
    return build_end(&build, request->training ? &training : &evaluation, op);
}
