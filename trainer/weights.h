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
    const struct weights_text *texts; /* more of it, ended by a row without a key; NULL: none */
};

struct weights_text { const char *key, *value; };

/* A list of numbers beside the network's tensors: state of a run. */
struct weights_list { const char *name, *dtype; size_t count, bytes; const void *data; };

/* Tensors whose names begin so are not the network's: they are state of a run. The average of parameter X is in WEIGHTS_AVERAGE X. */
#define WEIGHTS_OWN "onestep."
#define WEIGHTS_AVERAGE "onestep.ema/"

/* What a file holds. */
struct weights_contents {
    const struct graph *graph;
    const float *weights, *stats; /* with an average, those of the statistics behind the statistics */
    const float *average;         /* of the weights; NULL: none */
    const struct weights_list *lists;
    int n_lists;
    const struct weights_metadata *metadata;
};

/* Writes it to a file that replaces `path` whole, with a checksum. *bytes, where not NULL: its length. EXIT_OUTPUT, EXIT_MEMORY. */
int weights_save(const char *path, const struct weights_contents *contents, uint64_t *bytes, struct error *error);

/* Reads them: every parameter must be there in its shape, fp32 and finite; statistics are taken where they are there (`stats` keeps what it
 * holds otherwise); what ports to CIFAR call linear and shortcut is taken for fc and downsample; other tensors are an error, but for our own
 * (WEIGHTS_OWN) and the counters that PyTorch saves with normalizations. EXIT_INPUT, EXIT_MEMORY. */
int weights_load(const char *path, const struct graph *graph, float *weights, float *stats, struct error *error);

/* The same with the average in place of the weights; every parameter's must be there. A statistic that was not averaged is the plain one. */
int weights_load_average(const char *path, const struct graph *graph, float *weights, float *stats, struct error *error);

/* The same from memory; `name` stands for the file in messages. */
int weights_parse(const char *name, const char *bytes, size_t n, const struct graph *graph, float *weights, float *stats, struct error *error);

#endif
