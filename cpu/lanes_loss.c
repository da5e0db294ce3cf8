/* Softmax with cross entropy. Forward has all that the gradient needs, so it leaves it in `saved`, and backward only delivers it. */
#include "cpu/lanes.h"

#include <math.h>

struct loss {
    struct op op;
    int batch, classes;
    float smoothing;
    bool training;
    const struct tensor *in;
    struct step_result result;
};

/* How many classes stand before the label: of equals the first. All of them when any logit is NaN. Logits are LANES apart. */
static int classes_before(const float *logits, int classes, int label)
{
    const float own = logits[label * LANES];
    int before = 0;
    for (int c = 0; c < classes; c++) {
        const float other = logits[c * LANES];
        if (isnan(other))
            return classes;
        before += other > own || (other == own && c < label);
    }
    return before;
}

static double log_of_sum(const float *logits, int classes)
{
    float top = logits[0];
    double sum = 0;
    for (int c = 1; c < classes; c++)
        top = logits[c * LANES] > top ? logits[c * LANES] : top;
    for (int c = 0; c < classes; c++)
        sum += (double)expf(logits[c * LANES] - top);
    return (double)top + log(sum);
}

/* One sample: its cross entropy, and where wanted (softmax - target)/B. */
static double sample(const struct loss *loss, const float *logits, int label, float *gradient)
{
    const double log_sum = log_of_sum(logits, loss->classes), share = (double)loss->smoothing / loss->classes;
    double entropy = 0;
    for (int c = 0; c < loss->classes; c++) {
        const double log_p = (double)logits[c * LANES] - log_sum, target = share + (c == label ? 1 - (double)loss->smoothing : 0);
        if (target > 0)
            entropy -= target * log_p;
        if (gradient)
            gradient[c * LANES] = (float)(((double)expf((float)log_p) - target) / loss->batch);
    }
    return entropy;
}

static int forward(struct op *op, const struct step *step, struct error *error)
{
    (void)error;
    struct loss *loss = (struct loss *)op;
    loss->result = (struct step_result){ 0 };
    if (loss->training)
        memset(op->saved, 0, op->saved_bytes);
    for (int i = 0; i < step->n; i++) {
        const size_t at = (size_t)(i / LANES) * (size_t)loss->classes * LANES + (size_t)(i % LANES);
        const float *logits = (const float *)loss->in->data + at;
        const int before = classes_before(logits, loss->classes, step->labels[i]);
        loss->result.correct += before < 1;
        loss->result.correct5 += before < 5 && before < loss->classes;
        loss->result.loss_sum += sample(loss, logits, step->labels[i], loss->training ? (float *)op->saved + at : NULL);
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

void lanes_result(struct op *loss, struct step_result *result) { *result = ((const struct loss *)loss)->result; }

static const struct op_calls calls = { .forward = forward, .backward = backward, .free = lanes_op_free };

int lanes_loss(struct op **op, const struct op_request *request, const struct loss_args *args, struct error *error)
{
    struct loss *loss = lanes_op_new(sizeof *loss, &calls, request, error);
    if (!loss)
        return -1;
    loss->batch = request->batch;
    loss->classes = request->inputs[0]->shape.c;
    loss->smoothing = args->smoothing;
    loss->training = request->training;
    loss->in = request->inputs[0];
    loss->op.saved_bytes = request->training ? lanes_bytes(loss->in->shape, request->batch) : 0;
    request->output->bytes = 0; /* nothing comes out but the result */
    *op = &loss->op;
    return 0;
}
