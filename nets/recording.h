/* A step as captures: what its operations enqueue, kept, and launched again as a whole in later steps of the same turn.
 *
 * The forward pass is cut where an operation wants weights that are not there yet: what the hook enqueues for them (a wait, a local update from a slot that changes from step to
 * step) is outside of the captures. The backward pass is one capture; its marks are inside of it. The first step of a turn runs plainly, since libraries
 * load and settle things then that must not happen in a capture. Inside nets/ only; the plan's thread. */
#ifndef NETS_RECORDING_H
#define NETS_RECORDING_H

#include "nets/plan.h"

/* A stretch of the forward pass, and the weights that are asked for in front of it (end 0: none). */
struct recorded_part { size_t begin, end; struct capture *capture; };

struct recording {
    int steps;                   /* of this turn that have run, up to 2 */
    struct recorded_part *parts; /* room for one more than there are operations; NULL where nothing is captured */
    int n_parts;
    bool forward, backward;      /* it is there */
    struct capture *back;
};

/* Room for the recording of a plan of n operations. */
int recording_init(struct recording *recording, int n, struct error *error);
void recording_release(struct recording *recording, const struct capture_calls *calls);

/* Runs the pass and keeps it; runs it from what was kept. */
int recording_keep_forward(struct plan *plan, const struct step *step, const struct plan_hooks *hooks, struct error *error);
int recording_keep_backward(struct plan *plan, const struct step *step, const struct plan_hooks *hooks, struct error *error);
int recording_forward(struct plan *plan, const struct step *step, const struct plan_hooks *hooks, struct error *error);
int recording_backward(struct plan *plan, const struct step *step, struct error *error);

#endif
