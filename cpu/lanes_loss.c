/* Softmax with cross entropy. Forward has all that the gradient needs, so it leaves it in `saved`, and backward only delivers it. */
#include "cpu/lanes.h"

#include "cpu/cross_entropy.h"
#include "cpu/loss_scale.h"

struct loss {
    struct op op;
    struct cross_entropy of;
    bool training;
    const struct tensor *in;
    struct step_result result;
};

static int forward(struct op *op, const struct step *step, struct error *error)
{
    (void)error;
    struct loss *loss = (struct loss *)op;
    loss->of.scale = loss_scale(step);
    loss->result = (struct step_result){ 0 };
    if (loss->training)
        memset(op->saved, 0, op->saved_bytes);
    for (int i = 0; i < step->n; i++) {
        const size_t at = (size_t)(i / LANES) * (size_t)loss->of.classes * LANES + (size_t)(i % LANES);
        float *gradient = loss->training ? (float *)op->saved + at : NULL;
        cross_entropy_sample(&loss->of, (const float *)loss->in->data + at, LANES, step->labels[i], gradient, &loss->result);
    }
    return 0;
}

static int backward(struct op *op, const struct step *step, struct error *error)
{
    (void)step, (void)error;
    const struct loss *loss = (const struct loss *)op;
    memcpy(loss->in->gradient, op->saved, op->saved_bytes);
    return 0;
}

int lanes_result(struct op *loss, int turn, struct step_result *result, struct error *error)
{
    (void)turn, (void)error;
    *result = ((const struct loss *)loss)->result;
    return 0;
}

static const struct op_calls calls = { .forward = forward, .backward = backward, .free = lanes_op_free };

int lanes_loss(struct op **op, const struct op_request *request, const struct loss_args *args, struct error *error)
{
    struct loss *loss = lanes_op_new(sizeof *loss, &calls, request, error);
    if (!loss)
        return -1;
    loss->of = (struct cross_entropy){ request->batch, request->inputs[0]->shape.c, args->smoothing, 1 };
    loss->training = request->training;
    loss->in = request->inputs[0];
    loss->op.saved_bytes = request->training ? lanes_bytes(loss->in->shape, request->batch) : 0;
    request->output->bytes = 0; /* nothing comes out but the result */
    *op = &loss->op;
    return 0;
}
