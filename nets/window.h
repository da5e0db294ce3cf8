/* Checking a sliding window, for convolution and pooling. Inside nets/ only. */
#ifndef NETS_WINDOW_H
#define NETS_WINDOW_H

#include "nets/graph.h"

enum { WINDOW_SIDE = 1024 };

/* Whether such windows fit: size 1.., stride 1.., padding below the size, at least one window. The error sticks in the graph. */
bool window_check(struct graph *graph, const struct node *node, struct shape in, int size, int stride, int pad);

#endif
