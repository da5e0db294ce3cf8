/* A server that goes on from a snapshot: see snapshot.h. */
#include "trainer/server_parts.h"

#include "trainer/message.h"
#include "trainer/worker.h"

#include <string.h>

static void copy(const struct server *server, float *to, const float *from, size_t n)
{
    if (to && from)
        server->run->backend->copy(server->device, to, from, n);
}

static int64_t next_evaluation(const struct server *server, const struct snapshot *start)
{
    int64_t newest = server_newest_version(server);
    bool gathering = start->evaluated && newest >= start->evaluate_at, now = !start->reported && newest == start->evaluate_at;
    return gathering || now ? start->evaluate_at : server_next_evaluation(server, newest);
}

static void resume_tally(struct server *server, const struct snapshot *start)
{
    struct tally *tally = &server->tally;
    tally->iterations = start->iteration;
    tally->epoch = start->epoch;
    tally->last = start->last;
    tally->came[0] = (int)start->came;
    for (int i = 0; i < start->came; i++)
        tally->steps[i] = (struct sums){ bits_double(start->steps[3 * i]), start->steps[3 * i + 1], start->steps[3 * i + 2] };
    server->report_first = !start->reported;
    server->began_ns = -start->training_ns;
}

static void resume_in_step(struct server *server, const struct snapshot *start)
{
    const struct run *run = server->run;
    size_t n = run->graph->params.total;
    int64_t s = start->iteration, slots = server->declared.versions;
    copy(server, server->w[s % slots], start->weights, n);
    if (start->previous && s > 0)
        copy(server, server->w[(s - 1) % slots], start->previous, n);
    for (int bucket = 0; bucket < run->buckets.n; bucket++)
        server->versions[bucket] = s;
    for (int k = 0; k < run->k; k++)
        server->answered[k] = s;
}

/* A push in flight is one that has come. */
static void resume_push(struct server *server, const struct snapshot_worker *part, int k, int bucket)
{
    const struct run *run = server->run;
    int64_t iteration = part->place[PLACE_ITERATION] - 1;
    const struct bucket *row = &run->buckets.rows[bucket];
    size_t place = (size_t)bucket * (size_t)run->k + (size_t)k;
    server->sent[place] = (struct sent){ .version = part->sent[bucket], .served = iteration + 1 };
    if (part->flying[bucket] < 0)
        return;
    server->sent[place].served = iteration;
    server->sent[place].pushed[iteration & 1] = part->flying[bucket];
    server->pending[place] = (struct message){
        .kind = MESSAGE_PUSH, .worker = (uint16_t)k, .encoding = ENCODING_FP32, .iteration = iteration, .version = part->flying[bucket], .bucket = (uint32_t)bucket,
        .slot = (uint32_t)(iteration & 1), .bytes = (row->end - row->begin) * sizeof(float), .value = part->place[PLACE_TICKET_BEFORE],
        .spare = bucket == run->buckets.n - 1 && run->graph->stats.total,
    };
    server->n_pending++;
}

static void resume_apart(struct server *server, const struct snapshot *start)
{
    struct run *run = server->run;
    size_t n = run->graph->params.total;
    copy(server, server->w[0], start->weights, n);
    copy(server, run->evaluation.weights, start->evaluated, n);
    memcpy(server->versions, start->versions, (size_t)run->buckets.n * sizeof *server->versions);
    for (int k = 0; k < run->k; k++) {
        const struct snapshot_worker *part = &start->workers[k];
        bool any = false;
        for (int bucket = 0; bucket < run->buckets.n; bucket++) {
            resume_push(server, part, k, bucket);
            any |= part->flying[bucket] < 0;
        }
        copy(server, server->replies[k], part->local, n);
        copy(server, server->stats[k], part->served, run->n_stats);
        server->answered[k] = part->place[PLACE_ITERATION] - !any;
        server->tickets[k][(part->place[PLACE_ITERATION] + 1) & 1] = part->place[PLACE_TICKET_BEFORE];
    }
}

void server_resume(struct server *server, const struct snapshot *start)
{
    const struct run *run = server->run;
    for (int state = 0; state < SERVER_STATES; state++)
        copy(server, server->states[state], start->states[state], run->graph->params.total);
    resume_tally(server, start);
    if (run->algorithm->synchronous)
        resume_in_step(server, start);
    else
        resume_apart(server, start);
    server->evaluate_at = next_evaluation(server, start);
    server->snapshot_missing = 0;
    for (int bucket = 0; bucket < run->buckets.n; bucket++)
        server->snapshot_missing += server->versions[bucket] < server->evaluate_at;
    if (run->algorithm->synchronous && server->evaluate_at == start->iteration) {
        copy(server, run->evaluation.weights, start->states[SERVER_AVERAGE] ? start->states[SERVER_AVERAGE] : start->weights, run->graph->params.total);
        for (int k = 0; k < run->k; k++)
            copy(server, server->stats[k], start->workers[k].stats, run->n_stats);
        server->snapshot_missing = 0;
    }
}
