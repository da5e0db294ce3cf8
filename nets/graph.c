/* See graph.h. Nodes and parameter rows grow by doubling while the network is built; nothing grows after graph_finish. */
#include "nets/graph.h"

#include "base/door.h"
#include "base/list.h"
#include "base/sizes.h"
#include "nets/layer.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

static void check_shape(struct graph *graph, const struct node *node)
{
    struct shape out = node->out;
    size_t plane, count;
    if (graph->error.code)
        return;
    ASSERT(out.c > 0 && out.h > 0 && out.w > 0);
    if (!size_product((size_t)out.h, (size_t)out.w, &plane) || !size_product(plane, (size_t)out.c, &count) || count > INT_MAX)
        fail(&graph->error, EXIT_USAGE, "%s: layer %s: want an output of at most %d elements, got %d x %d x %d", graph->name, node->name, INT_MAX, out.c, out.h, out.w);
}

static bool inputs_fit(struct graph *graph, const char *name, const int *inputs, int n_inputs)
{
    if (n_inputs < 1 || n_inputs > NODE_INPUTS) {
        fail(&graph->error, EXIT_USAGE, "%s: layer %s: want 1..%d inputs, got %d", graph->name, name, NODE_INPUTS, n_inputs);
        return false;
    }
    for (int i = 0; i < n_inputs; i++) {
        if (inputs[i] < 0 || inputs[i] >= graph->n_nodes) {
            fail(&graph->error, EXIT_USAGE, "%s: layer %s: want inputs 0..%d, got %d", graph->name, name, graph->n_nodes - 1, inputs[i]);
            return false;
        }
        if (graph->nodes[inputs[i]].layer == &layer_loss) {
            fail(&graph->error, EXIT_USAGE, "%s: layer %s: nothing can come after the loss", graph->name, name);
            return false;
        }
    }
    return true;
}

static int append(struct graph *graph, const struct layer *layer, const char *name, const int *inputs, int n_inputs, const union layer_args *args)
{
    void *nodes = graph->nodes;
    if (list_grow(&nodes, graph->n_nodes, &graph->room, sizeof *graph->nodes, graph->name, &graph->error))
        return 0;
    graph->nodes = nodes;
    struct node *node = &graph->nodes[graph->n_nodes];
    node->layer = layer;
    node->n_inputs = n_inputs;
    for (int i = 0; i < n_inputs; i++)
        node->inputs[i] = inputs[i];
    if (args)
        node->args = *args;
    if ((size_t)snprintf(node->name, sizeof node->name, "%s", name) >= sizeof node->name)
        fail(&graph->error, EXIT_USAGE, "%s: layer %s: want a name shorter than %d characters", graph->name, name, NAME_ROOM);
    else
        layer->shape(graph, node);
    check_shape(graph, node);
    return graph->error.code ? 0 : graph->n_nodes++;
}

void graph_init(struct graph *graph, const char *name, const struct input_args *input)
{
    memset(graph, 0, sizeof *graph);
    snprintf(graph->name, sizeof graph->name, "%s", name);
    union layer_args args = { .input = *input };
    append(graph, &layer_input, "input", NULL, 0, &args);
}

void graph_release(struct graph *graph)
{
    door_free(graph->nodes);
    door_free(graph->params.rows);
    door_free(graph->stats.rows);
    memset(graph, 0, sizeof *graph);
}

int graph_append(struct graph *graph, const struct layer *layer, const char *name, const int *inputs, int n_inputs, const union layer_args *args)
{
    char numbered[NAME_ROOM];
    if (graph->error.code)
        return 0;
    if (!name) {
        snprintf(numbered, sizeof numbered, "%s%d", layer->kind, graph->n_nodes);
        name = numbered;
    }
    return inputs_fit(graph, name, inputs, n_inputs) ? append(graph, layer, name, inputs, n_inputs, args) : 0;
}

static bool is_read(const struct graph *graph, int number)
{
    for (int i = number + 1; i < graph->n_nodes; i++)
        for (int k = 0; k < graph->nodes[i].n_inputs; k++)
            if (graph->nodes[i].inputs[k] == number)
                return true;
    return false;
}

int graph_finish(struct graph *graph, struct error *error)
{
    if (!graph->error.code && graph->nodes[graph->n_nodes - 1].layer != &layer_loss)
        fail(&graph->error, EXIT_USAGE, "%s: want a loss as its last layer, got %s", graph->name, graph->nodes[graph->n_nodes - 1].name);
    for (int i = 0; !graph->error.code && i < graph->n_nodes - 1; i++)
        if (!is_read(graph, i))
            fail(&graph->error, EXIT_USAGE, "%s: layer %s: no other layer reads its output", graph->name, graph->nodes[i].name);
    return graph->error.code ? fail(error, graph->error.code, "%s", graph->error.text) : 0;
}
