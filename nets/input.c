/* The input: 8-bit planes, normalized per channel. Node 0 of every graph; a standard deviation left at zero means 1. */
#include "nets/layer.h"

#include <math.h>

enum { CHANNELS = 4, SIDE = 16384 };

static void shape(struct graph *graph, struct node *node)
{
    struct input_args *args = &node->args.input;
    if (args->c < 1 || args->c > CHANNELS || args->h < 1 || args->h > SIDE || args->w < 1 || args->w > SIDE) {
        fail(&graph->error, EXIT_USAGE, "%s: input: want 1..%d channels of 1..%d x 1..%d pixels, got %d x %d x %d", graph->name, CHANNELS, SIDE, SIDE, args->c, args->h, args->w);
        return;
    }
    for (int c = 0; c < args->c; c++) {
        if (args->std[c] == 0)
            args->std[c] = 1;
        if (!(args->std[c] > 0) || !isfinite(args->std[c]) || !isfinite(args->mean[c]))
            fail(&graph->error, EXIT_USAGE, "%s: input: channel %d: want a finite mean and a positive standard deviation, got %g and %g", graph->name, c,
                 (double)args->mean[c], (double)args->std[c]);
    }
    node->out = (struct shape){ args->c, args->h, args->w };
}

static int prepare(const struct backend *backend, struct op **op, const struct op_request *request, const union layer_args *args, struct error *error)
{
    return backend->input(op, request, &args->input, error);
}

const struct layer layer_input = { .kind = "input", .shape = shape, .prepare = prepare };
