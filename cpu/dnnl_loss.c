/* Softmax with cross entropy, on logits as [B][classes] in fp32: from any other layout or format they are reordered first.
 *
 * Forward has all that the gradient needs, so it leaves it in `saved`, and backward only delivers it. */
#include "cpu/cross_entropy.h"
#include "cpu/dnnl.h"
#include "cpu/loss_scale.h"

#include <string.h>

struct loss {
    struct onednn_op op;
    struct cross_entropy of;
    struct place logits, gradient; /* [B][classes]; the gradient nowhere in evaluation */
    struct step_result result;
};

static int forward(struct op *head, const struct step *step, struct error *error)
{
    struct loss *self = (struct loss *)head;
    size_t classes = (size_t)self->of.classes, n = (size_t)step->n;
    if (onednn_run(&self->op, &self->op.forward, step, error))
        return -1;
    const float *logits = onednn_resolve(&self->op, &self->logits, step);
    float *gradient = onednn_resolve(&self->op, &self->gradient, step);
    self->of.scale = loss_scale(step);
    self->result = (struct step_result){ 0 };
    for (size_t i = 0; i < n; i++)
        cross_entropy_sample(&self->of, logits + i * classes, 1, step->labels[i], gradient ? gradient + i * classes : NULL, &self->result);
    if (gradient)
        memset(gradient + n * classes, 0, ((size_t)self->of.batch - n) * classes * sizeof(float));
    return 0;
}

int onednn_result(struct op *loss, int turn, struct step_result *result, struct error *error)
{
    (void)turn, (void)error;
    *result = ((const struct loss *)loss)->result;
    return 0;
}

int onednn_loss(struct op **op, const struct op_request *request, const struct loss_args *args, struct error *error)
{
    static const struct op_calls calls = { .forward = forward, .backward = onednn_backward, .free = onednn_free };
    const struct tensor *x = request->inputs[0];
    struct build build;
    if (build_begin(&build, sizeof(struct loss), request, error))
        return -1;
    struct loss *self = (struct loss *)build.op;
    self->of = (struct cross_entropy){ request->batch, x->shape.c, args->smoothing, 1 };
    const struct layout *plain = build_floats(&build, x);
    self->logits = build_converted(&build, &self->op.forward, view_data(x), plain);
    if (request->training) {
        self->gradient = build_saved(&build, layout_bytes(plain));
        build_reorder(&build, &self->op.backward, (struct view){ self->gradient, plain }, view_gradient(x));
    }
    return build_end(&build, &calls, op); /* nothing comes out: its layout stays empty, its bytes 0 */
}
