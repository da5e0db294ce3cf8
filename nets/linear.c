/* Fully connected, over the input flattened in C, H, W order. Starts as PyTorch's: uniform within 1/sqrt(fan in). */
#include "nets/layer.h"
#include "nets/layers.h"

#include <math.h>

enum { OUTPUTS = 1 << 20 };

static void shape(struct graph *graph, struct node *node)
{
    struct linear_args *args = &node->args.linear;
    size_t fan_in = shape_count(graph->nodes[node->inputs[0]].out);
    if (args->outputs < 1 || args->outputs > OUTPUTS) {
        fail(&graph->error, EXIT_USAGE, "%s: layer %s: want 1..%d outputs, got %d", graph->name, node->name, OUTPUTS, args->outputs);
        return;
    }
    node->out = (struct shape){ args->outputs, 1, 1 };
    struct init init = { INIT_UNIFORM, 1 / sqrt((double)fan_in) };
    graph_add_param(graph, node, "weight", 2, (int[2]){ args->outputs, (int)fan_in }, true, init);
    if (!args->no_bias)
        graph_add_param(graph, node, "bias", 1, &args->outputs, false, init);
}

static double multiply_adds(const struct graph *graph, const struct node *node) { return (double)graph->params.rows[node->params[0]].count; }

static bool absorb(union layer_args *args, const struct node *next, const struct fusions *fusions)
{
    if (next->layer != &layer_relu || !fusions->linear_relu || args->linear.relu)
        return false;
    return args->linear.relu = true;
}

static int prepare(const struct backend *backend, struct op **op, const struct op_request *request, const union layer_args *args, struct error *error)
{
    return backend->linear(op, request, &args->linear, error);
}

const struct layer layer_linear = { .kind = "linear", .shape = shape, .multiply_adds = multiply_adds, .absorb = absorb, .prepare = prepare };

int linear(struct graph *graph, int x, const char *name, int outputs)
{
    return graph_append(graph, &layer_linear, name, &x, 1, &(union layer_args){ .linear = { .outputs = outputs } });
}
