/* Activations of one height and width, one behind the other along the channels. */
#include "nets/layer.h"
#include "nets/layers.h"

#include <limits.h>

static void shape(struct graph *graph, struct node *node)
{
    struct shape out = graph->nodes[node->inputs[0]].out;
    for (int i = 1; i < node->n_inputs; i++) {
        struct shape in = graph->nodes[node->inputs[i]].out;
        if (in.h != out.h || in.w != out.w)
            fail(&graph->error, EXIT_USAGE, "%s: layer %s: want inputs of one height and width, got %d x %d and %d x %d (%s)", graph->name, node->name,
                 out.h, out.w, in.h, in.w, graph->nodes[node->inputs[i]].name);
        if (in.c > INT_MAX - out.c)
            fail(&graph->error, EXIT_USAGE, "%s: layer %s: want at most %d channels in all", graph->name, node->name, INT_MAX);
        if (graph->error.code)
            return;
        out.c += in.c;
    }
    node->out = out;
}

static int prepare(const struct backend *backend, struct op **op, const struct op_request *request, const union layer_args *args, struct error *error)
{
    (void)args;
    return backend->concat(op, request, error);
}

const struct layer layer_concat = { .kind = "concat", .shape = shape, .prepare = prepare };

int concat(struct graph *graph, const int *x, int n)
{
    return graph_append(graph, &layer_concat, NULL, x, n, NULL);
}
