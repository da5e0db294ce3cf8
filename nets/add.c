/* The sum of two activations of one shape: a residual connection. */
#include "nets/layer.h"
#include "nets/layers.h"

static void shape(struct graph *graph, struct node *node)
{
    struct shape a = graph->nodes[node->inputs[0]].out, b = graph->nodes[node->inputs[1]].out;
    if (a.c != b.c || a.h != b.h || a.w != b.w)
        fail(&graph->error, EXIT_USAGE, "%s: layer %s: want two inputs of one shape, got %d x %d x %d (%s) and %d x %d x %d (%s)", graph->name, node->name,
             a.c, a.h, a.w, graph->nodes[node->inputs[0]].name, b.c, b.h, b.w, graph->nodes[node->inputs[1]].name);
    node->out = a;
}

static bool absorb(union layer_args *args, const struct node *next, const struct fusions *fusions)
{
    if (next->layer != &layer_relu || !fusions->add_relu || args->add.relu)
        return false;
    return args->add.relu = true;
}

static int prepare(const struct backend *backend, struct op **op, const struct op_request *request, const union layer_args *args, struct error *error)
{
    return backend->add(op, request, &args->add, error);
}

const struct layer layer_add = { .kind = "add", .shape = shape, .absorb = absorb, .prepare = prepare };

int add(struct graph *graph, int x, int y)
{
    return graph_append(graph, &layer_add, NULL, (int[2]){ x, y }, 2, NULL);
}
