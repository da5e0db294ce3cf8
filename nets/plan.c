/* Running a plan, and showing it. */
#include "nets/operation.h"

#include "base/text.h"
#include "nets/layer.h"

int plan_forward(struct plan *plan, const struct step *step, const struct plan_hooks *hooks, struct error *error)
{
    bool repack = step->repack || !plan->packed;
    plan->backend->begin(plan->device, step);
    for (int i = 0; i < plan->n; i++) {
        struct operation *operation = &plan->operations[i];
        const struct op_calls *calls = operation->op->calls;
        bool has_weights = operation->end > operation->begin;
        if (has_weights && hooks && hooks->need && hooks->need(hooks->context, operation->begin, operation->end, error))
            return -1;
        if (repack && calls->pack && calls->pack(operation->op, step, error))
            return -1;
        if (calls->forward(operation->op, step, error))
            return -1;
    }
    plan->packed = true;
    return 0;
}

int plan_backward(struct plan *plan, const struct step *step, const struct plan_hooks *hooks, struct error *error)
{
    ASSERT(plan->training);
    for (int i = plan->n - 1; i >= 0; i--) {
        struct operation *operation = &plan->operations[i];
        if (!operation->backward)
            continue;
        if (operation->op->calls->backward(operation->op, step, error))
            return -1;
        for (int k = 0; k < operation->n_inputs; k++)
            if (operation->sums[k])
                plan->backend->accumulate(plan->device, operation->sums[k], operation->inputs[k]);
        bool has_weights = operation->end > operation->begin;
        if (has_weights && hooks && hooks->ready && hooks->ready(hooks->context, operation->begin, operation->end, error))
            return -1;
    }
    return 0;
}

int plan_result(struct plan *plan, int turn, struct step_result *result, struct error *error)
{
    return plan->backend->result(plan->operations[plan->n - 1].op, turn, result, error);
}

void plan_logits(struct plan *plan, float *logits)
{
    plan->backend->tensor_out(plan->device, plan->operations[plan->n - 1].inputs[0], false, logits);
}

size_t plan_bytes(const struct plan *plan) { return plan->bytes; }

void plan_describe(const struct plan *plan, char *buffer, size_t bytes)
{
    enum { NAME_END = 20, KINDS_END = 44, SHAPE_END = 60 };
    struct text text;
    text_begin(&text, buffer, bytes);
    for (int i = 0; i < plan->n; i++) {
        const struct operation *operation = &plan->operations[i];
        struct shape out = operation->output.shape;
        text_add(&text, "%s", operation->node->name);
        text_pad(&text, NAME_END);
        for (int k = 0, first = 1; k < plan->graph->n_nodes; k++)
            if (plan->owner[k] == i) {
                text_add(&text, "%s%s", first ? "" : " + ", plan->graph->nodes[k].layer->kind);
                first = 0;
            }
        text_pad(&text, KINDS_END);
        text_add(&text, "%d x %d x %d", out.c, out.h, out.w);
        text_pad(&text, SHAPE_END);
        text_add(&text, "%zu bytes, keeps %zu, scratch %zu\n", operation->output.bytes, operation->op->saved_bytes, operation->op->scratch_bytes);
    }
}
