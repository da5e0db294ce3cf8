/* The memory of a snapshot: see snapshot.h. */
#include "trainer/snapshot.h"

#include "base/door.h"
#include "base/list.h"
#include "trainer/loss_scale.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A snapshot while its parts are listed: a part whose count is 0 is left out, and after an error nothing happens. */
struct listing { struct snapshot *snapshot; struct error *error; bool failed; };

static void *add(struct listing *listing, enum snapshot_type type, size_t count, const char *format, ...) __attribute__((format(printf, 4, 5)));

static void *add(struct listing *listing, enum snapshot_type type, size_t count, const char *format, ...)
{
    struct snapshot *snapshot = listing->snapshot;
    size_t bytes = count * (type == SNAPSHOT_F32 ? sizeof(float) : sizeof(int64_t));
    void *rows = snapshot->tensors, *data;
    if (listing->failed || !count)
        return NULL;
    listing->failed = true;
    if (list_grow(&rows, snapshot->n_tensors, &snapshot->room, sizeof *snapshot->tensors, "the snapshot", listing->error))
        return NULL;
    snapshot->tensors = rows;
    if (snapshot->backend->allocate_host(&data, bytes, "the snapshot", listing->error))
        return NULL;
    struct snapshot_tensor *tensor = &snapshot->tensors[snapshot->n_tensors++];
    *tensor = (struct snapshot_tensor){ .type = type, .count = count, .data = data };
    va_list values;
    va_start(values, format);
    vsnprintf(tensor->name, sizeof tensor->name, format, values);
    va_end(values);
    snapshot->bytes += bytes;
    listing->failed = false;
    return data;
}

static void add_server(struct listing *listing, const struct snapshot_shape *shape)
{
    struct snapshot *snapshot = listing->snapshot;
    size_t n = shape->graph->params.total, asynchronous = !shape->synchronous;
    for (int state = 0; state < SERVER_STATES; state++)
        if (shape->declared->server_states & 1u << state)
            snapshot->states[state] = add(listing, SNAPSHOT_F32, n, "onestep.%s", server_state_names[state]);
    if (shape->declared->previous)
        snapshot->previous = add(listing, SNAPSHOT_F32, n, "onestep.previous");
    snapshot->evaluated = add(listing, SNAPSHOT_F32, asynchronous * n, "onestep.evaluated");
    snapshot->versions = add(listing, SNAPSHOT_I64, asynchronous * (size_t)shape->buckets, "onestep.versions");
    snapshot->steps = add(listing, SNAPSHOT_I64, asynchronous * 3 * (size_t)shape->k, "onestep.steps");
    snapshot->loss_scales = add(listing, SNAPSHOT_I64, shape->scaled ? LOSS_SCALE_NUMBERS * (asynchronous ? (size_t)shape->k : 1) : 0, "onestep.loss_scale");
    snapshot->record = add(listing, SNAPSHOT_I64, 2 * (size_t)shape->services, "onestep.record");
}

static void add_worker(struct listing *listing, const struct snapshot_shape *shape, int k)
{
    struct snapshot_worker *worker = &listing->snapshot->workers[k];
    size_t n = shape->graph->params.total, n_stats = shape->n_stats, asynchronous = !shape->synchronous, buckets = (size_t)shape->buckets;
    worker->place = add(listing, SNAPSHOT_I64, PLACES, "onestep.worker.%d.place", k);
    worker->stats = add(listing, SNAPSHOT_F32, n_stats, "onestep.worker.%d.stats", k);
    if (shape->declared->local_weights)
        worker->local = add(listing, SNAPSHOT_F32, n, "onestep.worker.%d.weights", k);
    for (int state = 0; state < WORKER_STATES; state++)
        if (shape->declared->worker_states & 1u << state)
            worker->states[state] = add(listing, SNAPSHOT_F32, n, "onestep.worker.%d.%s", k, worker_state_names[state]);
    worker->served = add(listing, SNAPSHOT_F32, asynchronous * n_stats, "onestep.worker.%d.served", k);
    worker->gradient = add(listing, SNAPSHOT_F32, asynchronous * n, "onestep.worker.%d.gradient", k);
    worker->sent = add(listing, SNAPSHOT_I64, asynchronous * buckets, "onestep.worker.%d.sent", k);
    worker->flying = add(listing, SNAPSHOT_I64, asynchronous * buckets, "onestep.worker.%d.flying", k);
}

int snapshot_init(struct snapshot *snapshot, const struct snapshot_shape *shape, struct error *error)
{
    struct listing listing = { snapshot, error, false };
    void *weights, *stats, *workers;
    memset(snapshot, 0, sizeof *snapshot);
    snapshot->backend = shape->backend;
    if (shape->backend->allocate_host(&weights, shape->graph->params.total * sizeof(float), "the snapshot", error))
        return -1;
    snapshot->weights = weights;
    if (shape->backend->allocate_host(&stats, shape->n_stats * sizeof(float), "the snapshot", error))
        return -1;
    snapshot->stats = stats;
    if (door_allocate(&workers, (size_t)shape->k * sizeof *snapshot->workers, "the snapshot", error))
        return -1;
    snapshot->workers = workers;
    add_server(&listing, shape);
    for (int k = 0; k < shape->k; k++)
        add_worker(&listing, shape, k);
    return listing.failed ? -1 : 0;
}

void snapshot_release(struct snapshot *snapshot)
{
    const struct backend *backend = snapshot->backend;
    if (!backend)
        return;
    for (int i = 0; i < snapshot->n_tensors; i++)
        backend->release_host(snapshot->tensors[i].data);
    door_free(snapshot->tensors);
    backend->release_host(snapshot->weights);
    backend->release_host(snapshot->stats);
    door_free(snapshot->workers);
    memset(snapshot, 0, sizeof *snapshot);
}
