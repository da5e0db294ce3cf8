/* The batch's 8-bit planes, normalized: in NHWC, or in planes, which is what a first convolution takes. In bf16 each of the 256 values a
 * channel has is looked up. */
#include "cpu/dnnl.h"

#include "cpu/bf16.h"

struct input {
    struct onednn_op op;
    struct input_args args;
    const struct tensor *y;
    size_t next_pixel, next_plane; /* steps in elements */
    uint16_t bf16[4][256];         /* [channel][pixel] */
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

static void look_up(uint16_t *restrict y, size_t step, const uint8_t *restrict plane, size_t n, const uint16_t *values)
{
    for (size_t i = 0; i < n; i++)
        y[i * step] = values[plane[i]];
}

static void tabulate(struct input *self)
{
    for (int c = 0; c < self->args.c; c++)
        for (int pixel = 0; pixel < 256; pixel++)
            self->bf16[c][pixel] = bf16_narrow(((float)pixel / 255 - self->args.mean[c]) / self->args.std[c]);
}

static int forward(struct op *op, const struct step *step, struct error *error)
{
    const struct input *self = (const struct input *)op;
    (void)error;
    size_t channels = (size_t)self->args.c, plane = (size_t)self->args.h * (size_t)self->args.w;
    for (size_t sample = 0; sample < (size_t)self->y->batch; sample++)
        for (size_t c = 0; c < channels; c++) {
            size_t from = (sample * channels + c) * plane, to = sample * channels * plane + c * self->next_plane;
            if (self->y->precision == PRECISION_BF16)
                look_up((uint16_t *)self->y->data + to, self->next_pixel, step->pixels + from, plane, self->bf16[c]);
            else
                normalize((float *)self->y->data + to, self->next_pixel, step->pixels + from, plane, self->args.mean[c], self->args.std[c]);
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
    tabulate(self);
    build_output(&build, build_activation(&build, request->output, interleaved ? dnnl_nhwc : dnnl_nchw));
    return build_end(&build, &calls, op);
}
