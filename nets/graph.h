/* A network: nodes in the order they were appended, and the shared map of parameters.
 *
 * Builder calls (nets/layers.h) append nodes; the first error sticks and is reported once, by graph_finish, so a network file has no
 * error handling. A finished graph is constant: any thread may read it. */
#ifndef NETS_GRAPH_H
#define NETS_GRAPH_H

#include "base/error.h"
#include "nets/layer_args.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { NODE_INPUTS = 8, NODE_PARAMS = 2, NAME_ROOM = 56 };

/* One sample's activation; a vector of n is {n, 1, 1}. */
struct shape { int c, h, w; };

static inline size_t shape_count(struct shape shape) { return (size_t)shape.c * (size_t)shape.h * (size_t)shape.w; }

enum init_kind { INIT_CONSTANT, INIT_UNIFORM, INIT_NORMAL };

/* What a parameter starts as: the constant; uniform in [-scale, scale]; normal with deviation scale. */
struct init { enum init_kind kind; double scale; };

/* A row of the map: a range of the canonical flat vector, in torchvision's layout (conv: out, in, kh, kw; linear: out, in). */
struct param {
    char name[NAME_ROOM];
    int rank, dims[4];
    size_t offset, count; /* floats */
    bool decay;           /* false for biases and normalization parameters */
    struct init init;
};

/* A list of such rows, one behind the other without gaps. */
struct param_map {
    struct param *rows;
    int n, room;
    size_t total; /* floats */
};

struct layer; /* nets/layer.h */

struct node {
    const struct layer *layer; /* its family */
    char name[NAME_ROOM];
    int n_inputs, inputs[NODE_INPUTS]; /* node numbers, each smaller than this node's */
    struct shape out;
    int n_params, params[NODE_PARAMS]; /* rows of graph.params: weight, bias */
    int n_stats, stats[NODE_PARAMS];   /* rows of graph.stats: running mean, running variance */
    union layer_args args;
};

struct graph {
    char name[NAME_ROOM];
    struct node *nodes;
    int n_nodes, room;
    struct param_map params; /* W: what is trained, pushed and summed */
    struct param_map stats;  /* running statistics: each worker's own, never summed */
    int classes;
    struct error error;      /* the first one; graph_finish reports it */
};

/* A graph with its input node. Release with graph_release. */
void graph_init(struct graph *graph, const char *name, const struct input_args *input);
void graph_release(struct graph *graph);

/* The sticky error, or EXIT_USAGE when the last node is no loss. */
int graph_finish(struct graph *graph, struct error *error);

/* For layer families: appends a node whose output shape the family's `shape` hook computes. Returns its number, or 0 (the input) after an error.
 * `name` NULL: the kind and the node's number ("relu3"); `args` NULL: all zero. */
int graph_append(struct graph *graph, const struct layer *layer, const char *name, const int *inputs, int n_inputs, const union layer_args *args);

/* For layer families, inside `shape`: a parameter or statistic called "<node>.<suffix>". */
void graph_add_param(struct graph *graph, struct node *node, const char *suffix, int rank, const int *dims, bool decay, struct init init);
void graph_add_stat(struct graph *graph, struct node *node, const char *suffix, int count, double start);

/* Initial weights, from (seed, parameter name, canonical index) alone. `weights` holds params.total floats. */
void graph_init_weights(const struct graph *graph, uint64_t seed, float *weights);
void graph_init_stats(const struct graph *graph, float *stats);

/* Multiply-adds of one sample's forward pass, by node. */
double node_multiply_adds(const struct graph *graph, const struct node *node);

/* The start-up table, one aligned row per layer with what follows it without another shape: name, kinds, output shape, parameters, multiply-adds. */
void graph_describe(const struct graph *graph, FILE *to);

#endif
