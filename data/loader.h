/* The prefetching loader: a pool of threads that fills preallocated batches ahead of use.
 *
 * Batches are numbered 0, 1, 2, ... over the whole run. In a synchronous run worker k takes batch t*K + k in iteration t; in an
 * asynchronous one batch j belongs to ticket j: either way batch j of an epoch holds the samples at positions [j*B, (j+1)*B) of
 * the epoch's permutation, K*floor(N/(K*B)) batches an epoch (docs/algorithms.md section 2). What a batch holds is a pure function of its number, so
 * it does not depend on how many threads there are or on who takes it.
 *
 * Batch j waits in slot j mod depth. A filler claims numbers in turn and fills the slot when the batch before it there was given
 * back. Takers should give a batch back as soon as its pixels and labels are copied out. */
#ifndef DATA_LOADER_H
#define DATA_LOADER_H

#include "data/augment.h"
#include "data/dataset.h"

#include <stdbool.h>

struct loader;

struct loader_plan {
    const struct dataset *dataset; /* borrowed for the loader's life */
    int batch;                     /* B: samples in a batch, 1..65536 */
    int workers;                   /* K */
    bool drop_last;                /* training: as above. false (evaluation): ceil(N/B) batches a pass, the last one padded */
    bool shuffle;
    bool same_for_all;             /* all K batches of an iteration are the first one's */
    struct augment_plan augment;   /* all zero: none, as in evaluation */
    uint64_t seed;
    int64_t first;                 /* number of the first batch that will be taken */
    int64_t end;                   /* one past the last; INT64_MAX: no end */
    int threads;                   /* 1..256 */
    int depth;                     /* slots, at least 2; about 4*K */
    int (*allocate)(void **block, size_t bytes, const char *what, struct error *error); /* what batches lie in; NULL: ordinary memory */
    void (*release)(void *block);  /* accepts NULL */
};

struct batch {
    int64_t number, epoch; /* which pass over the data */
    int n;                 /* samples that count; the rest (padding: zero pixels, label 0) follow them */
    uint8_t *pixels;       /* [B][C][H][W] */
    int32_t *labels;       /* [B] */
    int64_t *index;        /* [B]: sample numbers, for augmentation and dropout; -1 for padding */
};

/* Batches in one pass over the data under this plan; 0 when the dataset is smaller than one (global) batch. Pure. */
int64_t loader_batches_per_epoch(const struct loader_plan *plan);

/* Allocates everything and starts the threads. EXIT_USAGE when one global batch is larger than the dataset (drop_last). */
int loader_open(struct loader **loader, const struct loader_plan *plan, struct error *error);

/* Waits for batch `number` (each is taken once, in any order that does not run `depth` ahead of one not given back). Any thread. -1 when reading failed
 * (the filler's error) or the loader was stopped (error->code stays 0). The time waited is added to *waited_ns when not NULL. */
int loader_take(struct loader *loader, int64_t number, const struct batch **batch, int64_t *waited_ns, struct error *error);
void loader_give_back(struct loader *loader, const struct batch *batch);

/* Every take, now and later, returns -1. Any thread. */
void loader_stop(struct loader *loader);

/* Bytes allocated for batches. */
size_t loader_bytes(const struct loader *loader);

/* Stops, joins, frees. Accepts NULL. */
void loader_close(struct loader *loader);

#endif
