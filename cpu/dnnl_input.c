/* The batch's 8-bit planes as floats: in NHWC, or in planes, which is what a first convolution takes. */
#include "cpu/dnnl.h"

struct input {
    struct onednn_op op;
    struct input_args args;
    const struct tensor *y;
    size_t next_pixel, next_plane; /* steps in floats */
};

static void normalize(float *restrict y, size_t step, const uint8_t *restrict plane, size_t n, float mean, float std)
{
    if (step == 1)
        for (size_t i = 0; i < n; i++)
            y[i] = ((float)plane[i] / 255 - mean) / std;
    else
        for (size_t i = 0; i < n; i++)
            y[i * step] = ((float)plane[i] / 255 - mean) / std;
}

static int forward(struct op *op, const struct step *step, struct error *error)
{
    const struct input *self = (const struct input *)op;
    (void)error;
    size_t channels = (size_t)self->args.c, plane = (size_t)self->args.h * (size_t)self->args.w;
    float *y = self->y->data;
    for (size_t sample = 0; sample < (size_t)self->y->batch; sample++)
        for (size_t c = 0; c < channels; c++) {
            size_t at = sample * channels * plane;
            normalize(y + at + c * self->next_plane, self->next_pixel, step->pixels + at + c * plane, plane, self->args.mean[c], self->args.std[c]);
        }
    return 0;
}

int onednn_input(struct op **op, const struct op_request *request, const struct input_args *args, struct error *error)
{
    static const struct op_calls calls = { .forward = forward, .free = onednn_free };
    struct build build;
    if (build_begin(&build, sizeof(struct input), request, error))
        return -1;
    struct input *self = (struct input *)build.op;
    bool interleaved = build.onednn->nhwc;
    self->args = *args;
    self->y = request->output;
    self->next_pixel = interleaved ? (size_t)args->c : 1;
    self->next_plane = interleaved ? 1 : (size_t)args->h * (size_t)args->w;
    layout_activation(&self->op.layout, request->output->shape, request->batch, interleaved ? dnnl_nhwc : dnnl_nchw);
    return build_end(&build, &calls, op);
}
