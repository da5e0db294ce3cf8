/* ReLU, and addition with or without it. What backward needs is one bit a value. */
#include "cpu/lanes.h"

struct add {
    struct op op;
    bool relu, keep;
    int n_inputs;
    const struct tensor *in[NODE_INPUTS], *out;
};

static int forward(struct op *op, const struct step *step, struct error *error)
{
    (void)step, (void)error;
    const struct add *add = (const struct add *)op;
    const size_t n = add->out->bytes / sizeof(vec);
    const float *x = add->in[0]->data, *y = add->n_inputs > 1 ? add->in[1]->data : NULL;
    float *out = add->out->data;
    lane_bits *bits = op->saved;
    for (size_t i = 0; i < n; i++) {
        vec a = vec_load(x + i * LANES);
        if (y)
            a += vec_load(y + i * LANES);
        if (add->relu) {
            lane_mask passes;
            a = vec_relu(a, &passes);
            if (add->keep)
                bits[i] = mask_bits(passes);
        }
        vec_store(out + i * LANES, a);
    }
    return 0;
}

static int backward(struct op *op, const struct step *step, struct error *error)
{
    (void)step, (void)error;
    const struct add *add = (const struct add *)op;
    const size_t n = add->out->bytes / sizeof(vec);
    const float *from = add->out->gradient;
    const lane_bits *bits = op->saved;
    for (int k = 0; k < add->n_inputs; k++) {
        float *to = add->in[k]->gradient;
        for (size_t i = 0; to && i < n; i++)
            vec_store(to + i * LANES, vec_keep(mask_of(add->relu ? bits[i] : ALL_BITS), vec_load(from + i * LANES)));
    }
    return 0;
}

static const struct op_calls calls = { .forward = forward, .backward = backward, .free = lanes_op_free };

static int prepare(struct op **op, const struct op_request *request, bool relu, struct error *error)
{
    struct add *add = lanes_op_new(sizeof *add, &calls, request, error);
    if (!add)
        return -1;
    add->relu = relu;
    add->keep = request->training;
    add->n_inputs = request->n_inputs;
    add->out = request->output;
    for (int k = 0; k < request->n_inputs; k++)
        add->in[k] = request->inputs[k];
    if (relu && request->training)
        add->op.saved_bytes = lanes_bits_bytes(add->out->bytes / sizeof(vec));
    *op = &add->op;
    return 0;
}

int lanes_add(struct op **op, const struct op_request *request, const struct add_args *args, struct error *error)
{
    return prepare(op, request, args->relu, error);
}

int lanes_relu(struct op **op, const struct op_request *request, struct error *error) { return prepare(op, request, true, error); }
