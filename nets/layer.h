/* A family of layers: one const struct, one file. */
#ifndef NETS_LAYER_H
#define NETS_LAYER_H

#include "nets/backend.h"
#include "nets/graph.h"

struct layer {
    const char *kind; /* "conv": the start-up table shows it */
    /* From the inputs' shapes and the arguments: the output's shape, and the parameters. Errors stick in the graph. */
    void (*shape)(struct graph *graph, struct node *node);
    /* Multiply-adds per sample; NULL: none worth counting. */
    double (*multiply_adds)(const struct graph *graph, const struct node *node);
    /* Whether `next`, the only reader of this node, can be computed by this node's operation; `args` (a copy) then says so. NULL: never. */
    bool (*absorb)(union layer_args *args, const struct node *next, const struct fusions *fusions);
    /* Calls the backend's constructor. */
    int (*prepare)(const struct backend *backend, struct op **op, const struct op_request *request, const union layer_args *args, struct error *error);
};

extern const struct layer layer_input, layer_conv, layer_pool, layer_linear, layer_relu, layer_batchnorm, layer_add, layer_shortcut, layer_concat, layer_dropout, layer_lrn, layer_loss;

#endif
