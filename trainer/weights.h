/* Weights on disk: safetensors (a JSON header of names, shapes and byte ranges, then the bytes), names and layouts torchvision's. */
#ifndef TRAINER_WEIGHTS_H
#define TRAINER_WEIGHTS_H

#include "nets/graph.h"

#include <stdint.h>

struct weights_metadata {
    const char *config;  /* the resolved config, as an INI text */
    int64_t iteration;   /* global updates behind these weights */
    int64_t sample_offset; /* samples consumed in all */
    const char *const *classes; /* the names of graph->classes classes; NULL: they are numbers */
};

/* Tensors whose names begin so are not the network's: they are state of a run. The average of parameter X is in WEIGHTS_AVERAGE X. */
#define WEIGHTS_OWN "onestep."
#define WEIGHTS_AVERAGE "onestep.ema/"

/* Writes all parameters and running statistics to a file that replaces `path` whole. average: that of the weights, or NULL; the statistics' averages lie behind the plain
 * ones then. EXIT_OUTPUT. */
int weights_save(const char *path, const struct graph *graph, const float *weights, const float *stats, const float *average, const struct weights_metadata *metadata,
                 struct error *error);

/* Reads them: every parameter must be there in its shape, fp32 and finite; statistics are taken where they are there (`stats` keeps what it
 * holds otherwise); what ports to CIFAR call linear and shortcut is taken for fc and downsample; other tensors are an error, but for our own
 * (WEIGHTS_OWN) and the counters that PyTorch saves with normalizations. EXIT_INPUT, EXIT_MEMORY. */
int weights_load(const char *path, const struct graph *graph, float *weights, float *stats, struct error *error);

/* The same with the average in place of the weights; every parameter's must be there. A statistic that was not averaged is the plain one. */
int weights_load_average(const char *path, const struct graph *graph, float *weights, float *stats, struct error *error);

/* The same from memory; `name` stands for the file in messages. */
int weights_parse(const char *name, const char *bytes, size_t n, const struct graph *graph, float *weights, float *stats, struct error *error);

#endif
