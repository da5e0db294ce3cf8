/* A server that goes on from a snapshot: see snapshot.h. */
#include "trainer/server_parts.h"

#include "trainer/message.h"
#include "trainer/worker.h"

#include <string.h>

static void load(const struct server *server, const struct vector *to, const float *from)
{
    if (vector_is_there(to) && from)
        shards_load(&server->shards, to, from);
}

/* Both in the host's memory. */
static void copy(float *to, const float *from, size_t n)
{
    if (to && from)
        memcpy(to, from, n * sizeof *to);
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
    int64_t s = start->iteration, slots = server->declared.versions;
    load(server, &server->w[s % slots], start->weights);
    if (start->previous && s > 0)
        load(server, &server->w[(s - 1) % slots], start->previous);
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
    load(server, &server->w[0], start->weights);
    copy(run->evaluation.weights, start->evaluated, n);
    memcpy(server->versions, start->versions, (size_t)run->buckets.n * sizeof *server->versions);
    for (int k = 0; k < run->k; k++) {
        const struct snapshot_worker *part = &start->workers[k];
        bool any = false;
        for (int bucket = 0; bucket < run->buckets.n; bucket++) {
            resume_push(server, part, k, bucket);
            any |= part->flying[bucket] < 0;
        }
        load(server, &server->replies[k], part->local);
        copy(server->stats[k], part->served, run->n_stats);
        server->answered[k] = part->place[PLACE_ITERATION] - !any;
        server->tickets[k][(part->place[PLACE_ITERATION] + 1) & 1] = part->place[PLACE_TICKET_BEFORE];
    }
}

static void resume_loss_scales(struct server *server, const struct snapshot *start)
{
    struct clip *clip = &server->clip;
    memcpy(clip->scales, start->loss_scales, (server->run->algorithm->synchronous ? 1 : (size_t)server->run->k) * sizeof *clip->scales);
    const struct loss_scale *now = &clip->scales[0];
    const int64_t v = now->judged + SCALES_KEPT, skipped = now->skipped - (now->overflowed & 1);
    clip->past[v % SCALES_KEPT] = *now;
    clip->past[(v - 1) % SCALES_KEPT] = (struct loss_scale){ .exponent = now->before, .skipped = skipped };
    clip->past[(v - 2) % SCALES_KEPT] = (struct loss_scale){ .exponent = now->earlier, .skipped = skipped - (now->overflowed >> 1) };
}

void server_resume(struct server *server, const struct snapshot *start)
{
    const struct run *run = server->run;
    if (start->loss_scales)
        resume_loss_scales(server, start);
    for (int state = 0; state < SERVER_STATES; state++)
        load(server, &server->states[state], start->states[state]);
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
        copy(run->evaluation.weights, start->states[SERVER_AVERAGE] ? start->states[SERVER_AVERAGE] : start->weights, run->graph->params.total);
        for (int k = 0; k < run->k; k++)
            copy(server->stats[k], start->workers[k].stats, run->n_stats);
        server->snapshot_missing = 0;
    }
}

void server_resume_pushes(struct server *server)
{
    size_t n = (size_t)server->run->buckets.n * (size_t)server->run->k;
    for (size_t i = 0; i < n; i++)
        if (server->pending[i].kind == MESSAGE_PUSH)
            server_fetch(server, &server->pending[i]);
}
