/* What travels between the server's devices and the workers': gradients in, weights and predictions out.
 *
 * A worker on the GPU that a bucket lies on reads and is read in place. For any other, its gradient is copied into a slot beside the bucket as soon as it is pushed, and an answer
 * into a slot on the worker's GPU before it is sent. Nobody waits for a copy: a push and an answer each have an event, and a message names it by worker, slot and bucket. Only where
 * the server's vectors are the host's its thread waits, for gradients to land. */
#include "trainer/server_parts.h"

#include "base/door.h"
#include "trainer/events.h"
#include "trainer/message.h"
#include "trainer/worker.h"

static bool on_host(const struct server *server) { return server->shards.pinned != NULL; }

static bool is_near(const struct server *server, int worker, int bucket)
{
    if (server->replicas.n)
        return true;
    if (on_host(server))
        return false;
    return server->run->backend->same(shards_order(&server->shards, bucket), server->run->workers[worker].device);
}

static bool is_near_all(const struct server *server, int worker)
{
    for (int bucket = 0; bucket < server->run->buckets.n; bucket++)
        if (!is_near(server, worker, bucket))
            return false;
    return true;
}

static struct event **answer(const struct server *server, int worker, enum reply_kind kind, uint32_t slot, int bucket)
{
    size_t row = ((size_t)worker * REPLY_KINDS + (size_t)kind) * VERSIONS_MAX + server_reply_row(server, slot);
    return &server->answers[row * (size_t)server->run->buckets.n + (size_t)bucket];
}

size_t server_reply_row(const struct server *server, uint32_t slot) { return server->declared.versions ? slot : 0; }

/* Whose order answers are recorded in; replicas are not there yet. */
static struct device *answering(const struct server *server, int worker, int bucket)
{
    bool on_worker = on_host(server) || server->run->config.workers.reduce == REDUCE_NCCL;
    return on_worker ? server->run->workers[worker].device : shards_order(&server->shards, bucket);
}

struct device *server_ferry(const struct server *server, int worker, int bucket)
{
    if (server->replicas.n)
        return server->replicas.orders[worker];
    return on_host(server) ? server->ferries[worker] : shards_order(&server->shards, bucket);
}

static int open_answers(struct server *server, struct error *error)
{
    const struct run *run = server->run;
    void *block;
    if (door_allocate(&block, (size_t)run->k * REPLY_KINDS * VERSIONS_MAX * (size_t)run->buckets.n * sizeof *server->answers, "the server's tables", error))
        return -1;
    server->answers = block;
    for (int k = 0; k < run->k; k++)
        for (uint32_t slot = 0; slot < (uint32_t)VERSIONS_MAX; slot++)
            for (int bucket = 0; bucket < run->buckets.n; bucket++)
                for (int kind = 0; kind < REPLY_KINDS; kind++)
                    if ((slot == 0 || server->declared.versions) &&
                        run->backend->event_open(answer(server, k, (enum reply_kind)kind, slot, bucket), answering(server, k, bucket), error))
                        return -1;
    return 0;
}

static int open_ferry(struct server *server, int k, struct error *error)
{
    const struct run *run = server->run;
    if (run->backend->device_second(&server->ferries[k], run->workers[k].device, 7, error))
        return -1;
    for (int turn = 0; turn < 2; turn++)
        if (events_open(&server->landed[k][turn], run->backend, server->ferries[k], run->buckets.n, error))
            return -1;
    return 0;
}

static void close_ferry(struct server *server, int k)
{
    const struct run *run = server->run;
    for (int turn = 0; turn < 2; turn++)
        events_close(server->landed[k][turn], run->backend, run->buckets.n);
    if (server->ferries[k])
        run->backend->device_close(server->ferries[k]);
}

int server_post_open(struct server *server, struct error *error)
{
    struct run *run = server->run;
    const struct declaration *declared = &server->declared;
    if (open_answers(server, error))
        return -1;
    for (int k = 0; k < run->k && run->config.workers.reduce == REDUCE_SERVER; k++) {
        if (is_near_all(server, k))
            continue;
        if (on_host(server) && open_ferry(server, k, error))
            return -1;
        for (int i = 0; i < server->shards.n && !on_host(server); i++)
            run->backend->reaches(server->shards.rows[i].device, run->workers[k].device); /* the first time it tries, and both GPUs stand still: not in a step */
        for (int turn = 0; turn < 2; turn++)
            if (vector_open(&server->incoming[k][turn], &server->shards, "gradients of other GPUs", error))
                return -1;
        if (worker_open_fetched(&run->workers[k], declared->versions ? declared->versions : 1, declared->forecasts, error))
            return -1;
    }
    return 0;
}

void server_post_close(struct server *server)
{
    const struct run *run = server->run;
    size_t n = server->answers ? (size_t)run->k * REPLY_KINDS * VERSIONS_MAX * (size_t)run->buckets.n : 0;
    for (size_t i = 0; i < n; i++)
        run->backend->event_close(server->answers[i]);
    door_free(server->answers);
    for (int k = 0; k < run->k; k++) {
        for (int turn = 0; turn < 2; turn++)
            vector_close(&server->incoming[k][turn], &server->shards);
        close_ferry(server, k);
    }
}

static int for_workers(const struct server *server, int (*ask)(struct device *device, struct error *error), struct error *error)
{
    for (int k = 0; k < server->run->k; k++)
        if ((server->ferries[k] && ask(server->ferries[k], error)) || (k < server->replicas.n && ask(server->replicas.orders[k], error)))
            return -1;
    return 0;
}

int server_sync(const struct server *server, struct error *error)
{
    return for_workers(server, server->run->backend->sync, error) || shards_sync(&server->shards, error) ? -1 : 0;
}

int server_check(const struct server *server, struct error *error)
{
    return for_workers(server, server->run->backend->check, error) || shards_check(&server->shards, error) ? -1 : 0;
}

static float *in_place(const struct server *server, int worker, int turn, int bucket)
{
    return server->run->workers[worker].gradients[turn] + server->run->buckets.rows[bucket].begin;
}

void server_fetch(struct server *server, const struct message *push)
{
    const struct run *run = server->run;
    int bucket = (int)push->bucket, turn = (int)push->slot;
    const struct bucket *row = &run->buckets.rows[bucket];
    struct device *order = server_ferry(server, push->worker, bucket);
    run->backend->wait(order, run->workers[push->worker].pushed[turn][bucket]);
    if (vector_is_there(&server->incoming[push->worker][turn]) && !is_near(server, push->worker, bucket))
        run->backend->copy(order, shards_at(&server->shards, &server->incoming[push->worker][turn], bucket), in_place(server, push->worker, turn, bucket), row->end - row->begin);
    if (on_host(server))
        run->backend->record(order, server->landed[push->worker][turn][bucket]);
}

const float *server_gradient_at(const struct server *server, int worker, int turn, int bucket)
{
    const struct vector *incoming = &server->incoming[worker][turn];
    bool there = vector_is_there(incoming) && !is_near(server, worker, bucket);
    struct error stays = { 0 }; /* with the worker's device, and is reported there */
    if (on_host(server))
        server->run->backend->finish(server->landed[worker][turn][bucket], &stays);
    return there ? shards_at(&server->shards, incoming, bucket) : in_place(server, worker, turn, bucket);
}

/* The vector that a reply carries. */
static const struct vector *replied(const struct server *server, int worker, enum reply_kind kind, uint32_t slot)
{
    if (kind == REPLY_FORECAST)
        return &server->p[slot];
    return server->declared.versions ? &server->w[slot] : &server->replies[worker];
}

void server_deliver(struct server *server, int worker, int bucket, enum reply_kind kind, uint32_t slot)
{
    const struct run *run = server->run;
    const struct bucket *row = &run->buckets.rows[bucket];
    struct device *order = server_ferry(server, worker, bucket);
    if (!is_near(server, worker, bucket))
        run->backend->copy(order, run->workers[worker].fetched[kind][server_reply_row(server, slot)] + row->begin,
                           shards_at(&server->shards, replied(server, worker, kind, slot), bucket), row->end - row->begin);
    run->backend->record(order, *answer(server, worker, kind, slot, bucket));
}

const float *server_answer_at(const struct server *server, int worker, int bucket, enum reply_kind kind, uint32_t slot)
{
    if (server->replicas.n && worker > 0)
        return server->replicas.w[worker] + server->run->buckets.rows[bucket].begin;
    if (!is_near(server, worker, bucket))
        return server->run->workers[worker].fetched[kind][server_reply_row(server, slot)] + server->run->buckets.rows[bucket].begin;
    return shards_at(&server->shards, replied(server, worker, kind, slot), bucket);
}

struct event *server_answer_event(const struct server *server, int worker, int bucket, enum reply_kind kind, uint32_t slot) { return *answer(server, worker, kind, slot, bucket); }
