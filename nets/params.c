/* The maps of parameters and of running statistics (graph.h), and what they start as. */
#include "base/elementary.h"
#include "base/list.h"
#include "base/philox.h"
#include "base/sizes.h"
#include "nets/graph.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST_PARAMS = 1 << 30 }; /* 4 GiB of floats */

static bool name_taken(const struct param_map *map, const char *name)
{
    for (int i = 0; i < map->n; i++)
        if (strcmp(map->rows[i].name, name) == 0)
            return true;
    return false;
}

/* A row at the end of the map, complete but for its start; NULL after an error. */
static struct param *map_append(struct graph *graph, struct param_map *map, const struct node *node, const char *suffix, int rank, const int *dims)
{
    void *rows = map->rows;
    if (graph->error.code || list_grow(&rows, map->n, &map->room, sizeof *map->rows, "map of parameters", &graph->error))
        return NULL;
    map->rows = rows;
    struct param *row = &map->rows[map->n];
    if ((size_t)snprintf(row->name, sizeof row->name, "%s.%s", node->name, suffix) >= sizeof row->name) {
        fail(&graph->error, EXIT_USAGE, "%s: parameter %s.%s: want a name shorter than %d characters", graph->name, node->name, suffix, NAME_ROOM);
        return NULL;
    }
    if (name_taken(&graph->params, row->name) || name_taken(&graph->stats, row->name)) {
        fail(&graph->error, EXIT_USAGE, "%s: parameter %s: there are two of that name", graph->name, row->name);
        return NULL;
    }
    row->rank = rank;
    row->offset = map->total;
    row->count = 1;
    for (int i = 0; i < rank; i++) {
        row->dims[i] = dims[i];
        if (!size_product(row->count, (size_t)dims[i], &row->count) || row->count > MOST_PARAMS - map->total) {
            fail(&graph->error, EXIT_USAGE, "%s: parameter %s: want at most %d parameters in all", graph->name, row->name, MOST_PARAMS);
            return NULL;
        }
    }
    map->total += row->count;
    return row;
}

void graph_add_param(struct graph *graph, struct node *node, const char *suffix, int rank, const int *dims, bool decay, struct init init)
{
    struct param *row = map_append(graph, &graph->params, node, suffix, rank, dims);
    if (!row)
        return;
    ASSERT(node->n_params < NODE_PARAMS);
    row->decay = decay;
    row->init = init;
    node->params[node->n_params++] = graph->params.n++;
}

void graph_add_stat(struct graph *graph, struct node *node, const char *suffix, int count, double start)
{
    struct param *row = map_append(graph, &graph->stats, node, suffix, 1, &count);
    if (!row)
        return;
    ASSERT(node->n_stats < NODE_PARAMS);
    row->init = (struct init){ INIT_CONSTANT, start };
    node->stats[node->n_stats++] = graph->stats.n++;
}

static double draw_uniform(uint64_t key, size_t i)
{
    struct philox_block block = philox(key, 0, i);
    return 2 * uniform_double(block.word[0], block.word[1]) - 1;
}

/* Box and Muller's transform; 1 - u keeps the logarithm finite. */
static double draw_normal(uint64_t key, size_t i)
{
    struct philox_block block = philox(key, 0, i);
    double radius = sqrt(-2 * elementary_log(1 - uniform_double(block.word[0], block.word[1])));
    return radius * elementary_cosine(uniform_double(block.word[2], block.word[3]));
}

static void param_start(const struct param *param, uint64_t seed, float *values)
{
    uint64_t key = philox_key(seed, hash_name(param->name));
    double scale = param->init.scale;
    for (size_t i = 0; i < param->count; i++)
        switch (param->init.kind) {
        case INIT_CONSTANT: values[i] = (float)scale; break;
        case INIT_UNIFORM: values[i] = (float)(scale * draw_uniform(key, i)); break;
        case INIT_NORMAL: values[i] = (float)(scale * draw_normal(key, i)); break;
        }
}

void graph_init_weights(const struct graph *graph, uint64_t seed, float *weights)
{
    for (int i = 0; i < graph->params.n; i++)
        param_start(&graph->params.rows[i], seed, weights + graph->params.rows[i].offset);
}

void graph_init_stats(const struct graph *graph, float *stats)
{
    for (int i = 0; i < graph->stats.n; i++)
        param_start(&graph->stats.rows[i], 0, stats + graph->stats.rows[i].offset);
}
