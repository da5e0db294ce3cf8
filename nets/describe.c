/* The table of layers that start-up prints. A row is what a paper calls a layer: a node with weights, and what follows it without another
 * shape, such as its normalization and its ReLU. */
#include "base/sizes.h"
#include "base/text.h"
#include "nets/graph.h"
#include "nets/layer.h"

#include <string.h>

enum { KINDS_ROOM = 120, ROW_ROOM = 300, SHAPE_ROOM = 48, NUMBER_ROOM = 48, GAP = 2 };

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

/* Short, so that a row fits a line. */
static const char *kind_of(const struct node *node)
{
    return strcmp(node->layer->kind, "batchnorm") == 0 ? "bn" : node->layer->kind;
}

/* "conv+bn+relu" */
static size_t write_kinds(const struct graph *graph, int first, char *buffer)
{
    struct text text;
    text_begin(&text, buffer, KINDS_ROOM);
    for (int i = first; i < row_end(graph, first); i++)
        text_add(&text, "%s%s", i > first ? "+" : "", kind_of(&graph->nodes[i]));
    return text.used;
}

static void write_shape(struct shape out, char text[SHAPE_ROOM])
{
    snprintf(text, SHAPE_ROOM, out.h == 1 && out.w == 1 ? "%d" : "%dx%dx%d", out.c, out.h, out.w);
}

/* Nothing for 0. */
static size_t write_number(double n, char text[NUMBER_ROOM])
{
    *text = 0;
    return n > 0 ? (size_t)snprintf(text, NUMBER_ROOM, "%.0f", n) : 0;
}

static size_t row_params(const struct graph *graph, int first)
{
    size_t params = 0;
    for (int i = first; i < row_end(graph, first); i++)
        params += node_params(graph, &graph->nodes[i]);
    return params;
}

static double all_multiply_adds(const struct graph *graph)
{
    double all = 0;
    for (int first = 0; first < graph->n_nodes; first = row_end(graph, first))
        all += node_multiply_adds(graph, &graph->nodes[first]);
    return all;
}

/* Where two columns begin, and two of numbers end. */
struct columns { size_t kind, output, params, adds; };

/* As narrow as what stands in them, so that a table fits a terminal. */
static struct columns columns_of(const struct graph *graph)
{
    char kinds[KINDS_ROOM], text[SHAPE_ROOM];
    size_t name = strlen("layer"), kind = strlen("kind"), shape = strlen("output");
    for (int i = 0; i < graph->n_nodes; i = row_end(graph, i)) {
        name = size_max(name, strlen(graph->nodes[i].name));
        kind = size_max(kind, write_kinds(graph, i, kinds));
        write_shape(graph->nodes[i].out, text);
        shape = size_max(shape, strlen(text));
    }
    size_t params = size_max(strlen("parameters"), write_number((double)graph->params.total, text));
    size_t adds = size_max(strlen("multiply-adds"), write_number(all_multiply_adds(graph), text));
    size_t numbers = name + kind + shape + 2 * GAP;
    return (struct columns){
        .kind = name + GAP, .output = name + kind + 2 * GAP, .params = numbers + GAP + params,
        .adds = numbers + 2 * GAP + params + adds,
    };
}

/* So that it ends at a column. */
static void add_number(struct text *text, size_t end, const char *number)
{
    if (!*number)
        return;
    text_pad(text, end - strlen(number));
    text_add(text, "%s", number);
}

struct row { const char *name, *kinds, *shape, *params, *adds; };

static void print_row(FILE *to, struct columns at, struct row row)
{
    struct text text;
    char buffer[ROW_ROOM];
    text_begin(&text, buffer, sizeof buffer);
    text_add(&text, "%s", row.name);
    text_pad(&text, at.kind);
    text_add(&text, "%s", row.kinds);
    text_pad(&text, at.output);
    text_add(&text, "%s", row.shape);
    add_number(&text, at.params, row.params);
    add_number(&text, at.adds, row.adds);
    fprintf(to, "%s\n", buffer);
}

void graph_describe(const struct graph *graph, FILE *to)
{
    struct columns at = columns_of(graph);
    char kinds[KINDS_ROOM], shape[SHAPE_ROOM], params[NUMBER_ROOM], adds[NUMBER_ROOM];
    print_row(to, at, (struct row){ "layer", "kind", "output", "parameters", "multiply-adds" });
    for (int first = 0; first < graph->n_nodes; first = row_end(graph, first)) {
        const struct node *node = &graph->nodes[first];
        write_kinds(graph, first, kinds);
        write_shape(node->out, shape);
        write_number((double)row_params(graph, first), params);
        write_number(node_multiply_adds(graph, node), adds);
        print_row(to, at, (struct row){ node->name, kinds, shape, params, adds });
    }
    write_number((double)graph->params.total, params);
    write_number(all_multiply_adds(graph), adds);
    print_row(to, at, (struct row){ "all", "", "", params, adds });
}
