/* See tables.h. */
#include "tests/tables.h"

#include "tests/tests.h"

#include <string.h>

void network_make(struct graph *graph, const char *name, const struct network_request *request)
{
    struct error error = { 0 };
    if (network_build(graph, name, request, &error))
        fail_msg("%s", error.text);
}

void expect_rows(const struct param_map *map, const struct row *rows, int n)
{
    size_t offset = 0;
    assert_int_equal(map->n, n);
    for (int i = 0; i < n; i++) {
        const struct param *row = &map->rows[i];
        size_t count = 1;
        assert_string_equal(row->name, rows[i].name);
        assert_int_equal(row->rank, rows[i].rank);
        assert_memory_equal(row->dims, rows[i].dims, sizeof row->dims);
        assert_int_equal(row->decay, rows[i].decay);
        for (int k = 0; k < row->rank; k++)
            count *= (size_t)row->dims[k];
        assert_int_equal(row->count, count);
        assert_int_equal(row->offset, offset);
        offset += count;
    }
    assert_int_equal(map->total, offset);
}

const struct param *param_named(const struct graph *graph, const char *name)
{
    for (int i = 0; i < graph->params.n; i++)
        if (strcmp(graph->params.rows[i].name, name) == 0)
            return &graph->params.rows[i];
    return NULL;
}

int count_named(const struct graph *graph, const char *const *names, int n)
{
    int found = 0;
    for (int i = 0; i < n; i++)
        found += param_named(graph, names[i]) != NULL;
    return found;
}

double all_multiply_adds(const struct graph *graph)
{
    double sum = 0;
    for (int i = 0; i < graph->n_nodes; i++)
        sum += node_multiply_adds(graph, &graph->nodes[i]);
    return sum;
}
