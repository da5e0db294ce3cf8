/* Softmax with cross entropy, on logits as [B][classes] in fp32: from any other layout or format they are reordered first.
 *
 * Forward has all that the gradient needs, so it leaves it in `saved`, and backward only delivers it. */
#include "cpu/dnnl.h"

#include <math.h>
#include <string.h>

struct loss {
    struct onednn_op op;
    int batch, classes;
    float smoothing;
    struct place logits, gradient; /* [B][classes]; the gradient nowhere in evaluation */
    struct step_result result;
};

/* How many classes stand before the label: of equals the first. All of them when any logit is NaN. */
static int classes_before(const float *logits, int classes, int label)
{
    int before = 0;
    for (int c = 0; c < classes; c++) {
        if (isnan(logits[c]))
            return classes;
        before += logits[c] > logits[label] || (logits[c] == logits[label] && c < label);
    }
    return before;
}

static double log_of_sum(const float *logits, int classes)
{
    double top = logits[0], sum = 0;
    for (int c = 1; c < classes; c++)
        top = logits[c] > top ? logits[c] : top;
    for (int c = 0; c < classes; c++)
        sum += exp(logits[c] - top);
    return top + log(sum);
}

/* One sample: its cross entropy, and where wanted (softmax - target)/B. */
static double row(const struct loss *self, const float *logits, int label, float *gradient)
{
    double log_sum = log_of_sum(logits, self->classes), entropy = 0;
    for (int c = 0; c < self->classes; c++) {
        double log_p = logits[c] - log_sum, target = (double)self->smoothing / self->classes + (c == label ? 1 - (double)self->smoothing : 0);
        if (target != 0)
            entropy -= target * log_p;
        if (gradient)
            gradient[c] = (float)((exp(log_p) - target) / self->batch);
    }
    return entropy;
}

static int forward(struct op *head, const struct step *step, struct error *error)
{
    struct loss *self = (struct loss *)head;
    size_t classes = (size_t)self->classes, n = (size_t)step->n;
    if (onednn_run(&self->op, &self->op.forward, step, error))
        return -1;
    const float *logits = onednn_resolve(&self->op, &self->logits, step);
    float *gradient = onednn_resolve(&self->op, &self->gradient, step);
    self->result = (struct step_result){ 0 };
    for (size_t i = 0; i < n; i++) {
        int before = classes_before(logits + i * classes, self->classes, step->labels[i]);
        self->result.correct += before < 1;
        self->result.correct5 += before < 5 && before < self->classes;
        self->result.loss_sum += row(self, logits + i * classes, step->labels[i], gradient ? gradient + i * classes : NULL);
    }
    if (gradient)
        memset(gradient + n * classes, 0, ((size_t)self->batch - n) * classes * sizeof(float));
    return 0;
}

void onednn_result(struct op *loss, struct step_result *result) { *result = ((const struct loss *)loss)->result; }

int onednn_loss(struct op **op, const struct op_request *request, const struct loss_args *args, struct error *error)
{
    static const struct op_calls calls = { .forward = forward, .backward = onednn_backward, .free = onednn_free };
    const struct tensor *x = request->inputs[0];
    struct build build;
    dnnl_memory_desc_t plain;
    if (build_begin(&build, sizeof(struct loss), request, error))
        return -1;
    struct loss *self = (struct loss *)build.op;
    self->batch = request->batch;
    self->classes = x->shape.c;
    self->smoothing = args->smoothing;
    layout_floats(&plain, x);
    self->logits = build_converted(&build, &self->op.forward, view_data(x), &plain);
    if (request->training) {
        self->gradient = build_saved(&build, dnnl_memory_desc_get_size(&plain));
        build_reorder(&build, &self->op.backward, (struct view){ self->gradient, &plain }, view_gradient(x));
    }
    return build_end(&build, &calls, op); /* nothing comes out: its layout stays empty, its bytes 0 */
}
