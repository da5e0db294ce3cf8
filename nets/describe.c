/* The table of layers that start-up prints. A row is what a paper calls a layer: a node with weights, and what follows it without another
 * shape, such as its normalization and its ReLU. */
#include "base/sizes.h"
#include "base/text.h"
#include "nets/graph.h"
#include "nets/layer.h"

#include <string.h>

enum { KINDS_ROOM = 120, ROW_ROOM = 300, SHAPE_WIDTH = 15, PARAMS_WIDTH = 12, ADDS_WIDTH = 15, GAP = 2 };

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

/* The first node behind the row that begins with node `first`. */
static int row_end(const struct graph *graph, int first)
{
    const struct shape out = graph->nodes[first].out;
    int next = first + 1;
    for (; next < graph->n_nodes; next++) {
        const struct node *node = &graph->nodes[next];
        const bool same = node->out.c == out.c && node->out.h == out.h && node->out.w == out.w;
        if (first == 0 || !same || node->inputs[0] != next - 1 || node->layer->multiply_adds)
            break;
    }
    return next;
}

/* "conv + batchnorm + relu" */
static size_t write_kinds(const struct graph *graph, int first, char *buffer)
{
    struct text text;
    text_begin(&text, buffer, KINDS_ROOM);
    for (int i = first; i < row_end(graph, first); i++)
        text_add(&text, "%s%s", i > first ? " + " : "", graph->nodes[i].layer->kind);
    return text.used;
}

struct columns { size_t kind, output, params; }; /* where they begin */

static struct columns columns_of(const struct graph *graph)
{
    char kinds[KINDS_ROOM];
    size_t name = strlen("layer"), kind = strlen("kind");
    for (int i = 0; i < graph->n_nodes; i = row_end(graph, i)) {
        name = size_max(name, strlen(graph->nodes[i].name));
        kind = size_max(kind, write_kinds(graph, i, kinds));
    }
    return (struct columns){ name + GAP, name + kind + 2 * GAP, name + kind + 2 * GAP + SHAPE_WIDTH };
}

static void begin_row(struct text *text, char *buffer, struct columns at, const char *name, const char *kinds)
{
    text_begin(text, buffer, ROW_ROOM);
    text_add(text, "%s", name);
    text_pad(text, at.kind);
    text_add(text, "%s", kinds);
    text_pad(text, at.output);
}

static void end_row(struct text *text, struct columns at, size_t params, double multiply_adds, FILE *to)
{
    if (params) {
        text_pad(text, at.params);
        text_add(text, "%*zu", PARAMS_WIDTH, params);
    }
    if (multiply_adds > 0) {
        text_pad(text, at.params + PARAMS_WIDTH);
        text_add(text, "%*.0f", ADDS_WIDTH, multiply_adds);
    }
    fprintf(to, "%s\n", text->start);
}

void graph_describe(const struct graph *graph, FILE *to)
{
    struct columns at = columns_of(graph);
    struct text text;
    char buffer[ROW_ROOM], kinds[KINDS_ROOM];
    double all = 0;
    begin_row(&text, buffer, at, "layer", "kind");
    text_add(&text, "%-*s%*s%*s", SHAPE_WIDTH, "output", PARAMS_WIDTH, "parameters", ADDS_WIDTH, "multiply-adds");
    fprintf(to, "%s\n", buffer);
    for (int first = 0; first < graph->n_nodes; first = row_end(graph, first)) {
        const struct node *node = &graph->nodes[first];
        size_t params = 0;
        write_kinds(graph, first, kinds);
        begin_row(&text, buffer, at, node->name, kinds);
        text_add(&text, node->out.h == 1 && node->out.w == 1 ? "%d" : "%d x %d x %d", node->out.c, node->out.h, node->out.w);
        for (int i = first; i < row_end(graph, first); i++)
            params += node_params(graph, &graph->nodes[i]);
        end_row(&text, at, params, node_multiply_adds(graph, node), to);
        all += node_multiply_adds(graph, node);
    }
    begin_row(&text, buffer, at, "all", "");
    end_row(&text, at, graph->params.total, all, to);
}
