/* The table of layers that start-up prints. */
#include "base/text.h"
#include "nets/graph.h"
#include "nets/layer.h"

#include <stdio.h>

enum { KIND_WIDTH = 11, SHAPE_WIDTH = 17, PARAMS_WIDTH = 11, ADDS_WIDTH = 16 };

double node_multiply_adds(const struct graph *graph, const struct node *node)
{
    return node->layer->multiply_adds ? node->layer->multiply_adds(graph, node) : 0;
}

static size_t node_params(const struct graph *graph, const struct node *node)
{
    size_t n = 0;
    for (int i = 0; i < node->n_params; i++)
        n += graph->params.rows[node->params[i]].count;
    return n;
}

static int name_width(const struct graph *graph)
{
    int width = 0;
    for (int i = 0; i < graph->n_nodes; i++) {
        int n = snprintf(NULL, 0, "%s", graph->nodes[i].name);
        width = n > width ? n : width;
    }
    return width + 2;
}

static void row(struct text *text, int width, const char *name, const char *kind, const char *shape, size_t params, double multiply_adds)
{
    size_t column = (size_t)width + KIND_WIDTH + SHAPE_WIDTH;
    text_add(text, "%-*s%-*s%s", width, name, KIND_WIDTH, kind, shape);
    if (params) {
        text_pad(text, column);
        text_add(text, "%*zu", PARAMS_WIDTH, params);
    }
    if (multiply_adds > 0) {
        text_pad(text, column + PARAMS_WIDTH);
        text_add(text, "%*.0f", ADDS_WIDTH, multiply_adds);
    }
    text_add(text, "\n");
}

void graph_describe(const struct graph *graph, char *buffer, size_t bytes)
{
    struct text text;
    int width = name_width(graph);
    double multiply_adds = 0;
    text_begin(&text, buffer, bytes);
    text_add(&text, "%-*s%-*s%-*s%*s%*s\n", width, "layer", KIND_WIDTH, "kind", SHAPE_WIDTH, "output", PARAMS_WIDTH, "parameters", ADDS_WIDTH, "multiply-adds");
    for (int i = 0; i < graph->n_nodes; i++) {
        const struct node *node = &graph->nodes[i];
        char shape[40];
        snprintf(shape, sizeof shape, node->out.h == 1 && node->out.w == 1 ? "%d" : "%d x %d x %d", node->out.c, node->out.h, node->out.w);
        row(&text, width, node->name, node->layer->kind, shape, node_params(graph, node), node_multiply_adds(graph, node));
        multiply_adds += node_multiply_adds(graph, node);
    }
    row(&text, width, "all", "", "", graph->params.total, multiply_adds);
}
