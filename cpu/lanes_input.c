/* Pixels to lanes: a block of samples' planes is turned, as many pixels at a time, and normalized by one multiply-add. */
#include "cpu/lanes.h"

typedef uint8_t lane_bytes __attribute__((vector_size(LANES), aligned(1), may_alias));

struct input {
    struct op op;
    struct input_args args;
    int batch;
    const struct tensor *out;
};

/* `n` neighbouring pixels, at most LANES, of the samples that there are, `stride` bytes from one sample to the next; rows[pixel][sample] afterwards. */
VECTOR_INLINE void turn(const uint8_t *pixels, size_t stride, size_t n, int samples, vec rows[LANES])
{
    for (int s = 0; s < LANES; s++) {
        lane_bytes bytes = { 0 };
        if (s < samples && n == LANES)
            bytes = *(const lane_bytes *)(pixels + (size_t)s * stride);
        else if (s < samples)
            memcpy(&bytes, pixels + (size_t)s * stride, n);
        rows[s] = __builtin_convertvector(bytes, vec);
    }
    vec_transpose(rows);
}

static void plane(const uint8_t *pixels, size_t stride, size_t n, int samples, vec scale, vec shift, float *out)
{
    const lane_mask filled = lanes_filled(samples, 0);
    for (size_t i = 0; i < n; i += LANES) {
        const size_t left = n - i < LANES ? n - i : LANES;
        vec rows[LANES];
        turn(pixels + i, stride, left, samples, rows);
        for (size_t j = 0; j < left; j++, out += LANES)
            vec_store(out, vec_keep(filled, vec_fma(rows[j], scale, shift)));
    }
}

static int forward(struct op *op, const struct step *step, struct error *error)
{
    (void)error;
    const struct input *input = (const struct input *)op;
    const size_t n = (size_t)input->args.h * (size_t)input->args.w, stride = shape_count(input->out->shape);
    float *out = input->out->data;
    for (int first = 0; first < lanes_blocks(input->batch) * LANES; first += LANES)
        for (int c = 0; c < input->args.c; c++, out += n * LANES) {
            const float std = input->args.std[c], mean = input->args.mean[c];
            plane(step->pixels + (size_t)first * stride + (size_t)c * n, stride, n, input->batch - first, vec_all(1 / (255 * std)), vec_all(-mean / std), out);
        }
    return 0;
}

static const struct op_calls calls = { .forward = forward, .free = lanes_op_free };

int lanes_input(struct op **op, const struct op_request *request, const struct input_args *args, struct error *error)
{
    struct input *input = lanes_op_new(sizeof *input, &calls, request, error);
    if (!input)
        return -1;
    input->args = *args;
    input->batch = request->batch;
    input->out = request->output;
    *op = &input->op;
    return 0;
}
