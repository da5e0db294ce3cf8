/* Batch normalization. Epsilon and momentum left at zero mean PyTorch's 1e-5 and 0.1. */
#include "nets/layer.h"
#include "nets/layers.h"

static void shape(struct graph *graph, struct node *node)
{
    struct batchnorm_args *args = &node->args.batchnorm;
    if (args->epsilon == 0)
        args->epsilon = 1e-5f;
    if (args->momentum == 0)
        args->momentum = 0.1f;
    node->out = graph->nodes[node->inputs[0]].out;
    graph_add_param(graph, node, "weight", 1, &node->out.c, false, (struct init){ INIT_CONSTANT, args->zero ? 0 : 1 });
    graph_add_param(graph, node, "bias", 1, &node->out.c, false, (struct init){ INIT_CONSTANT, 0 });
    graph_add_stat(graph, node, "running_mean", node->out.c, 0);
    graph_add_stat(graph, node, "running_var", node->out.c, 1);
}

static bool absorb(union layer_args *args, const struct node *next, const struct fusions *fusions)
{
    if (args->batchnorm.relu)
        return false;
    if (next->layer == &layer_add && fusions->batchnorm_add && !args->batchnorm.add)
        return args->batchnorm.add = true;
    if (next->layer == &layer_relu && fusions->batchnorm_relu)
        return args->batchnorm.relu = true;
    return false;
}

static int prepare(const struct backend *backend, struct op **op, const struct op_request *request, const union layer_args *args, struct error *error)
{
    return backend->batchnorm(op, request, &args->batchnorm, error);
}

const struct layer layer_batchnorm = { .kind = "batchnorm", .shape = shape, .absorb = absorb, .prepare = prepare };

int batchnorm(struct graph *graph, int x, const char *name)
{
    return graph_append(graph, &layer_batchnorm, name, &x, 1, &(union layer_args){ .batchnorm = { 0 } });
}

int batchnorm_from_zero(struct graph *graph, int x, const char *name)
{
    return graph_append(graph, &layer_batchnorm, name, &x, 1, &(union layer_args){ .batchnorm = { .zero = true } });
}
