/* The course of a snapshot on the server's side: announced, filled, handed over. See snapshot.h. */
#include "trainer/server_parts.h"

#include "base/door.h"
#include "trainer/message.h"
#include "trainer/worker.h"

#include <string.h>

void server_snapshot_start(struct server *server)
{
    server->taking.last = server->tally.iterations;
    server->taking.due_ns = door_now_ns() + (int64_t)(server->run->interval.every * 60e9);
}

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

/* A run that goes on from one has the memory for them even where it takes none. */
static bool takes_any(const struct run *run) { return run->snapshot && run->interval.every > 0; }

static void announce_if_due(struct server *server)
{
    int64_t cut[WORKERS_MAX];
    if (!server_snapshot_due(server, cut))
        return;
    memcpy(server->taking.cut, cut, sizeof cut);
    announce(server);
}

static bool all_taken(const struct server *server) { return server->taking.taken == server->active; }

/* Asynchronous: the tally has reached an iteration whose evaluation is not over. What main is told of that iteration belongs into one row, on one side of the mark. A replayed order
 * may hold back what the evaluation needs until the snapshot is over, so there only one that is under way is waited for. */
static bool awaits_evaluation(const struct server *server)
{
    const struct run *run = server->run;
    return server->evaluating || (run->config.async.order != ORDER_REPLAY && server->tally.iterations >= server->evaluate_at / run->k);
}

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
    server->taking.under_way = server->taking.copying = false;
    release_steps(server);
}

/* The workers' copies have been made too. */
static bool has_arrived(const struct server *server)
{
    const struct run *run = server->run;
    for (int k = 0; k < run->k; k++)
        if (!run->backend->done(run->workers[k].taken))
            return false;
    return true;
}

int server_snapshot_advance(struct server *server, bool *released, struct error *error)
{
    const struct run *run = server->run;
    struct taking *taking = &server->taking;
    *released = false;
    if (!takes_any(run))
        return 0;
    if (!taking->under_way) {
        /* acquire; pairs with the release of main when it has written the one before */
        if (!server->stopping && !server->done && !atomic_load_explicit(&run->snapshot->busy, memory_order_acquire))
            announce_if_due(server);
        return 0;
    }
    if (!all_taken(server))
        return 0;
    if (!run->algorithm->synchronous && taking->place_missing && !awaits_evaluation(server) && server_capture_all(server, error))
        return -1;
    taking->copying = !taking->buckets_missing && !taking->place_missing && !has_arrived(server);
    if (taking->buckets_missing || taking->place_missing || taking->copying)
        return 0;
    if (server_sync(server, error))
        return -1;
    hand_over(server);
    release_steps(server);
    *released = !run->algorithm->synchronous;
    return 0;
}

bool server_snapshot_at_rest(struct server *server)
{
    const struct run *run = server->run;
    struct taking *taking = &server->taking;
    if (!takes_any(run) || taking->rested)
        return true;
    if (taking->at_rest) {
        taking->rested = !taking->under_way;
        return taking->rested;
    }
    server->heard_ns = door_now_ns();
    if (atomic_load_explicit(&run->snapshot->busy, memory_order_acquire)) /* as above */
        return false;
    taking->at_rest = true;
    if (server->tally.iterations == run->iterations)
        server_report_rest(server); /* a run that is complete is reported to its end; one that was stopped goes on with the epoch that it is in */
    for (int k = 0; k < run->k; k++)
        taking->cut[k] = server->done_at[k];
    announce(server);
    if (!run->algorithm->synchronous)
        return false;
    for (int bucket = 0; bucket < run->buckets.n; bucket++)
        server_capture_bucket(server, bucket, &server->w[server->versions[bucket] % server->declared.versions], server->versions[bucket]);
    server_capture_place(server, true);
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

void server_snapshot_bucket(struct server *server, int bucket, const struct vector *weights)
{
    if (server->taking.under_way && !server->taking.at_rest && server->run->algorithm->synchronous && server->versions[bucket] == server->taking.cut[0])
        server_capture_bucket(server, bucket, weights, server->versions[bucket]);
}

void server_snapshot_iteration(struct server *server)
{
    if (server->taking.under_way && !server->taking.at_rest && server->run->algorithm->synchronous && server->tally.iterations == server->taking.cut[0])
        server_capture_place(server, false);
}

void server_snapshot_taken(struct server *server, const struct message *message)
{
    if (!server->taking.under_way || message->value != server->taking.number)
        return;
    server->taking.taken |= (uint64_t)1 << message->worker;
    server->run->snapshot->workers[message->worker].place[PLACE_TICKET] = message->spare;
}
