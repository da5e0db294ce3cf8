/* Dropout; with probability 0 no layer at all. */
#include "nets/layer.h"
#include "nets/layers.h"

static void shape(struct graph *graph, struct node *node)
{
    struct dropout_args *args = &node->args.dropout;
    if (!(args->p > 0 && args->p < 1))
        fail(&graph->error, EXIT_USAGE, "%s: layer %s: want a probability from 0 to below 1, got %g", graph->name, node->name, (double)args->p);
    args->id = (unsigned)(node - graph->nodes);
    node->out = graph->nodes[node->inputs[0]].out;
}

static int prepare(const struct backend *backend, struct op **op, const struct op_request *request, const union layer_args *args, struct error *error)
{
    return backend->dropout(op, request, &args->dropout, error);
}

const struct layer layer_dropout = { .kind = "dropout", .shape = shape, .prepare = prepare };

int dropout(struct graph *graph, int x, float p)
{
    return p == 0 ? x : graph_append(graph, &layer_dropout, NULL, &x, 1, &(union layer_args){ .dropout = { .p = p } });
}
