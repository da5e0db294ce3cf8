/* Running a plan, and showing it. */
#include "nets/operation.h"

#include "base/text.h"
#include "nets/layer.h"

bool plan_wants(const struct plan *plan, int number, const struct plan_hooks *hooks)
{
    const struct operation *operation = &plan->operations[number];
    return operation->end > operation->begin && hooks && hooks->need && (!hooks->wanting || hooks->wanting(hooks->context, operation->begin, operation->end));
}

static int pack_at_once(struct plan *plan, int first, int end, const struct step *step, struct error *error)
{
    int n = 0;
    for (int i = first; i < end; i++)
        if (plan->operations[i].op->calls->pack)
            plan->packing[n++] = plan->operations[i].op;
    return n ? plan->request.backend->pack_all(plan->packing, n, step, error) : 0;
}

int operations_forward(struct plan *plan, int first, int *end, const struct step *step, const struct plan_hooks *hooks, bool repack, struct error *error)
{
    const bool at_once = repack && plan->request.backend->pack_all;
    for (*end = first + 1; *end < plan->n && !plan_wants(plan, *end, hooks); ++*end)
        ;
    if (at_once && pack_at_once(plan, first, *end, step, error))
        return -1;
    for (int i = first; i < *end; i++) {
        struct op *op = plan->operations[i].op;
        if ((repack && !at_once && op->calls->pack && op->calls->pack(op, step, error)) || op->calls->forward(op, step, error))
            return -1;
    }
    return 0;
}

/* Enqueues it, and the mark behind it. */
int operation_backward(struct plan *plan, int number, const struct step *step, const struct plan_hooks *hooks, struct error *error)
{
    struct operation *operation = &plan->operations[number];
    if (!operation->backward)
        return 0;
    if (operation->op->calls->backward(operation->op, step, error))
        return -1;
    for (int k = 0; k < operation->n_inputs; k++)
        if (operation->sums[k])
            plan->request.backend->accumulate(plan->request.device, operation->sums[k], operation->inputs[k]);
    if (operation->end > operation->begin && hooks && hooks->mark)
        hooks->mark(hooks->context, operation->begin, operation->end);
    return 0;
}

static int tell_ready(const struct operation *operation, const struct plan_hooks *hooks, struct error *error)
{
    bool tell = operation->backward && operation->end > operation->begin && hooks && hooks->ready;
    return tell ? hooks->ready(hooks->context, operation->begin, operation->end, error) : 0;
}

static int enqueue_forward(struct plan *plan, const struct step *step, const struct plan_hooks *hooks, struct error *error)
{
    bool repack = step->repack || !plan->packed;
    for (int i = 0; i < plan->n;) {
        const struct operation *operation = &plan->operations[i];
        if (plan_wants(plan, i, hooks) && hooks->need(hooks->context, operation->begin, operation->end, error))
            return -1;
        if (operations_forward(plan, i, &i, step, hooks, repack, error))
            return -1;
    }
    plan->packed = true;
    return 0;
}

static bool captures(const struct plan *plan, const struct step *step)
{
    return plan->request.backend->captures && step->fixed && step->repack && plan->recordings[step->turn].steps > 1;
}

int plan_forward(struct plan *plan, const struct step *step, const struct plan_hooks *hooks, struct error *error)
{
    struct recording *recording = &plan->recordings[step->turn];
    plan->request.backend->begin(plan->request.device, step);
    recording->steps += recording->steps < 2;
    bool kept = captures(plan, step);
    if (!kept)
        return enqueue_forward(plan, step, hooks, error);
    return (recording->forward ? recording_forward : recording_keep_forward)(plan, step, hooks, error);
}

int plan_backward(struct plan *plan, const struct step *step, const struct plan_hooks *hooks, struct error *error)
{
    ASSERT(plan->request.training);
    if (captures(plan, step)) {
        const struct recording *recording = &plan->recordings[step->turn];
        if (recording->backward ? recording_backward(plan, step, error) : recording_keep_backward(plan, step, hooks, error))
            return -1;
        for (int i = plan->n - 1; i >= 0; i--)
            if (tell_ready(&plan->operations[i], hooks, error))
                return -1;
        return 0;
    }
    for (int i = plan->n - 1; i >= 0; i--)
        if (operation_backward(plan, i, step, hooks, error) || tell_ready(&plan->operations[i], hooks, error))
            return -1;
    return 0;
}

int plan_result(struct plan *plan, int turn, struct step_result *result, struct error *error)
{
    return plan->request.backend->result(plan->operations[plan->n - 1].op, turn, result, error);
}

void plan_logits(struct plan *plan, float *logits)
{
    plan->request.backend->tensor_out(plan->request.device, plan->operations[plan->n - 1].inputs[0], false, logits);
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
        for (int k = 0, first = 1; k < plan->request.graph->n_nodes; k++)
            if (plan->owner[k] == i) {
                text_add(&text, "%s%s", first ? "" : " + ", plan->request.graph->nodes[k].layer->kind);
                first = 0;
            }
        text_pad(&text, KINDS_END);
        text_add(&text, "%d x %d x %d", out.c, out.h, out.w);
        text_pad(&text, SHAPE_END);
        text_add(&text, "%zu bytes, keeps %zu, scratch %zu\n", operation->output.bytes, operation->op->saved_bytes, operation->op->scratch_bytes);
    }
}
