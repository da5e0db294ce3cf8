/* cuDNN's graph API, typed: tensors and operations become a graph, a graph has engines, an engine becomes a plan that can be executed. Inside cuda/ only.
 *
 * Everything but execution asks for a description of the GPU alone, so that it can be tried where there is none. Tensors are N, C, H, W with C innermost in memory
 * (a filter K, C, R, S likewise), aligned to 16 bytes. In a graph the first failure sticks: later calls do nothing, and cudnn_graph_finish reports it. */
#ifndef CUDA_CUDNN_GRAPH_H
#define CUDA_CUDNN_GRAPH_H

#include "base/error.h"

#include <cudnn.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* For whom plans are made: a GPU, by its number and its handle; or, without a handle, a finished CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, whose plans cannot be executed here.
 * Borrowed. */
struct cudnn_target { int gpu; cudnnHandle_t handle; cudnnBackendDescriptor_t properties; };

enum { GRAPH_TENSORS = 5, GRAPH_OPERATIONS = 2, GRAPH_PARTS = 10, GRAPH_ABOUT = 256 };

struct cudnn_graph {
    struct cudnn_target target;
    cudnnBackendDescriptor_t parts[GRAPH_PARTS]; /* all that was made, to be destroyed in reverse */
    int n_parts;
    cudnnBackendDescriptor_t tensors[GRAPH_TENSORS], operations[GRAPH_OPERATIONS], whole;
    size_t bytes[GRAPH_TENSORS];                 /* 0: virtual */
    int n_tensors, n_operations;
    int added;                                   /* 1 + the number of the tensor that a convolution adds to; 0: none */
    cudnnDataType_t type;                        /* the first tensor's */
    struct error error;                          /* the first failure */
    char about[GRAPH_ABOUT];                     /* types, shapes and operations: equal where the graphs are */
};

struct cudnn_window { int64_t stride, pad; };

enum cudnn_pass { PASS_FORWARD, PASS_DATA, PASS_FILTER, PASS_DATA_ADDED };

void cudnn_graph_begin(struct cudnn_graph *graph, struct cudnn_target target);

/* The tensor's number in the graph, from 0. A virtual one lies nowhere: an operation writes it and another reads it. */
int cudnn_graph_tensor(struct cudnn_graph *graph, cudnnDataType_t type, const int64_t dims[4]);
int cudnn_graph_virtual(struct cudnn_graph *graph, cudnnDataType_t type, const int64_t dims[4]);

/* Cross-correlation in fp32 sums: x and w to y, or w and y to x, or x and y to w. PASS_DATA_ADDED: w and y are added to what x holds,
 * summed in fp32 and rounded once. */
void cudnn_graph_convolution(struct cudnn_graph *graph, enum cudnn_pass pass, const struct cudnn_window *window, int x, int w, int y);

/* y = x + b, broadcast where b's dimension is 1. */
void cudnn_graph_add(struct cudnn_graph *graph, int x, int b, int y);

int cudnn_graph_finish(struct cudnn_graph *graph, struct error *error);
void cudnn_graph_release(struct cudnn_graph *graph); /* accepts a zeroed one */

/* ---- engines ---- */

enum { ENGINE_KNOBS = CUDNN_KNOB_TYPE_COUNTS, ENGINE_TEXT = 512 };

/* What cuDNN computes a graph with: an engine's number means the same in every run of one version, but it may come several times with other knobs. */
struct cudnn_engine {
    int64_t number;
    int n_knobs;
    struct { cudnnBackendKnobType_t kind; int64_t value; } knobs[ENGINE_KNOBS];
};

/* Which engines will do. Sums in less than fp32 never do. */
struct cudnn_rules {
    bool deterministic; /* the same bits each time */
    bool strict;        /* fp32 data are multiplied as fp32: neither TF32 nor narrower */
};

/* The engines that heuristics of one mode offer and the rules allow, best first, at most `most`; none when the mode knows none. */
int cudnn_graph_engines(const struct cudnn_graph *graph, cudnnBackendHeurMode_t mode, const struct cudnn_rules *rules, struct cudnn_engine *engines, int most);

bool cudnn_engine_same(const struct cudnn_engine *a, const struct cudnn_engine *b);

/* "22 2=5 14=3": number and knobs. Reading is strict: false for anything else. */
void cudnn_engine_write(const struct cudnn_engine *engine, char text[ENGINE_TEXT]);
bool cudnn_engine_read(struct cudnn_engine *engine, const char *text);

/* ---- plans ---- */

struct cudnn_plan {
    struct cudnn_target target;
    cudnnBackendDescriptor_t parts[3 + ENGINE_KNOBS]; /* engine, knobs, configuration, plan */
    int n_parts;
    cudnnBackendDescriptor_t plan, binding; /* the last one's variant pack; NULL before the first execution */
    size_t workspace_bytes;
    int n_tensors;
    int64_t numbers[GRAPH_TENSORS];
    void *bound[GRAPH_TENSORS], *bound_workspace;
};

/* The graph must outlive the plan. Fails where the engine does not do for this graph on this GPU. */
int cudnn_plan_open(struct cudnn_plan *plan, const struct cudnn_graph *graph, const struct cudnn_engine *engine, struct error *error);
void cudnn_plan_close(struct cudnn_plan *plan); /* accepts a zeroed one */

/* Enqueues it on the handle's stream. `data`: one pointer for each tensor that is not virtual, in the graph's order. Allocates (on the host) only when a pointer differs from
 * the last time. */
int cudnn_plan_run(struct cudnn_plan *plan, void *const *data, void *workspace, struct error *error);

#endif
