/* What networks' tables are compared with: their parameters' names and shapes, their work. */
#ifndef TESTS_TABLES_H
#define TESTS_TABLES_H

#include "nets/network.h"

/* Asserts success. Release with graph_release. */
void network_make(struct graph *graph, const char *name, const struct network_request *request);

struct row { const char *name; int rank, dims[4]; bool decay; };

/* Asserts that the map is these rows, one behind the other. */
void expect_rows(const struct param_map *map, const struct row *rows, int n);

/* NULL: there is none of that name. */
const struct param *param_named(const struct graph *graph, const char *name);

/* How many of these names the network's parameters bear. */
int count_named(const struct graph *graph, const char *const *names, int n);

double all_multiply_adds(const struct graph *graph); /* of one image's forward pass */

#endif
