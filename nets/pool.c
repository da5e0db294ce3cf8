/* Pooling: maximum, average, and over the whole plane (size 0). A stride left at zero means the size. */
#include "nets/layer.h"
#include "nets/layers.h"
#include "nets/window.h"

static void shape(struct graph *graph, struct node *node)
{
    struct pool_args *args = &node->args.pool;
    struct shape in = graph->nodes[node->inputs[0]].out;
    node->out = (struct shape){ in.c, 1, 1 };
    if (args->size == 0) {
        if (args->stride || args->pad)
            fail(&graph->error, EXIT_USAGE, "%s: layer %s: want no stride and no padding where the window is the whole plane, got %d and %d", graph->name,
                 node->name, args->stride, args->pad);
        return;
    }
    if (args->stride == 0)
        args->stride = args->size;
    if (window_check(graph, node, in, args->size, args->stride, args->pad))
        node->out = (struct shape){ in.c, windows(in.h, args->size, args->stride, args->pad), windows(in.w, args->size, args->stride, args->pad) };
}

static int prepare(const struct backend *backend, struct op **op, const struct op_request *request, const union layer_args *args, struct error *error)
{
    return backend->pool(op, request, &args->pool, error);
}

const struct layer layer_pool = { .kind = "pool", .shape = shape, .prepare = prepare };

int pool(struct graph *graph, int x, const struct pool_args *args)
{
    return graph_append(graph, &layer_pool, NULL, &x, 1, &(union layer_args){ .pool = *args });
}

int maxpool(struct graph *graph, int x, int size, int stride)
{
    return pool(graph, x, &(struct pool_args){ .kind = POOL_MAX, .size = size, .stride = stride });
}

int avgpool(struct graph *graph, int x, int size, int stride)
{
    return pool(graph, x, &(struct pool_args){ .kind = POOL_AVERAGE, .size = size, .stride = stride });
}

int global_avgpool(struct graph *graph, int x)
{
    return pool(graph, x, &(struct pool_args){ .kind = POOL_AVERAGE });
}
