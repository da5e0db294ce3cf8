/* See recording.h. */
#include "nets/recording.h"

#include "base/door.h"
#include "nets/operation.h"

#include <string.h>

int recording_init(struct recording *recording, int n, struct error *error)
{
    void *block;
    if (door_allocate(&block, ((size_t)n + 1) * sizeof *recording->parts, "the captures of a plan", error))
        return -1;
    recording->parts = block;
    return 0;
}

void recording_release(struct recording *recording, const struct capture_calls *calls)
{
    for (int i = 0; i < recording->n_parts; i++)
        calls->free(recording->parts[i].capture);
    if (recording->back)
        calls->free(recording->back);
    door_free(recording->parts);
    memset(recording, 0, sizeof *recording);
}

/* Ends a capture and launches it. */
static int seal(struct plan *plan, struct capture **capture, struct error *error)
{
    const struct capture_calls *calls = plan->request.backend->captures;
    if (calls->end(plan->request.device, capture, error))
        return -1;
    return *capture ? calls->launch(plan->request.device, *capture, error) : 0;
}

/* What failed inside of a capture leaves it open. */
static int abandon(struct plan *plan)
{
    struct capture *capture = NULL;
    struct error second = { 0 };
    if (plan->request.backend->captures->end(plan->request.device, &capture, &second) == 0)
        plan->request.backend->captures->free(capture);
    return -1;
}

/* One stretch of the forward pass: operations from *i on, up to the next that wants weights. */
static int keep_part(struct plan *plan, const struct step *step, const struct plan_hooks *hooks, int *i, struct error *error)
{
    struct recording *recording = &plan->recordings[step->turn];
    struct recorded_part *part = &recording->parts[recording->n_parts];
    *part = (struct recorded_part){ 0 };
    if (plan_wants(plan, *i, hooks)) {
        part->begin = plan->operations[*i].begin;
        part->end = plan->operations[*i].end;
        if (hooks->need(hooks->context, part->begin, part->end, error))
            return -1;
    }
    if (plan->request.backend->captures->begin(plan->request.device, error))
        return -1;
    if (operations_forward(plan, *i, i, step, hooks, true, error))
        return abandon(plan);
    recording->n_parts++;
    return seal(plan, &part->capture, error);
}

int recording_keep_forward(struct plan *plan, const struct step *step, const struct plan_hooks *hooks, struct error *error)
{
    for (int i = 0; i < plan->n;)
        if (keep_part(plan, step, hooks, &i, error))
            return -1;
    plan->recordings[step->turn].forward = true;
    return 0;
}

int recording_keep_backward(struct plan *plan, const struct step *step, const struct plan_hooks *hooks, struct error *error)
{
    struct recording *recording = &plan->recordings[step->turn];
    if (plan->request.backend->captures->begin(plan->request.device, error))
        return -1;
    for (int i = plan->n - 1; i >= 0; i--)
        if (operation_backward(plan, i, step, hooks, error))
            return abandon(plan);
    if (seal(plan, &recording->back, error))
        return -1;
    recording->backward = true;
    return 0;
}

int recording_forward(struct plan *plan, const struct step *step, const struct plan_hooks *hooks, struct error *error)
{
    const struct recording *recording = &plan->recordings[step->turn];
    for (int i = 0; i < recording->n_parts; i++) {
        const struct recorded_part *part = &recording->parts[i];
        if (part->end && hooks->need(hooks->context, part->begin, part->end, error))
            return -1;
        if (part->capture && plan->request.backend->captures->launch(plan->request.device, part->capture, error))
            return -1;
    }
    return 0;
}

int recording_backward(struct plan *plan, const struct step *step, struct error *error)
{
    struct capture *back = plan->recordings[step->turn].back;
    return back ? plan->request.backend->captures->launch(plan->request.device, back, error) : 0;
}
