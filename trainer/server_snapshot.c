/* The server's side of snapshots: when one is due, where each worker's boundary is, and its own part of it. See snapshot.h. */
#include "trainer/server_parts.h"

#include "base/door.h"
#include "trainer/interval.h"
#include "trainer/message.h"
#include "trainer/worker.h"

#include <string.h>

/* ---- the cut ---- */

static bool in_step(const struct server *server) { return server->run->algorithm->synchronous || server->run->config.async.order == ORDER_ROUND_ROBIN; }

void server_cut(const struct server *server, int64_t *cut)
{
    const struct run *run = server->run;
    int64_t newest = 0;
    for (int k = 0; k < run->k; k++)
        newest = server->answered[k] > newest ? server->answered[k] : newest;
    int64_t common = newest;
    while (run->algorithm->requires_version(&run->config, common) <= newest)
        common++;
    for (int k = 0; k < run->k; k++)
        cut[k] = in_step(server) ? common : server->answered[k] + 1;
    if (run->config.async.order == ORDER_REPLAY)
        service_cut(&run->service, cut);
}

/* ---- when ---- */

static int64_t due_iteration(const struct server *server, int64_t after)
{
    const struct run *run = server->run;
    const struct interval *interval = &run->interval;
    return interval_next(interval->unit == EVERY_EPOCHS ? interval->every * (double)run->iterations_per_epoch : interval->every, after);
}

/* The common boundary of the snapshot that is to be announced now; -1: none is. Announced as early as may be, so that every boundary can be met exactly. */
static int64_t due_in_step(const struct server *server)
{
    const struct taking *taking = &server->taking;
    int64_t cut[WORKERS_MAX], at;
    server_cut(server, cut);
    if (server->run->interval.unit == EVERY_MINUTES)
        return door_now_ns() >= taking->due_ns ? cut[0] : -1;
    at = due_iteration(server, taking->last > cut[0] - 1 ? taking->last : cut[0] - 1);
    return at;
}

static bool due_apart(const struct server *server)
{
    if (server->run->interval.unit == EVERY_MINUTES)
        return door_now_ns() >= server->taking.due_ns;
    return server->tally.iterations >= due_iteration(server, server->taking.last);
}

void server_snapshot_start(struct server *server)
{
    server->taking.last = server->tally.iterations;
    server->taking.due_ns = door_now_ns() + (int64_t)(server->run->interval.every * 60e9);
}

/* ---- what it holds ---- */

static void capture_bucket(struct server *server, int bucket, const float *weights, int64_t version)
{
    const struct run *run = server->run;
    const struct bucket *row = &run->buckets.rows[bucket];
    struct snapshot *snapshot = run->snapshot;
    size_t from = row->begin, n = row->end - row->begin;
    const struct backend *backend = run->backend;
    backend->copy(server->device, snapshot->weights + from, weights + from, n);
    if (snapshot->previous)
        backend->copy(server->device, snapshot->previous + from, server->w[(version ? version - 1 : 0) % server->declared.versions] + from, n);
    for (int state = 0; state < SERVER_STATES; state++)
        if (snapshot->states[state])
            backend->copy(server->device, snapshot->states[state] + from, server->states[state] + from, n);
    server->taking.buckets_missing--;
}

/* Where the run is, and the mark in what main is told. */
static void capture_place(struct server *server, bool reported)
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

/* One worker's pushes: which are served, and which are in flight. */
static void capture_pushes(struct server *server, int k)
{
    const struct run *run = server->run;
    struct snapshot_worker *part = &run->snapshot->workers[k];
    int64_t boundary = server->taking.cut[k];
    size_t n = run->graph->params.total;
    for (int bucket = 0; bucket < run->buckets.n; bucket++) {
        const struct sent *sent = &server->sent[(size_t)bucket * (size_t)run->k + (size_t)k];
        part->sent[bucket] = sent->version;
        part->flying[bucket] = sent->served < boundary ? sent->pushed[(boundary - 1) & 1] : -1;
    }
    run->backend->copy(server->device, part->local, server->replies[k], n);
    run->backend->copy(server->device, part->gradient, run->workers[k].gradients[(boundary + 1) & 1], n);
    if (part->served)
        run->backend->copy(server->device, part->served, server->stats[k], run->n_stats);
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

/* Asynchronous: all of the server's part, at one moment. */
static void capture_all(struct server *server)
{
    const struct run *run = server->run;
    struct snapshot *snapshot = run->snapshot;
    const struct tally *tally = &server->tally;
    for (int bucket = 0; bucket < run->buckets.n; bucket++) {
        capture_bucket(server, bucket, server->w[0], 0);
        snapshot->versions[bucket] = server->versions[bucket];
    }
    for (int k = 0; k < run->k; k++)
        capture_pushes(server, k);
    run->backend->copy(server->device, snapshot->evaluated, run->evaluation.weights, run->graph->params.total);
    for (int i = 0; i < tally->came[0]; i++)
        memcpy(snapshot->steps + 3 * i, (int64_t[3]){ double_bits(tally->steps[i].loss), tally->steps[i].correct, tally->steps[i].samples }, 3 * sizeof(int64_t));
    snapshot->came = tally->came[0];
    snapshot->next_ticket = service_next_ticket(&run->service, run->iterations * run->k);
    capture_record(server);
    capture_place(server, true);
}

/* ---- under way ---- */

static void announce(struct server *server)
{
    const struct run *run = server->run;
    struct taking *taking = &server->taking;
    taking->number++;
    taking->under_way = true;
    taking->taken = 0;
    taking->buckets_missing = run->buckets.n;
    taking->place_missing = true;
    for (int k = 0; k < run->k; k++)
        server_send(server, k, &(struct message){ .kind = MESSAGE_SNAPSHOT, .value = taking->number, .iteration = taking->cut[k] });
}

static void announce_if_due(struct server *server)
{
    struct taking *taking = &server->taking;
    if (!in_step(server)) {
        if (due_apart(server)) {
            server_cut(server, taking->cut);
            announce(server);
        }
        return;
    }
    int64_t at = due_in_step(server);
    if (at < 0 || at >= server->end)
        return;
    for (int k = 0; k < server->run->k; k++)
        taking->cut[k] = at;
    announce(server);
}

static bool all_taken(const struct server *server) { return server->taking.taken == server->active; }

/* To main, which writes it. */
static void hand_over(struct server *server)
{
    struct run *run = server->run;
    struct taking *taking = &server->taking;
    float *stats[WORKERS_MAX];
    struct snapshot *snapshot = run->snapshot;
    snapshot->samples = 0;
    for (int k = 0; k < run->k; k++) {
        int64_t *place = snapshot->workers[k].place;
        place[PLACE_ITERATION] = taking->cut[k];
        place[PLACE_TICKET_BEFORE] = server->tickets[k][(taking->cut[k] + 1) & 1];
        snapshot->samples += taking->cut[k] * run->config.data.batch;
        stats[k] = snapshot->workers[k].stats;
    }
    for (size_t from = 0; from < run->n_stats; from += run->graph->stats.total)
        run_merge_stats(run, stats, from, snapshot->stats + from);
    taking->under_way = false;
    taking->last = snapshot->iteration;
    taking->due_ns = door_now_ns() + (int64_t)(run->interval.every * 60e9);
    /* release; pairs with the acquire of main, though the report orders it already */
    atomic_store_explicit(&snapshot->busy, true, memory_order_release);
    server_send(server, run_main_end(run), &(struct message){ .kind = REPORT_SNAPSHOT, .iteration = snapshot->iteration });
}

/* The last steps of workers that were ahead, kept back so that the tally is that of the cut. */
static void release_steps(struct server *server)
{
    for (int k = 0; k < server->run->k; k++) {
        struct message held = server->taking.held[k];
        server->taking.held[k].kind = MESSAGE_NONE;
        if (held.kind != MESSAGE_NONE)
            server_step_done(server, &held);
    }
}

void server_snapshot_abandon(struct server *server)
{
    if (!server->taking.under_way)
        return;
    server->taking.under_way = false;
    release_steps(server);
}

bool server_snapshot_advance(struct server *server)
{
    const struct run *run = server->run;
    struct taking *taking = &server->taking;
    if (!run->snapshot)
        return false;
    if (!taking->under_way) {
        /* acquire; pairs with the release of main when it has written the one before */
        if (!server->stopping && !server->done && !atomic_load_explicit(&run->snapshot->busy, memory_order_acquire))
            announce_if_due(server);
        return false;
    }
    if (!all_taken(server))
        return false;
    if (!run->algorithm->synchronous && taking->place_missing)
        capture_all(server);
    if (taking->buckets_missing || taking->place_missing)
        return false;
    hand_over(server);
    release_steps(server);
    return !run->algorithm->synchronous;
}

bool server_snapshot_at_rest(struct server *server)
{
    const struct run *run = server->run;
    struct taking *taking = &server->taking;
    if (!run->snapshot || taking->rested)
        return true;
    if (taking->at_rest) {
        taking->rested = !taking->under_way;
        return taking->rested;
    }
    server->heard_ns = door_now_ns();
    if (atomic_load_explicit(&run->snapshot->busy, memory_order_acquire)) /* as above */
        return false;
    taking->at_rest = true;
    for (int k = 0; k < run->k; k++)
        taking->cut[k] = server->done_at[k];
    announce(server);
    if (!run->algorithm->synchronous)
        return false;
    for (int bucket = 0; bucket < run->buckets.n; bucket++)
        capture_bucket(server, bucket, server->w[server->versions[bucket] % server->declared.versions], server->versions[bucket]);
    capture_place(server, true);
    return false;
}

/* ---- what the rest of the server asks and tells ---- */

bool server_snapshot_holds(const struct server *server, const struct message *message)
{
    const struct taking *taking = &server->taking;
    return taking->under_way && !server->run->algorithm->synchronous && message->iteration >= taking->cut[message->worker];
}

bool server_snapshot_holds_step(struct server *server, const struct message *step)
{
    if (!server_snapshot_holds(server, step))
        return false;
    server->taking.held[step->worker] = *step;
    return true;
}

void server_snapshot_bucket(struct server *server, int bucket, const float *weights)
{
    if (server->taking.under_way && !server->taking.at_rest && server->run->algorithm->synchronous && server->versions[bucket] == server->taking.cut[0])
        capture_bucket(server, bucket, weights, server->versions[bucket]);
}

void server_snapshot_iteration(struct server *server)
{
    if (server->taking.under_way && !server->taking.at_rest && server->run->algorithm->synchronous && server->tally.iterations == server->taking.cut[0])
        capture_place(server, false);
}

void server_snapshot_taken(struct server *server, const struct message *message)
{
    if (!server->taking.under_way || message->value != server->taking.number)
        return;
    server->taking.taken |= (uint64_t)1 << message->worker;
    server->run->snapshot->workers[message->worker].place[PLACE_TICKET] = message->spare;
}
