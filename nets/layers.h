/* Builder calls: each appends a node and returns its number. Arguments stand in the paper's order. The first error sticks in the graph. */
#ifndef NETS_LAYERS_H
#define NETS_LAYERS_H

#include "nets/graph.h"

int conv(struct graph *graph, int x, const char *name, const struct conv_args *args);
int linear(struct graph *graph, int x, const char *name, int outputs);
int relu(struct graph *graph, int x);
int maxpool(struct graph *graph, int x, int size, int stride);
int avgpool(struct graph *graph, int x, int size, int stride);
int pool(struct graph *graph, int x, const struct pool_args *args);
int global_avgpool(struct graph *graph, int x);
int batchnorm(struct graph *graph, int x, const char *name);
int batchnorm_from_zero(struct graph *graph, int x, const char *name); /* its weights start at 0, not 1 */
int add(struct graph *graph, int x, int y);
int shortcut(struct graph *graph, int x, int channels, int stride);
int concat(struct graph *graph, const int *x, int n);
int dropout(struct graph *graph, int x, float p);
int lrn(struct graph *graph, int x, const struct lrn_args *args);

/* Softmax with cross entropy; the last node of every network. */
int loss(struct graph *graph, int x, float smoothing);

#endif
