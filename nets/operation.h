/* What plan_make.c makes and plan.c runs. Inside nets/ only. */
#ifndef NETS_OPERATION_H
#define NETS_OPERATION_H

#include "nets/plan.h"
#include "nets/recording.h"

/* A node with what was fused onto it.
 *
 * A tensor read by one operation has one gradient. Where several read it, the last of them writes the producer's own gradient buffer
 * (it is the first to run backward); each of the others writes that of a view, which is added right after, or adds to it where it can. */
struct operation {
    struct op *op;
    const struct node *node;            /* the first of the chain: name, parameters */
    int last;                           /* number of the last of the chain */
    int n_inputs, from[NODE_INPUTS];    /* numbers of the nodes that it reads: the first's, and what the others of the chain read besides */
    union layer_args args;
    struct tensor output;
    struct tensor *inputs[NODE_INPUTS]; /* the producer's output, or the view */
    struct tensor views[NODE_INPUTS];
    struct tensor *sums[NODE_INPUTS];   /* where a view's gradient is added; NULL: no view, or the operation adds */
    struct tensor *added[NODE_INPUTS];  /* whose gradient is also the view's, and added to; NULL: none */
    bool differentiable;                /* it or something before it has parameters */
    bool backward;                      /* it runs backward in this plan */
    size_t begin, end;                  /* of its parameters in the canonical vector */
};

struct plan {
    struct plan_request request;   /* what it was made for */
    bool packed;                   /* the operations' own weights were filled at least once */
    struct recording recordings[2]; /* by turn */
    struct operation *operations;
    int n;
    struct op **packing;           /* [n]: room for a list of those that pack at once */
    int *owner;                    /* [graph nodes]: the operation that computes the node */
    void *memory;
    size_t bytes;
};

/* Whether operation `number` wants weights that are not there yet. */
bool plan_wants(const struct plan *plan, int number, const struct plan_hooks *hooks);

/* Operation `first` and those behind it whose weights are there when its are: they pack, and run forward. *end: the first that comes later. */
int operations_forward(struct plan *plan, int first, int *end, const struct step *step, const struct plan_hooks *hooks, bool repack, struct error *error);
int operation_backward(struct plan *plan, int number, const struct step *step, const struct plan_hooks *hooks, struct error *error); /* and the mark behind it */

#endif
