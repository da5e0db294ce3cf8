/* Concatenation of channels: whole planes are copied, block by block. */
#include "cpu/lanes.h"

struct concat {
    struct op op;
    int batch, n_inputs;
    const struct tensor *in[NODE_INPUTS], *out;
};

static int forward(struct op *op, const struct step *step, struct error *error)
{
    (void)step, (void)error;
    const struct concat *concat = (const struct concat *)op;
    float *to = concat->out->data;
    for (size_t block = 0; block < (size_t)lanes_blocks(concat->batch); block++)
        for (int k = 0; k < concat->n_inputs; k++) {
            const size_t n = lanes_count(concat->in[k]->shape);
            memcpy(to, (const float *)concat->in[k]->data + block * n, n * sizeof *to);
            to += n;
        }
    return 0;
}

static int backward(struct op *op, const struct step *step, struct error *error)
{
    (void)step, (void)error;
    const struct concat *concat = (const struct concat *)op;
    const float *from = concat->out->gradient;
    for (size_t block = 0; block < (size_t)lanes_blocks(concat->batch); block++)
        for (int k = 0; k < concat->n_inputs; k++) {
            const size_t n = lanes_count(concat->in[k]->shape);
            float *to = concat->in[k]->gradient;
            if (to)
                memcpy(to + block * n, from, n * sizeof *to);
            from += n;
        }
    return 0;
}

static const struct op_calls calls = { .forward = forward, .backward = backward, .free = lanes_op_free };

int lanes_concat(struct op **op, const struct op_request *request, struct error *error)
{
    struct concat *concat = lanes_op_new(sizeof *concat, &calls, request, error);
    if (!concat)
        return -1;
    concat->batch = request->batch;
    concat->n_inputs = request->n_inputs;
    concat->out = request->output;
    for (int k = 0; k < request->n_inputs; k++)
        concat->in[k] = request->inputs[k];
    *op = &concat->op;
    return 0;
}
