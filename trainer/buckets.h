/* Buckets: how the flat vector is cut for travelling, and where weight decay applies.
 *
 * Contiguous ranges at multiples of 64 elements, numbered as backward produces them: bucket 0 is the end of the vector. */
#ifndef TRAINER_BUCKETS_H
#define TRAINER_BUCKETS_H

#include "nets/graph.h"

/* A run of elements with one decay setting. */
struct stretch { size_t begin, end; bool decay; };

struct bucket {
    size_t begin, end; /* elements of the canonical vector */
    int first_stretch, n_stretches;
};

struct buckets {
    struct bucket *rows;
    int n;
    size_t size; /* elements of every bucket but number 0, which may be shorter */
    struct stretch *stretches; /* by bucket */
    uint32_t *decays; /* a bit for each element of the vector, from the lowest on; a bucket begins with a word */
    size_t words;
};

/* bytes: of a bucket, about; at least 64 elements are taken. EXIT_MEMORY. */
int buckets_init(struct buckets *buckets, const struct param_map *params, size_t bytes, bool decay_all, struct error *error);
void buckets_release(struct buckets *buckets);

/* The bucket that holds an element. */
int bucket_of(const struct buckets *buckets, size_t element);

#endif
