/* Dropout in lanes. What is kept is one bit a value; the lanes beyond the batch keep nothing. */
#include "cpu/lanes.h"

#include "cpu/dropout.h"

struct dropout {
    struct op op;
    struct dropout_args args;
    int batch;
    bool training;
    const struct tensor *in, *out;
};

/* Bits of the sample in that lane, over its values. */
static void draw(const struct dropout *dropout, lane_bits *bits, int lane, uint64_t key, int64_t sample)
{
    const size_t count = shape_count(dropout->in->shape);
    for (size_t i = 0; i < count; i += 4) {
        const struct philox_block words = dropout_words(key, sample, i / 4);
        for (size_t k = 0; k < 4 && i + k < count; k++)
            bits[i + k] |= (lane_bits)(dropout_keeps(words.word[k], dropout->args.p) << lane);
    }
}

static void apply(const struct dropout *dropout, const float *from, float *to)
{
    const lane_bits *bits = dropout->op.saved;
    const vec kept = vec_all(1 / (1 - dropout->args.p));
    for (size_t i = 0; i < dropout->out->bytes / sizeof(vec); i++)
        vec_store(to + i * LANES, vec_keep(mask_of(bits[i]), vec_load(from + i * LANES) * kept));
}

static int forward(struct op *op, const struct step *step, struct error *error)
{
    (void)error;
    const struct dropout *dropout = (const struct dropout *)op;
    const size_t count = shape_count(dropout->in->shape);
    const uint64_t key = dropout_key(&dropout->args, step);
    if (!dropout->training) {
        memcpy(dropout->out->data, dropout->in->data, dropout->out->bytes);
        return 0;
    }
    memset(op->saved, 0, op->saved_bytes);
    for (int i = 0; i < dropout->batch; i++)
        draw(dropout, (lane_bits *)op->saved + (size_t)(i / LANES) * count, i % LANES, key, step->index[i]);
    apply(dropout, dropout->in->data, dropout->out->data);
    return 0;
}

static int backward(struct op *op, const struct step *step, struct error *error)
{
    (void)step, (void)error;
    const struct dropout *dropout = (const struct dropout *)op;
    if (dropout->in->gradient)
        apply(dropout, dropout->out->gradient, dropout->in->gradient);
    return 0;
}

static const struct op_calls calls = { .forward = forward, .backward = backward, .free = lanes_op_free };

int lanes_dropout(struct op **op, const struct op_request *request, const struct dropout_args *args, struct error *error)
{
    struct dropout *dropout = lanes_op_new(sizeof *dropout, &calls, request, error);
    if (!dropout)
        return -1;
    dropout->args = *args;
    dropout->batch = request->batch;
    dropout->training = request->training;
    dropout->in = request->inputs[0];
    dropout->out = request->output;
    if (request->training)
        dropout->op.saved_bytes = lanes_bits_bytes(dropout->out->bytes / sizeof(vec));
    *op = &dropout->op;
    return 0;
}
