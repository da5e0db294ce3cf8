/* The verbs that algorithms are written in, on the worker's side. See worker.h. */
#include "trainer/worker.h"

#include "base/door.h"
#include "trainer/message.h"
#include "trainer/server.h"
#include "trainer/worker_wait.h"

const float *worker_reply_vector(const struct worker *worker, enum reply_kind kind, uint32_t slot)
{
    const struct server *server = worker->run->server;
    if (kind == REPLY_FORECAST)
        return server->p[slot];
    return server->declared.versions ? server->w[slot] : server->replies[slot];
}

const float *worker_gradient(const struct worker *worker, int64_t t) { return worker->gradients[t & 1]; }

float worker_rate(const struct worker *worker, int64_t t) { return schedule_rate(&worker->run->schedule, t); }

float worker_local_rate(const struct worker *worker, int64_t t)
{
    const struct config *config = &worker->run->config;
    double base = config->odsgd.lr_local < 0 ? config->optimizer.lr : config->odsgd.lr_local;
    return (float)(base * schedule_factor(&worker->run->schedule, t));
}

static void end_local(struct worker *worker, int bucket, int64_t began) { trace_add(&worker->trace, PHASE_LOCAL, worker->iteration, bucket, began, door_now_ns()); }

void worker_adopt(struct worker *worker, int bucket, const float *weights)
{
    const struct bucket *row = &worker->run->buckets.rows[bucket];
    int64_t began = door_now_ns();
    worker->run->backend->copy(worker->device, worker->weights + row->begin, weights + row->begin, row->end - row->begin);
    end_local(worker, bucket, began);
}

/* A local update clips the worker's own g by the rule that the server has for the mean. */
static float own_factor(struct worker *worker, const float *gradient)
{
    if (worker->run->config.optimizer.clip_norm <= 0)
        return 1;
    if (worker->clipped != worker->iteration)
        worker->clip_factor = clip_factor(worker->run, worker->device, &gradient, 1);
    worker->clipped = worker->iteration;
    return worker->clip_factor;
}

void worker_local_step(struct worker *worker, int bucket, const struct local_pass *pass)
{
    const struct run *run = worker->run;
    const struct bucket *row = &run->buckets.rows[bucket];
    int64_t began = door_now_ns();
    float factor = own_factor(worker, pass->g);
    for (int i = 0; i < row->n_stretches; i++) {
        const struct stretch *stretch = &run->buckets.stretches[row->first_stretch + i];
        struct local_pass part = *pass;
        part.n = stretch->end - stretch->begin;
        part.factor = factor;
        part.w += stretch->begin;
        part.g += stretch->begin;
        part.m = pass->m ? pass->m + stretch->begin : NULL;
        part.l = worker->weights + stretch->begin;
        part.weight_decay = stretch->decay ? (float)run->config.optimizer.weight_decay : 0;
        if (pass->compensation.backup) {
            part.compensation.now += stretch->begin;
            part.compensation.backup += stretch->begin;
            part.compensation.mean_square = pass->compensation.mean_square ? pass->compensation.mean_square + stretch->begin : NULL;
        }
        run->backend->local(worker->device, &part);
    }
    end_local(worker, bucket, began);
}

void worker_local_predict(struct worker *worker, int bucket, const float *forecast, const float *gradient, float c)
{
    const struct bucket *row = &worker->run->buckets.rows[bucket];
    int64_t began = door_now_ns();
    float factor = own_factor(worker, gradient);
    worker->run->backend->predict(worker->device, worker->weights + row->begin, forecast + row->begin, gradient + row->begin, c * factor,
                                 row->end - row->begin);
    end_local(worker, bucket, began);
}

int worker_built_on(struct worker *worker, int64_t t, int bucket, int64_t version, int64_t expected, struct error *error)
{
    worker->versions_used[bucket] = version;
    ledger_count(&worker->ledger, t - version);
    if (t - version == expected)
        return 0;
    return fail(error, EXIT_INVARIANT, "worker %d: iteration %lld, bucket %d: staleness %lld, want exactly %lld", worker->number, (long long)t, bucket, (long long)(t - version), (long long)expected);
}

void worker_note_version(struct worker *worker, int bucket, int64_t version) { worker->versions_used[bucket] = version; }

/* Running statistics go with an iteration's last push where somebody will evaluate with them. */
static bool publish_stats(struct worker *worker, int64_t t)
{
    const struct run *run = worker->run;
    bool wanted = !run->algorithm->synchronous || t + 1 == worker->next_evaluation;
    if (!run->n_stats || !wanted || worker->pushes_left)
        return false;
    run->backend->copy(worker->device, worker->stats_out, worker->stats, run->n_stats);
    return true;
}

int worker_push(struct worker *worker, int64_t t, int bucket, struct error *error)
{
    (void)error;
    const struct bucket *row = &worker->run->buckets.rows[bucket];
    struct message push = {
        .kind = MESSAGE_PUSH, .encoding = ENCODING_FP32, .iteration = t, .version = worker->versions_used[bucket], .bucket = (uint32_t)bucket,
        .slot = (uint32_t)(t & 1), .bytes = (row->end - row->begin) * sizeof(float), .value = worker->ticket, .spare = publish_stats(worker, t),
    };
    worker_send(worker, &push);
    return 0;
}
