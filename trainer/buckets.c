/* See buckets.h. All buckets but number 0, the end of the vector, have the same size, so finding one is a division. */
#include "trainer/buckets.h"

#include "base/door.h"
#include "base/sizes.h"

#include <string.h>

/* Stretches of one bucket; neighbours with the same setting are joined. */
static int cut_stretches(struct bucket *bucket, struct stretch *to, const struct param_map *params, bool decay_all)
{
    int n = 0;
    for (int i = 0; i < params->n; i++) {
        const struct param *param = &params->rows[i];
        size_t begin = size_max(param->offset, bucket->begin), end = size_min(param->offset + param->count, bucket->end);
        bool decay = decay_all || param->decay;
        if (begin >= end)
            continue;
        if (n && to[n - 1].decay == decay)
            to[n - 1].end = end;
        else
            to[n++] = (struct stretch){ begin, end, decay };
    }
    return n;
}

/* The same settings as a mask. */
static int make_mask(struct buckets *buckets, size_t total, struct error *error)
{
    void *decays;
    buckets->words = (total + 31) / 32;
    if (door_allocate(&decays, buckets->words * sizeof *buckets->decays, "the buckets' mask", error))
        return -1;
    buckets->decays = decays;
    for (int b = 0; b < buckets->n; b++)
        for (int i = 0; i < buckets->rows[b].n_stretches; i++) {
            const struct stretch *stretch = &buckets->stretches[buckets->rows[b].first_stretch + i];
            for (size_t at = stretch->begin; at < stretch->end && stretch->decay; at++)
                buckets->decays[at / 32] |= (uint32_t)1 << at % 32;
        }
    return 0;
}

int buckets_init(struct buckets *buckets, const struct param_map *params, size_t bytes, bool decay_all, struct error *error)
{
    memset(buckets, 0, sizeof *buckets);
    size_t total = params->total, size = size_max(64, bytes / sizeof(float) / 64 * 64);
    size_t n = (total + size - 1) / size;
    void *rows, *stretches = NULL;
    if (door_allocate(&rows, n * sizeof *buckets->rows, "the buckets", error))
        return -1;
    if (door_allocate(&stretches, (n + (size_t)params->n) * sizeof *buckets->stretches, "the buckets' stretches", error)) {
        door_free(rows);
        return -1;
    }
    *buckets = (struct buckets){ .rows = rows, .n = (int)n, .size = size, .stretches = stretches };
    int used = 0;
    for (int b = 0; b < buckets->n; b++) {
        struct bucket *bucket = &buckets->rows[b];
        size_t index = n - 1 - (size_t)b;
        bucket->begin = index * size;
        bucket->end = size_min(bucket->begin + size, total);
        bucket->first_stretch = used;
        bucket->n_stretches = cut_stretches(bucket, buckets->stretches + used, params, decay_all);
        used += bucket->n_stretches;
    }
    return make_mask(buckets, total, error);
}

void buckets_release(struct buckets *buckets)
{
    door_free(buckets->rows);
    door_free(buckets->stretches);
    door_free(buckets->decays);
    memset(buckets, 0, sizeof *buckets);
}

int bucket_of(const struct buckets *buckets, size_t element) { return buckets->n - 1 - (int)(element / buckets->size); }
