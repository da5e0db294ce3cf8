/* A worker's part of a snapshot: see snapshot.h. */
#include "trainer/worker.h"

#include "trainer/message.h"
#include "trainer/server_parts.h"
#include "trainer/worker_wait.h"

static struct snapshot_worker *part_of(const struct worker *worker) { return &worker->run->snapshot->workers[worker->number]; }

static void copy(const struct worker *worker, float *to, const float *from, size_t n)
{
    if (to)
        worker->run->backend->copy(worker->device, to, from, n);
}

static void copy_local(const struct worker *worker)
{
    const struct snapshot_worker *part = part_of(worker);
    size_t n = worker->run->graph->params.total;
    copy(worker, part->local, worker->weights, n);
    for (int state = 0; state < WORKER_STATES; state++)
        copy(worker, part->states[state], worker->states[state], n);
}

static void say_taken(struct worker *worker, int64_t ticket)
{
    worker->run->backend->record(worker->device, worker->taken);
    worker->snapshot_at = -1;
    worker_send(worker, &(struct message){ .kind = MESSAGE_TAKEN, .value = worker->snapshot, .iteration = worker->iteration, .spare = ticket });
}

static void copy_stats(const struct worker *worker) { copy(worker, part_of(worker)->stats, worker->stats, worker->run->n_stats); }

int worker_snapshot_reached(struct worker *worker, struct error *error)
{
    if (worker->iteration != worker->snapshot_at || worker->run->algorithm->synchronous)
        return 0;
    if (worker_report(worker, error)) /* the server's tally is captured with what it has served */
        return -1;
    copy_stats(worker);
    worker->kept_ticket = worker_take_ticket(worker);
    worker->kept_for = worker->iteration;
    say_taken(worker, worker->kept_ticket);
    return 0;
}

void worker_snapshot_before(struct worker *worker)
{
    if (worker->iteration == worker->snapshot_at)
        copy_stats(worker);
}

void worker_snapshot_after(struct worker *worker)
{
    if (worker->iteration != worker->snapshot_at)
        return;
    copy_local(worker);
    say_taken(worker, -1);
}

/* L of an iteration that is not started yet is made for the snapshot alone: the ledger does not count it. */
static int choose_all(struct worker *worker, struct error *error)
{
    struct ledger ledger = worker->ledger;
    for (int bucket = 0; bucket < worker->run->buckets.n; bucket++) {
        if (worker->chosen[bucket] != worker->iteration && worker->run->algorithm->choose_weights(worker, worker->iteration, bucket, error))
            return -1;
        worker->chosen[bucket] = worker->iteration;
    }
    worker->ledger = ledger;
    return 0;
}

int worker_snapshot_at_rest(struct worker *worker, struct error *error)
{
    if (worker->run->algorithm->synchronous) {
        if (choose_all(worker, error))
            return -1;
        copy_local(worker);
    }
    copy_stats(worker);
    say_taken(worker, worker->kept_for == worker->iteration ? worker->kept_ticket : -1);
    return 0;
}

static void answered(struct worker *worker, int bucket, int64_t iteration, int64_t version, uint32_t slot)
{
    struct reply *reply = &worker->replies[(size_t)bucket * REPLIES_KEPT + (size_t)((iteration + 1) % REPLIES_KEPT)];
    *reply = (struct reply){ .iteration = iteration, .version = version, .there[REPLY_WEIGHTS] = true, .slot[REPLY_WEIGHTS] = slot };
}

/* An answer that lies on another GPU has been fetched. */
static void fetch(struct worker *worker, size_t row, const float *weights)
{
    copy(worker, worker->fetched[REPLY_WEIGHTS][row], weights, worker->run->graph->params.total);
}

static void resume_in_step(struct worker *worker, const struct snapshot *start)
{
    const struct snapshot_worker *part = &start->workers[worker->number];
    const struct run *run = worker->run;
    int64_t s = worker->iteration, built_on = run->algorithm->requires_version(&run->config, s);
    int64_t slots = run->server->declared.versions;
    worker->newest = s;
    worker->next_evaluation = run->server->evaluate_at;
    if (start->previous && s > 0)
        fetch(worker, (size_t)((s - 1) % slots), start->previous);
    fetch(worker, (size_t)(s % slots), start->weights);
    for (int bucket = 0; bucket < run->buckets.n; bucket++) {
        if (s > 0)
            answered(worker, bucket, s - 2, s - 1, (uint32_t)((s - 1) % slots));
        answered(worker, bucket, s - 1, s, (uint32_t)(s % slots));
        if (!part->local)
            continue;
        worker->chosen[bucket] = s;
        worker->versions_used[bucket] = built_on;
        ledger_count(&worker->ledger, s - built_on);
    }
}

static void resume_apart(struct worker *worker, const struct snapshot_worker *part)
{
    const struct run *run = worker->run;
    int64_t i = worker->iteration;
    worker->newest = i - 1;
    worker->kept_ticket = part->place[PLACE_TICKET];
    worker->kept_for = i;
    copy(worker, worker->gradients[(i + 1) & 1], part->gradient, run->graph->params.total);
    copy(worker, worker->stats_out, part->stats, run->n_stats);
    fetch(worker, 0, part->local);
    for (int bucket = 0; bucket < run->buckets.n; bucket++) {
        worker->replies[(size_t)bucket * REPLIES_KEPT].iteration = INT64_MIN;
        if (part->flying[bucket] >= 0)
            continue;
        answered(worker, bucket, i - 1, part->sent[bucket], (uint32_t)worker->number);
        worker->newest = i;
    }
}

static void resume_loss_scales(struct worker *worker)
{
    const struct loss_scale *scale = server_loss_scale(worker->run->server, worker->number);
    const int64_t i = worker->iteration;
    worker->loss_scales[i % REPLIES_KEPT] = scale->exponent;
    worker->loss_scales[(i + REPLIES_KEPT - 1) % REPLIES_KEPT] = scale->before;
}

void worker_resume(struct worker *worker, const struct snapshot *start)
{
    const struct run *run = worker->run;
    const struct snapshot_worker *part = &start->workers[worker->number];
    size_t n = run->graph->params.total;
    worker->iteration = part->place[PLACE_ITERATION];
    resume_loss_scales(worker);
    copy(worker, part->stats ? worker->stats : NULL, part->stats, run->n_stats);
    for (int state = 0; state < WORKER_STATES; state++)
        copy(worker, worker->states[state], part->states[state], n);
    if (!run->algorithm->synchronous) {
        resume_apart(worker, part);
        return;
    }
    copy(worker, part->local ? worker->weights : NULL, part->local, n);
    resume_in_step(worker, start);
}
