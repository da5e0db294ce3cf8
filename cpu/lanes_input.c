/* Pixels to lanes: sixteen samples' planes are turned, sixteen pixels at a time, and normalized by one multiply-add. */
#include "cpu/lanes.h"

typedef uint8_t u8x16 __attribute__((vector_size(16), aligned(1), may_alias));

struct input {
    struct op op;
    struct input_args args;
    int batch;
    const struct tensor *out;
};

/* Pixels i..i+15 of the samples that there are; rows[pixel][sample] afterwards. */
static void turn(const uint8_t *pixels, size_t count, size_t i, int samples, v16 rows[LANES])
{
    const size_t n = count - i < LANES ? count - i : LANES;
    for (int s = 0; s < LANES; s++) {
        u8x16 bytes = { 0 };
        if (s < samples)
            memcpy(&bytes, pixels + (size_t)s * count + i, n);
        rows[s] = __builtin_convertvector(bytes, v16);
    }
    v16_transpose(rows);
}

static int forward(struct op *op, const struct step *step, struct error *error)
{
    (void)error;
    const struct input *input = (const struct input *)op;
    const size_t count = shape_count(input->out->shape), plane = (size_t)input->args.h * (size_t)input->args.w;
    float *out = input->out->data;
    for (int group = 0; group < lanes_groups(input->batch); group++) {
        const int left = input->batch - group * LANES;
        const uint16_t filled = lanes_filled(input->batch, group);
        for (size_t i = 0; i < count; i += LANES) {
            v16 rows[LANES];
            turn(step->pixels + (size_t)group * LANES * count, count, i, left < LANES ? left : LANES, rows);
            for (size_t j = 0; j < LANES && i + j < count; j++, out += LANES) {
                const size_t c = (i + j) / plane;
                v16 scale = v16_all(1.0f / (255.0f * input->args.std[c])), shift = v16_all(-input->args.mean[c] / input->args.std[c]);
                v16_store(out, v16_keep(filled, v16_fma(rows[j], scale, shift)));
            }
        }
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
