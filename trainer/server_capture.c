/* The server's part of a snapshot: see snapshot.h. */
#include "trainer/server_parts.h"

#include "trainer/message.h"
#include "trainer/worker.h"

#include <string.h>

/* As they are at the boundary: an asynchronous worker's next gradient may have been judged already, though it is not served. */
static void capture_loss_scales(const struct server *server)
{
    const struct run *run = server->run;
    struct loss_scale *to = (struct loss_scale *)run->snapshot->loss_scales;
    for (int k = 0; to && k < (run->algorithm->synchronous ? 1 : run->k); k++)
        to[k] = server->clip.scales[k].judged > server->taking.cut[k] ? server->clip.before[k] : server->clip.scales[k];
}

void server_capture_bucket(struct server *server, int bucket, const struct vector *weights, int64_t version)
{
    const struct run *run = server->run;
    const struct bucket *row = &run->buckets.rows[bucket];
    struct snapshot *snapshot = run->snapshot;
    size_t from = row->begin, n = row->end - row->begin;
    const struct shards *shards = &server->shards;
    struct device *order = shards_order(shards, bucket);
    server->shards.backend->copy(order, snapshot->weights + from, shards_at(shards, weights, bucket), n);
    if (snapshot->previous)
        server->shards.backend->copy(order, snapshot->previous + from, shards_at(shards, &server->w[(version ? version - 1 : 0) % server->declared.versions], bucket), n);
    for (int state = 0; state < SERVER_STATES; state++)
        if (snapshot->states[state])
            server->shards.backend->copy(order, snapshot->states[state] + from, shards_at(shards, &server->states[state], bucket), n);
    if (run->algorithm->synchronous)
        capture_loss_scales(server);
    server->taking.buckets_missing--;
}

void server_capture_place(struct server *server, bool reported)
{
    const struct run *run = server->run;
    struct snapshot *snapshot = run->snapshot;
    const struct tally *tally = &server->tally;
    int64_t unit = run->algorithm->synchronous ? 1 : run->k;
    snapshot->iteration = tally->iterations;
    snapshot->reported = reported;
    snapshot->epoch = tally->epoch;
    snapshot->last = tally->last;
    snapshot->evaluate_at = server->evaluate_at;
    snapshot->training_ns = server_training_ns(server);
    server->taking.place_missing = false;
    struct message mark = { .kind = REPORT_MARK, .iteration = tally->iterations, .value = server->evaluate_at == INT64_MAX ? INT64_MAX : server->evaluate_at / unit };
    server_send(server, run_main_end(server->run), &mark);
}

/* One that has overflowed is not applied, and a file holds finite numbers. */
static bool is_skipped(const struct server *server, int k)
{
    const struct loss_scale *scales = (const struct loss_scale *)server->run->snapshot->loss_scales;
    return scales && scales[k].overflowed & 1;
}

/* One worker's pushes: which are served, and which are in flight. */
static void capture_pushes(struct server *server, int k)
{
    const struct run *run = server->run;
    struct snapshot_worker *part = &run->snapshot->workers[k];
    int64_t boundary = server->taking.cut[k];
    int turn = (int)((boundary + 1) & 1);
    const bool skipped = is_skipped(server, k);
    if (skipped)
        memset(part->gradient, 0, run->graph->params.total * sizeof *part->gradient);
    for (int bucket = 0; bucket < run->buckets.n; bucket++) {
        const struct bucket *row = &run->buckets.rows[bucket];
        struct device *order = shards_order(&server->shards, bucket);
        const struct sent *sent = &server->sent[(size_t)bucket * (size_t)run->k + (size_t)k];
        part->sent[bucket] = sent->version;
        part->flying[bucket] = sent->served < boundary ? sent->pushed[(boundary - 1) & 1] : -1;
        if (part->flying[bucket] >= 0) /* it may still be on the emulated link */
            server_fetch(server, &(struct message){ .worker = (uint16_t)k, .slot = (uint32_t)turn, .bucket = (uint32_t)bucket });
        server->shards.backend->copy(order, part->local + row->begin, shards_at(&server->shards, &server->replies[k], bucket), row->end - row->begin);
        if (!skipped)
            server->shards.backend->copy(order, part->gradient + row->begin, server_gradient_at(server, k, turn, bucket), row->end - row->begin);
    }
    if (part->served)
        memcpy(part->served, server->stats[k], run->n_stats * sizeof(float));
}

static void capture_record(struct server *server)
{
    const struct service *service = &server->run->service;
    struct snapshot *snapshot = server->run->snapshot;
    if (!snapshot->record)
        return;
    snapshot->n_record = service->n_record;
    memcpy(snapshot->record, service->record, (size_t)service->n_record * sizeof *service->record);
}

int server_capture_all(struct server *server, struct error *error)
{
    const struct run *run = server->run;
    struct snapshot *snapshot = run->snapshot;
    const struct tally *tally = &server->tally;
    if (server_sync(server, error)) /* what came with pushes lies in the host's memory then */
        return -1;
    for (int bucket = 0; bucket < run->buckets.n; bucket++) {
        server_capture_bucket(server, bucket, &server->w[0], 0);
        snapshot->versions[bucket] = server->versions[bucket];
    }
    for (int k = 0; k < run->k; k++)
        if (server_clip_judge(server, k, server->taking.cut[k] - 1, error))
            return -1;
    capture_loss_scales(server);
    for (int k = 0; k < run->k; k++)
        capture_pushes(server, k);
    memcpy(snapshot->evaluated, run->evaluation.weights, run->graph->params.total * sizeof(float));
    for (int i = 0; i < tally->came[0]; i++)
        memcpy(snapshot->steps + 3 * i, (int64_t[3]){ double_bits(tally->steps[i].loss), tally->steps[i].correct, tally->steps[i].samples }, 3 * sizeof(int64_t));
    snapshot->came = tally->came[0];
    snapshot->next_ticket = service_next_ticket(&run->service, run->iterations * run->k);
    capture_record(server);
    server_capture_place(server, true);
    return 0;
}
