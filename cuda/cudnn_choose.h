/* Which engine computes a graph: what the notes of an earlier run say, else the fastest of those that cuDNN's heuristics offer. Inside cuda/ only. */
#ifndef CUDA_CUDNN_CHOOSE_H
#define CUDA_CUDNN_CHOOSE_H

#include "cuda/cudnn_graph.h"

struct device;

/* *offered: false, and no plan, when no engine computes it as the settings (TF32, deterministic, workspace) want it. Measuring takes memory of the GPU for a moment and
 * waits for the device. The graph must outlive the plan. */
int cudnn_choose(struct cudnn_plan *plan, bool *offered, struct device *device, const struct cudnn_graph *graph, struct error *error);

#endif
