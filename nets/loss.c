/* Softmax with cross entropy. Its input is a vector, one logit a class; its output is no activation, only the step's result. */
#include "nets/layer.h"
#include "nets/layers.h"

static void shape(struct graph *graph, struct node *node)
{
    struct shape in = graph->nodes[node->inputs[0]].out;
    float smoothing = node->args.loss.smoothing;
    if (in.h != 1 || in.w != 1 || in.c < 2)
        fail(&graph->error, EXIT_USAGE, "%s: layer %s: want a vector of at least 2 logits, got %d x %d x %d", graph->name, node->name, in.c, in.h, in.w);
    if (!(smoothing >= 0 && smoothing < 1))
        fail(&graph->error, EXIT_USAGE, "%s: layer %s: want label smoothing from 0 to below 1, got %g", graph->name, node->name, (double)smoothing);
    graph->classes = in.c;
    node->out = (struct shape){ 1, 1, 1 };
}

static int prepare(const struct backend *backend, struct op **op, const struct op_request *request, const union layer_args *args, struct error *error)
{
    return backend->loss(op, request, &args->loss, error);
}

const struct layer layer_loss = { .kind = "loss", .shape = shape, .prepare = prepare };

int loss(struct graph *graph, int x, float smoothing)
{
    return graph_append(graph, &layer_loss, "loss", &x, 1, &(union layer_args){ .loss = { smoothing } });
}
