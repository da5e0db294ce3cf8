/* The server's side of evaluation: snapshots of W, taken bucket by bucket as each reaches the version that is due. */
#include "trainer/server_parts.h"

#include "base/door.h"
#include "trainer/interval.h"
#include "trainer/message.h"
#include "trainer/worker.h"

#include <string.h>

/* Versions of a bucket in one iteration. */
static int64_t versions_per_iteration(const struct server *server) { return server->run->algorithm->synchronous ? 1 : server->run->k; }

int64_t server_next_evaluation(const struct server *server, int64_t version)
{
    const struct run *run = server->run;
    int64_t unit = versions_per_iteration(server), last = run->iterations * unit;
    double interval = run->config.train.evaluate_every * (double)run->iterations_per_epoch;
    if (version >= last)
        return INT64_MAX;
    if (interval <= 0)
        return last;
    int64_t iteration = interval_next(interval, version / unit);
    return iteration * unit < last ? iteration * unit : last;
}

int64_t server_newest_version(const struct server *server)
{
    int64_t newest = 0;
    for (int bucket = 0; bucket < server->run->buckets.n; bucket++)
        newest = server->versions[bucket] > newest ? server->versions[bucket] : newest;
    return newest;
}

void server_version_done(struct server *server, int bucket, const struct vector *weights)
{
    const struct run *run = server->run;
    const struct bucket *row = &run->buckets.rows[bucket];
    server->versions[bucket]++;
    server_snapshot_bucket(server, bucket, weights);
    if (server->versions[bucket] != server->evaluate_at)
        return;
    if (vector_is_there(&server->states[SERVER_AVERAGE]))
        weights = &server->states[SERVER_AVERAGE];
    server->shards.backend->copy(shards_order(&server->shards, bucket), run->evaluation.weights + row->begin, shards_at(&server->shards, weights, bucket), row->end - row->begin);
    server->snapshot_missing--;
}

/* The iteration of the evaluation after this one, for synchronous workers to stop at; asynchronous ones stop for none. */
static int64_t next_iteration(const struct server *server)
{
    int64_t next = server_next_evaluation(server, server->evaluate_at);
    return next == INT64_MAX || !server->run->algorithm->synchronous ? -1 : next;
}

int server_evaluate_if_due(struct server *server, struct error *error)
{
    const struct run *run = server->run;
    if (server->snapshot_missing || server->evaluating || server->evaluate_at == INT64_MAX)
        return 0;
    if (server_sync(server, error))
        return -1;
    server->evaluating = true;
    server->evaluation_began_ns = door_now_ns();
    run_merge_stats(run, server->stats, run->n_stats - run->graph->stats.total, run->evaluation.stats);
    evaluation_begin(&server->run->evaluation, server->evaluations);
    for (int k = 0; k < run->k; k++)
        server_send(server, k, &(struct message){ .kind = MESSAGE_GO, .value = server->evaluations, .iteration = next_iteration(server) });
    server->evaluations++;
    return 0;
}

void server_evaluated(struct server *server)
{
    const struct run *run = server->run;
    struct evaluation_total total = evaluation_sum(&run->evaluation, run->test->n);
    struct message report = {
        .kind = REPORT_EVALUATION, .iteration = server->evaluate_at / versions_per_iteration(server), .value = double_bits(total.loss), .spare = total.correct,
        .version = total.correct5, .bytes = (uint64_t)total.samples, .sent_ns = server_training_ns(server),
    };
    server_send(server, run_main_end(run), &report);
    server->paused_ns += door_now_ns() - server->evaluation_began_ns;
    server->evaluating = false;
    /* a run that was resumed with another evaluate_every can be past the one after this */
    int64_t newest = server_newest_version(server);
    server->evaluate_at = server_next_evaluation(server, newest > server->evaluate_at ? newest : server->evaluate_at);
    server->snapshot_missing = run->buckets.n;
}

bool server_must_hold(const struct server *server, int bucket)
{
    return server->evaluate_at != INT64_MAX && server->versions[bucket] + 1 == server_next_evaluation(server, server->evaluate_at);
}

int64_t server_training_ns(const struct server *server)
{
    int64_t now = server->evaluating ? server->evaluation_began_ns : door_now_ns();
    return now - server->began_ns - server->paused_ns;
}
