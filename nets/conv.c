/* Convolution, with bias unless told otherwise; a stride left at zero means 1. Starts as PyTorch's, uniform within 1/sqrt(fan in), or as He et al. have it. */
#include "nets/layer.h"
#include "nets/layers.h"
#include "nets/window.h"

#include <math.h>

enum { FILTERS = 1 << 20 };

static void shape(struct graph *graph, struct node *node)
{
    struct conv_args *args = &node->args.conv;
    struct shape in = graph->nodes[node->inputs[0]].out;
    if (args->stride == 0)
        args->stride = 1;
    if (args->filters < 1 || args->filters > FILTERS)
        fail(&graph->error, EXIT_USAGE, "%s: layer %s: want 1..%d filters, got %d", graph->name, node->name, FILTERS, args->filters);
    if (!window_check(graph, node, in, args->size, args->stride, args->pad))
        return;
    node->out = (struct shape){ args->filters, windows(in.h, args->size, args->stride, args->pad), windows(in.w, args->size, args->stride, args->pad) };
    const double fan_in = (double)in.c * args->size * args->size;
    const struct init uniform = { INIT_UNIFORM, 1 / sqrt(fan_in) }, he = { INIT_NORMAL, sqrt(2 / fan_in) };
    graph_add_param(graph, node, "weight", 4, (int[4]){ args->filters, in.c, args->size, args->size }, true, args->he ? he : uniform);
    if (!args->no_bias)
        graph_add_param(graph, node, "bias", 1, &args->filters, false, args->he ? (struct init){ INIT_CONSTANT, 0 } : uniform);
}

static double multiply_adds(const struct graph *graph, const struct node *node)
{
    return (double)graph->params.rows[node->params[0]].count * node->out.h * node->out.w;
}

static bool absorb(union layer_args *args, const struct node *next, const struct fusions *fusions)
{
    struct conv_args *own = &args->conv;
    if (next->layer == &layer_relu) {
        /* Cutting at zero before or after taking a maximum is the same; before or after an average it is not. */
        bool commutes = own->pool.size == 0 || own->pool.kind == POOL_MAX;
        if (!fusions->conv_relu || own->relu || !commutes)
            return false;
        own->relu = true;
        return true;
    }
    if (next->layer == &layer_pool) {
        if (!fusions->conv_pool || own->pool.size || next->args.pool.size == 0)
            return false;
        own->pool = next->args.pool;
        return true;
    }
    return false;
}

static int prepare(const struct backend *backend, struct op **op, const struct op_request *request, const union layer_args *args, struct error *error)
{
    return backend->conv(op, request, &args->conv, error);
}

const struct layer layer_conv = { .kind = "conv", .shape = shape, .multiply_adds = multiply_adds, .absorb = absorb, .prepare = prepare };

int conv(struct graph *graph, int x, const char *name, const struct conv_args *args)
{
    return graph_append(graph, &layer_conv, name, &x, 1, &(union layer_args){ .conv = *args });
}
