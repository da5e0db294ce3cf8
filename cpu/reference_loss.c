/* Softmax with cross entropy: loss = -sum over c of target[c] log softmax(x)[c], dx = (softmax(x) - target)/B, times the loss scale.
 *
 * A prediction is right when the label is argmax(x), the first of equal maxima; among the five best, when fewer than five classes stand
 * before it in that order. A sample with a NaN among its logits is never right. */
#include "base/elementary.h"
#include "cpu/loss_scale.h"
#include "cpu/reference.h"

#include <math.h>
#include <string.h>

/* How many classes stand before the label; all of them when a logit is NaN. */
static int rank(const float *x, int classes, int label)
{
    int before = 0;
    for (int c = 0; c < classes; c++) {
        if (isnan(x[c]))
            return classes;
        before += x[c] > x[label] || (x[c] == x[label] && c < label);
    }
    return before;
}

static double log_sum_exp(const float *x, int classes)
{
    double most = (double)x[0], sum = 0;
    for (int c = 1; c < classes; c++)
        most = (double)x[c] > most ? (double)x[c] : most;
    for (int c = 0; c < classes; c++)
        sum += elementary_exp((double)x[c] - most);
    return most + elementary_log(sum);
}

/* The loss of one sample; its gradient to dx, where that is not NULL. */
static double sample(const struct reference_op *self, const float *x, int label, float scale, float *dx)
{
    int classes = self->request.inputs[0]->shape.c;
    double smoothing = (double)self->args.loss.smoothing, norm = log_sum_exp(x, classes), entropy = 0;
    for (int c = 0; c < classes; c++) {
        double target = smoothing / classes + (c == label ? 1 - smoothing : 0), log_softmax = (double)x[c] - norm;
        if (target > 0)
            entropy -= target * log_softmax;
        if (dx)
            dx[c] = scale * (float)((elementary_exp(log_softmax) - target) / self->request.batch);
    }
    return entropy;
}

static int forward(struct op *op, const struct step *step, struct error *error)
{
    struct reference_op *self = (struct reference_op *)op;
    int classes = self->request.inputs[0]->shape.c;
    float *gradient = self->request.training ? op->saved : NULL;
    (void)error;
    self->result = (struct step_result){ 0 };
    if (gradient)
        memset(gradient, 0, op->saved_bytes);
    for (int b = 0; b < step->n; b++) {
        size_t at = (size_t)b * (size_t)classes;
        const float *x = (const float *)self->request.inputs[0]->data + at;
        int before = rank(x, classes, step->labels[b]);
        self->result.correct += before < 1;
        self->result.correct5 += before < 5 && before < classes;
        self->result.loss_sum += sample(self, x, step->labels[b], loss_scale(step), gradient ? gradient + at : NULL);
    }
    return 0;
}

static int backward(struct op *op, const struct step *step, struct error *error)
{
    const struct reference_op *self = reference_of(op);
    (void)step, (void)error;
    memcpy(self->request.inputs[0]->gradient, op->saved, op->saved_bytes);
    return 0;
}

int reference_result(struct op *loss, int turn, struct step_result *result, struct error *error)
{
    (void)turn, (void)error;
    *result = reference_of(loss)->result;
    return 0;
}

static const struct op_calls calls = { .forward = forward, .backward = backward, .free = reference_free };

int reference_loss(struct op **op, const struct op_request *request, const struct loss_args *args, struct error *error)
{
    struct reference_op *self = reference_new(op, request, &calls, request->training ? request->inputs[0]->bytes : 0, error);
    if (!self)
        return -1;
    self->args.loss = *args;
    request->output->bytes = 0; /* nothing comes out but the result */
    return 0;
}
