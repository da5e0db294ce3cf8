/* See window.h. Padding below the size: every window then holds at least one real element. */
#include "nets/window.h"

bool window_check(struct graph *graph, const struct node *node, struct shape in, int size, int stride, int pad)
{
    if (size < 1 || size > WINDOW_SIDE || stride < 1 || stride > WINDOW_SIDE || pad < 0 || pad >= size)
        fail(&graph->error, EXIT_USAGE, "%s: layer %s: want size 1..%d, stride 1..%d and padding below the size, got size %d, stride %d, padding %d",
             graph->name, node->name, WINDOW_SIDE, WINDOW_SIDE, size, stride, pad);
    else if (size > in.h + 2 * pad || size > in.w + 2 * pad)
        fail(&graph->error, EXIT_USAGE, "%s: layer %s: want an input of at least %d x %d with padding %d on each side, got %d x %d", graph->name,
             node->name, size, size, pad, in.h, in.w);
    return graph->error.code == 0;
}
