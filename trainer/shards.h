/* Where the server's vectors lie: bucket by bucket over the devices that it uses, each of which updates what it holds.
 *
 * With one device a vector is one piece in canonical order. With several, bucket b lies on device b modulo their number, so that pushes, which come bucket by bucket, keep all of
 * them busy. Whoever works on a bucket asks for its place (shards_at) and its order (shards_order): work on one bucket runs in the order in which it was enqueued, work on
 * different buckets need not. What the next forward pass needs first has the most urgent order. */
#ifndef TRAINER_SHARDS_H
#define TRAINER_SHARDS_H

#include "nets/backend.h"
#include "trainer/buckets.h"

enum { SHARDS_MAX = 16, ORDERS_MAX = 4 };

struct shard {
    struct device *device;
    struct device *orders[ORDERS_MAX]; /* by urgency; the first is the device itself */
    size_t floats;                     /* of a vector that lie here */
};

struct shards {
    const struct backend *backend; /* of its passes */
    const struct backend *pinned;  /* whose host memory the vectors lie in, where GPUs copy from it; NULL: the devices' own */
    const struct buckets *buckets;
    int n, n_orders;
    struct shard rows[SHARDS_MAX];
    size_t *offsets; /* [bucket]: where it begins in its shard's piece of a vector */
    uint32_t *masks[SHARDS_MAX]; /* which elements of a piece decay, a bit each; NULL where the backend takes no masks */
};

/* A vector as long as W. All zero: there is none. */
struct vector { float *pieces[SHARDS_MAX]; };

/* What they are opened with. */
struct shards_request {
    const struct backend *backend, *pinned;
    const struct buckets *buckets;
    const int *places; /* device_open's index of each */
    int n, n_orders;   /* shards; orders of each, at most; where the memory is the host's there is one */
};

int shards_open(struct shards *shards, const struct shards_request *request, struct error *error);
void shards_close(struct shards *shards);

int vector_open(struct vector *vector, const struct shards *shards, const char *what, struct error *error); /* zeroed */
void vector_close(struct vector *vector, const struct shards *shards);
static inline bool vector_is_there(const struct vector *vector) { return vector->pieces[0] != NULL; }

/* The bucket's first element; NULL when there is no such vector. */
float *shards_at(const struct shards *shards, const struct vector *vector, int bucket);

struct device *shards_order(const struct shards *shards, int bucket);
const uint32_t *shards_decays(const struct shards *shards, int bucket); /* NULL: none */

/* Whole vectors, canonical, from and to the host's memory; enqueued. */
void shards_load(const struct shards *shards, const struct vector *to, const float *from);
void shards_save(const struct shards *shards, float *to, const struct vector *from);

/* Waits for everything that was enqueued. */
int shards_sync(const struct shards *shards, struct error *error);
int shards_check(const struct shards *shards, struct error *error); /* waits for nothing */

#endif
