/* Local response normalization across channels. Zeroes mean PyTorch's defaults: size 5, alpha 1e-4, beta 0.75, k 1. */
#include "nets/layer.h"
#include "nets/layers.h"

static void shape(struct graph *graph, struct node *node)
{
    struct lrn_args *args = &node->args.lrn;
    if (args->size == 0)
        args->size = 5;
    if (args->alpha == 0)
        args->alpha = 1e-4f;
    if (args->beta == 0)
        args->beta = 0.75f;
    if (args->k == 0)
        args->k = 1;
    if (args->size < 1 || args->size % 2 == 0 || !(args->alpha > 0) || !(args->beta > 0) || !(args->k > 0))
        fail(&graph->error, EXIT_USAGE, "%s: layer %s: want an odd size and positive alpha, beta and k, got %d, %g, %g, %g", graph->name, node->name,
             args->size, (double)args->alpha, (double)args->beta, (double)args->k);
    node->out = graph->nodes[node->inputs[0]].out;
}

static int prepare(const struct backend *backend, struct op **op, const struct op_request *request, const union layer_args *args, struct error *error)
{
    return backend->lrn(op, request, &args->lrn, error);
}

const struct layer layer_lrn = { .kind = "lrn", .shape = shape, .prepare = prepare };

int lrn(struct graph *graph, int x, const struct lrn_args *args)
{
    return graph_append(graph, &layer_lrn, NULL, &x, 1, &(union layer_args){ .lrn = *args });
}
