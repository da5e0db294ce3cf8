/* The shortcut without parameters of the ResNet paper (arXiv 1512.03385, section 4.2, option A): every stride-th row and column, and planes of
 * zeros for the channels that are new. The zeros go half in front and half behind, as the usual CIFAR ports have it, so that their weights fit. */
#include "nets/layer.h"
#include "nets/layers.h"
#include "nets/window.h"

static void shape(struct graph *graph, struct node *node)
{
    struct shortcut_args *args = &node->args.shortcut;
    struct shape in = graph->nodes[node->inputs[0]].out;
    if (args->channels < in.c)
        fail(&graph->error, EXIT_USAGE, "%s: layer %s: want at least the input's %d channels, got %d", graph->name, node->name, in.c, args->channels);
    if (window_check(graph, node, in, 1, args->stride, 0))
        node->out = (struct shape){ args->channels, windows(in.h, 1, args->stride, 0), windows(in.w, 1, args->stride, 0) };
}

static int prepare(const struct backend *backend, struct op **op, const struct op_request *request, const union layer_args *args, struct error *error)
{
    return backend->shortcut(op, request, &args->shortcut, error);
}

const struct layer layer_shortcut = { .kind = "shortcut", .shape = shape, .prepare = prepare };

int shortcut(struct graph *graph, int x, int channels, int stride)
{
    return graph_append(graph, &layer_shortcut, NULL, &x, 1, &(union layer_args){ .shortcut = { channels, stride } });
}
