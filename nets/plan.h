/* A plan: one graph made ready to run on one device in one mode with one batch size.
 *
 * Nodes are fused into operations as the backend allows, every activation gets a place in one arena by its lifetime, and nothing is
 * allocated afterwards. Where the backend has captures and a step says that it is `fixed`, the second step of each turn is captured while it runs, and later ones are launched
 * from that (nets/recording.h). A plan is used by one thread at a time. */
#ifndef NETS_PLAN_H
#define NETS_PLAN_H

#include "nets/backend.h"

struct plan;

/* How the weights come and the gradients go while a step runs. Ranges are of the canonical vector, in floats: [begin, end).
 * One range for each operation that has parameters, its weight and bias together; need is called in the order of the vector, ready in the
 * reverse, each once a step; their ranges leave no gap. */
struct plan_hooks {
    void *context;
    /* Before an operation reads weights in that range: make them current. May wait. NULL: they are. */
    int (*need)(void *context, size_t begin, size_t end, struct error *error);
    /* Gradients in that range are final and no more weights in it will be read in this step, as soon as what has been enqueued is done. NULL: nobody asks. */
    int (*ready)(void *context, size_t begin, size_t end, struct error *error);
    /* Whether `need` has anything to do; a capture goes on where it has not. NULL: always. */
    bool (*wanting)(const void *context, size_t begin, size_t end);
    /* Before `ready`, and part of the capture where the step is one: enqueue what others will wait for. NULL: nothing. */
    void (*mark)(void *context, size_t begin, size_t end);
};

/* What a plan is made for; everything is borrowed for the plan's life. The backend offers the precision. */
struct plan_request {
    const struct backend *backend;
    struct device *device;
    const struct graph *graph;
    int batch;
    bool training;
    enum precision precision;
};

int plan_make(struct plan **plan, const struct plan_request *request, struct error *error);
void plan_free(struct plan *plan); /* accepts NULL */

int plan_forward(struct plan *plan, const struct step *step, const struct plan_hooks *hooks, struct error *error);
int plan_backward(struct plan *plan, const struct step *step, const struct plan_hooks *hooks, struct error *error);

/* Of the last step of that turn; waits for its forward pass. */
int plan_result(struct plan *plan, int turn, struct step_result *result, struct error *error);

/* The loss node's input (logits) of the last forward, as [B][classes]. */
void plan_logits(struct plan *plan, float *logits);

/* Bytes of arena, kept state and scratch. */
size_t plan_bytes(const struct plan *plan);

/* One row per operation, fusions shown. */
void plan_describe(const struct plan *plan, char *text, size_t bytes);

#endif
