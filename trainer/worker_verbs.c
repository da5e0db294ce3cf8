/* The verbs that algorithms are written in, on the worker's side. See worker.h. */
#include "trainer/worker.h"

#include "base/door.h"
#include "trainer/message.h"
#include "trainer/server.h"
#include "trainer/worker_wait.h"

static size_t begin_of(const struct worker *worker, int bucket) { return worker->run->buckets.rows[bucket].begin; }

float *worker_weights(const struct worker *worker, int bucket) { return worker->weights + begin_of(worker, bucket); }

const float *worker_gradient(const struct worker *worker, int64_t t, int bucket) { return worker->gradients[t & 1] + begin_of(worker, bucket); }

float *worker_state(const struct worker *worker, enum worker_state state, int bucket)
{
    return worker->states[state] ? worker->states[state] + begin_of(worker, bucket) : NULL;
}

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
    worker->run->backend->copy(worker->device, worker->weights + row->begin, weights, row->end - row->begin);
    end_local(worker, bucket, began);
}

/* A local update judges the worker's own g of the iteration before by the rule that the server has for the mean. */
static struct verdict own_verdict(struct worker *worker)
{
    const struct run *run = worker->run;
    const float *gradient = worker->gradients[(worker->iteration - 1) & 1];
    if (!verdict_is_wanted(&run->config))
        return (struct verdict){ .factor = 1 };
    if (worker->judged != worker->iteration)
        worker->verdict = verdict_of(&run->config, run->backend, worker->device, &gradient, 1, run->graph->params.total);
    worker->judged = worker->iteration;
    return worker->verdict;
}

/* Over [from, from + n) of the bucket, whose elements all have that decay, or each what the mask says. */
static void local_over(struct worker *worker, const struct bucket *row, const struct local_pass *pass, size_t from, size_t n, float weight_decay)
{
    struct local_pass part = *pass;
    part.n = n;
    part.w += from;
    part.g += from;
    part.m = pass->m ? pass->m + from : NULL;
    part.l = worker->weights + row->begin + from;
    part.weight_decay = weight_decay;
    if (pass->compensation.backup) {
        part.compensation.now += from;
        part.compensation.backup += from;
        part.compensation.mean_square = pass->compensation.mean_square ? pass->compensation.mean_square + from : NULL;
    }
    worker->run->backend->local(worker->device, &part);
}

void worker_local_step(struct worker *worker, int bucket, const struct local_pass *given)
{
    const struct run *run = worker->run;
    const struct bucket *row = &run->buckets.rows[bucket];
    float weight_decay = (float)run->config.optimizer.weight_decay;
    int64_t began = door_now_ns();
    const struct verdict verdict = own_verdict(worker);
    struct local_pass pass = *given;
    if (verdict.skip) {
        worker_adopt(worker, bucket, pass.w);
        return;
    }
    pass.factor = verdict.factor;
    pass.decays = worker->decays ? worker->decays + row->begin / 32 : NULL;
    if (pass.decays)
        local_over(worker, row, &pass, 0, row->end - row->begin, weight_decay);
    for (int i = 0; i < row->n_stretches && !pass.decays; i++) {
        const struct stretch *stretch = &run->buckets.stretches[row->first_stretch + i];
        local_over(worker, row, &pass, stretch->begin - row->begin, stretch->end - stretch->begin, stretch->decay ? weight_decay : 0);
    }
    end_local(worker, bucket, began);
}

void worker_local_predict(struct worker *worker, int bucket, const float *forecast, const float *gradient, float c)
{
    const struct bucket *row = &worker->run->buckets.rows[bucket];
    int64_t began = door_now_ns();
    const struct verdict verdict = own_verdict(worker);
    if (verdict.skip) {
        worker_adopt(worker, bucket, forecast);
        return;
    }
    worker->run->backend->predict(worker->device, worker->weights + row->begin, forecast, gradient, c * verdict.factor, row->end - row->begin);
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

static bool publishes_stats(const struct worker *worker)
{
    const struct run *run = worker->run;
    return run->n_stats && (!run->algorithm->synchronous || worker->iteration + 1 == worker->next_evaluation);
}

void worker_publish_stats(struct worker *worker)
{
    if (publishes_stats(worker))
        worker->run->backend->copy(worker->device, worker->stats_out, worker->stats, worker->run->n_stats);
}

int worker_push(struct worker *worker, int64_t t, int bucket, struct error *error)
{
    (void)error;
    const struct bucket *row = &worker->run->buckets.rows[bucket];
    struct message push = {
        .kind = MESSAGE_PUSH, .encoding = ENCODING_FP32, .iteration = t, .version = worker->versions_used[bucket], .bucket = (uint32_t)bucket,
        .slot = (uint32_t)(t & 1), .bytes = (row->end - row->begin) * sizeof(float), .value = worker->ticket, .spare = !worker->pushes_left && publishes_stats(worker),
    };
    worker_post(worker, &push);
    return 0;
}
