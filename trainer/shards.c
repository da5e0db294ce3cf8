/* See shards.h. */
#include "trainer/shards.h"

#include "base/door.h"

#include <string.h>

static int shard_of(const struct shards *shards, int bucket) { return bucket % shards->n; }

static size_t length(const struct shards *shards, int bucket)
{
    const struct bucket *row = &shards->buckets->rows[bucket];
    return row->end - row->begin;
}

/* One piece is canonical, and so bucket 0, the end of the vector, lies at its end. */
static void lay_out(struct shards *shards)
{
    for (int bucket = shards->buckets->n - 1; bucket >= 0; bucket--) {
        struct shard *shard = &shards->rows[shard_of(shards, bucket)];
        shards->offsets[bucket] = shard->floats;
        shard->floats += length(shards, bucket);
    }
}

static int open_shard(struct shards *shards, int place, struct error *error)
{
    struct shard *shard = &shards->rows[shards->n];
    *shard = (struct shard){ 0 };
    if (shards->backend->device_open(&shard->device, place, error))
        return -1;
    shards->n++;
    shard->orders[0] = shard->device;
    for (int i = 1; i < shards->n_orders; i++)
        if (shards->backend->device_second(&shard->orders[i], shard->device, 2 * i, error))
            return -1;
    return 0;
}

/* Offsets of buckets are multiples of 64, as their beginnings are: each has whole words. */
static int open_masks(struct shards *shards, struct error *error)
{
    const struct buckets *buckets = shards->buckets;
    for (int i = 0; i < shards->n && shards->backend->masks; i++) {
        void *mask;
        if (shards->backend->allocate(shards->rows[i].device, &mask, (shards->rows[i].floats / 32 + 1) * sizeof(uint32_t), "which weights decay", error))
            return -1;
        shards->masks[i] = mask;
    }
    for (int bucket = 0; bucket < buckets->n && shards->backend->masks; bucket++) {
        const struct shard *shard = &shards->rows[shard_of(shards, bucket)];
        shards->backend->upload(shard->device, shards->masks[shard_of(shards, bucket)] + shards->offsets[bucket] / 32, buckets->decays + buckets->rows[bucket].begin / 32,
                                (length(shards, bucket) + 31) / 32 * sizeof(uint32_t));
    }
    return 0;
}

int shards_open(struct shards *shards, const struct shards_request *request, struct error *error)
{
    void *offsets;
    *shards = (struct shards){ .backend = request->backend, .pinned = request->pinned, .buckets = request->buckets, .n_orders = request->backend->host_memory ? 1 : request->n_orders };
    ASSERT(request->n >= 1 && request->n <= SHARDS_MAX && request->n_orders >= 1 && request->n_orders <= ORDERS_MAX);
    if (door_allocate(&offsets, (size_t)request->buckets->n * sizeof *shards->offsets, "the server's tables", error))
        return -1;
    shards->offsets = offsets;
    for (int i = 0; i < request->n; i++)
        if (open_shard(shards, request->places[i], error))
            return -1;
    lay_out(shards);
    return open_masks(shards, error);
}

void shards_close(struct shards *shards)
{
    for (int i = 0; i < shards->n; i++) {
        if (shards->masks[i])
            shards->backend->release(shards->rows[i].device, shards->masks[i]);
        for (int order = 1; order < shards->n_orders; order++)
            if (shards->rows[i].orders[order])
                shards->backend->device_close(shards->rows[i].orders[order]);
        shards->backend->device_close(shards->rows[i].device);
    }
    door_free(shards->offsets);
    memset(shards, 0, sizeof *shards);
}

int vector_open(struct vector *vector, const struct shards *shards, const char *what, struct error *error)
{
    *vector = (struct vector){ 0 };
    for (int i = 0; i < shards->n; i++) {
        void *piece;
        /* a device without a bucket has a piece of nothing, so that a vector that is there has all */
        size_t bytes = (shards->rows[i].floats + !shards->rows[i].floats) * sizeof(float);
        if (shards->pinned ? shards->pinned->allocate_host(&piece, bytes, what, error) : shards->backend->allocate(shards->rows[i].device, &piece, bytes, what, error))
            return -1;
        vector->pieces[i] = piece;
    }
    return 0;
}

void vector_close(struct vector *vector, const struct shards *shards)
{
    for (int i = 0; i < shards->n; i++)
        if (shards->pinned)
            shards->pinned->release_host(vector->pieces[i]);
        else
            shards->backend->release(shards->rows[i].device, vector->pieces[i]);
    *vector = (struct vector){ 0 };
}

float *shards_at(const struct shards *shards, const struct vector *vector, int bucket)
{
    float *piece = vector->pieces[shard_of(shards, bucket)];
    return piece ? piece + shards->offsets[bucket] : NULL;
}

struct device *shards_order(const struct shards *shards, int bucket)
{
    const struct shard *shard = &shards->rows[shard_of(shards, bucket)];
    return shard->orders[bucket * shards->n_orders / shards->buckets->n];
}

const uint32_t *shards_decays(const struct shards *shards, int bucket)
{
    const uint32_t *mask = shards->masks[shard_of(shards, bucket)];
    return mask ? mask + shards->offsets[bucket] / 32 : NULL;
}

void shards_load(const struct shards *shards, const struct vector *to, const float *from)
{
    for (int bucket = 0; bucket < shards->buckets->n; bucket++)
        shards->backend->copy(shards_order(shards, bucket), shards_at(shards, to, bucket), from + shards->buckets->rows[bucket].begin, length(shards, bucket));
}

void shards_save(const struct shards *shards, float *to, const struct vector *from)
{
    for (int bucket = 0; bucket < shards->buckets->n; bucket++)
        shards->backend->copy(shards_order(shards, bucket), to + shards->buckets->rows[bucket].begin, shards_at(shards, from, bucket), length(shards, bucket));
}

static int for_orders(const struct shards *shards, int (*ask)(struct device *device, struct error *error), struct error *error)
{
    for (int i = 0; i < shards->n; i++)
        for (int order = 0; order < shards->n_orders; order++)
            if (ask(shards->rows[i].orders[order], error))
                return -1;
    return 0;
}

int shards_sync(const struct shards *shards, struct error *error) { return for_orders(shards, shards->backend->sync, error); }
int shards_check(const struct shards *shards, struct error *error) { return for_orders(shards, shards->backend->check, error); }
