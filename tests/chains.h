/* The operations under test, with random arguments, each as a short graph around it. */
#ifndef TESTS_CHAINS_H
#define TESTS_CHAINS_H

#include "tests/segment.h"

/* What surrounds a chain: 1x1 convolutions in front, so that gradients flow into it, or the input itself; a linear layer and the loss behind. */
struct trial {
    struct shape in;
    int batch;
    bool at_input; /* the chain reads the input node: no gradient flows on */
    struct graph graph;
    int from, to;  /* nodes of the chain */
};

struct chain {
    const char *name;
    int n_inputs;
    int (*build)(struct graph *graph, const int *x, struct shape in, struct draws *draws); /* returns the last node */
    double tolerance; /* of a fast backend against the reference */
    bool apart;       /* a convolution right in front would absorb it: something stands between */
};

extern const struct chain chains[];
extern const int n_chains;

/* `in`, `batch`, `at_input` are set; the rest is built. Release trial->graph. */
void trial_build(struct trial *trial, const struct chain *chain, struct draws *draws);

#endif
