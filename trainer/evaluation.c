/* See evaluation.h. */
#include "trainer/evaluation.h"

#include "base/door.h"
#include "trainer/worker.h"

#include <string.h>

int evaluation_open(struct evaluation *evaluation, const struct run *run, struct error *error)
{
    const struct config *config = &run->config;
    const struct loader_plan plan = {
        .dataset = run->test, .batch = (int)config->data.eval_batch, .workers = 1, .end = INT64_MAX, .threads = 1, .depth = run->k + 1,
        .allocate = run->backend->allocate_host, .release = run->backend->release_host,
    };
    void *weights, *stats, *results;
    memset(evaluation, 0, sizeof *evaluation);
    evaluation->batches = loader_batches_per_epoch(&plan);
    evaluation->backend = run->backend;
    if (run->backend->allocate_host(&weights, run->graph->params.total * sizeof(float), "the evaluated weights", error))
        return -1;
    evaluation->weights = weights;
    if (run->backend->allocate_host(&stats, run->graph->stats.total * sizeof(float), "the evaluated statistics", error))
        return -1;
    evaluation->stats = stats;
    if (door_allocate(&results, (size_t)evaluation->batches * sizeof *evaluation->results, "evaluation results", error))
        return -1;
    evaluation->results = results;
    return loader_open(&evaluation->loader, &plan, error);
}

void evaluation_close(struct evaluation *evaluation)
{
    loader_close(evaluation->loader);
    if (evaluation->backend) {
        evaluation->backend->release_host(evaluation->weights);
        evaluation->backend->release_host(evaluation->stats);
    }
    door_free(evaluation->results);
    memset(evaluation, 0, sizeof *evaluation);
}

void evaluation_begin(struct evaluation *evaluation, int64_t number)
{
    atomic_store_explicit(&evaluation->done, 0, memory_order_relaxed);
    /* release; pairs with the acquire in take_batch: a late worker of the evaluation before sees this one's snapshot or takes nothing */
    atomic_store_explicit(&evaluation->next, (uint64_t)number << 32, memory_order_release);
}

/* The next batch of that evaluation; -1 when it has none left. */
static int64_t take_batch(struct evaluation *evaluation, int64_t number)
{
    uint64_t next = atomic_load_explicit(&evaluation->next, memory_order_acquire);
    do {
        if ((int64_t)(next >> 32) != number || (int64_t)(next & UINT32_MAX) >= evaluation->batches)
            return -1;
    } while (!atomic_compare_exchange_weak_explicit(&evaluation->next, &next, next + 1, memory_order_acq_rel, memory_order_acquire));
    return (int64_t)(next & UINT32_MAX);
}

static int evaluate_batch(struct run *run, struct worker *worker, int64_t number, int64_t i, bool repack, struct error *error)
{
    struct evaluation *evaluation = &run->evaluation;
    struct step step = { .weights = worker->eval_weights, .stats = worker->eval_stats, .repack = repack };
    if (feed_take(&worker->eval_feed, evaluation->loader, number * evaluation->batches + i, (int)(i & 1), error))
        return -1;
    feed_step(&worker->eval_feed, (int)(i & 1), &step);
    if (plan_forward(worker->eval_plan, &step, NULL, error))
        return -1;
    feed_used(&worker->eval_feed, (int)(i & 1));
    return plan_result(worker->eval_plan, (int)(i & 1), &evaluation->results[i], error);
}

/* To the worker's device, where they do not lie already. */
static void take_weights(const struct run *run, struct worker *worker)
{
    const struct evaluation *evaluation = &run->evaluation;
    if (worker->eval_weights != evaluation->weights)
        run->backend->copy(worker->device, worker->eval_weights, evaluation->weights, run->graph->params.total);
    if (worker->eval_stats != evaluation->stats)
        run->backend->copy(worker->device, worker->eval_stats, evaluation->stats, run->graph->stats.total);
}

int evaluation_work(struct run *run, struct worker *worker, int64_t number, bool *last, struct error *error)
{
    struct evaluation *evaluation = &run->evaluation;
    bool first = true;
    *last = false;
    for (int64_t i; (i = take_batch(evaluation, number)) >= 0; first = false) {
        if (first)
            take_weights(run, worker);
        if (evaluate_batch(run, worker, number, i, first, error))
            return -1;
        /* acq_rel: whoever counts the last one has seen all results, and passes them on with its message */
        if (atomic_fetch_add_explicit(&evaluation->done, 1, memory_order_acq_rel) + 1 == evaluation->batches)
            *last = true;
    }
    return feed_settle(&worker->eval_feed, error);
}

struct evaluation_total evaluation_sum(const struct evaluation *evaluation, int64_t samples)
{
    struct evaluation_total total = { .samples = samples };
    for (int64_t i = 0; i < evaluation->batches; i++) {
        total.loss += evaluation->results[i].loss_sum;
        total.correct += evaluation->results[i].correct;
        total.correct5 += evaluation->results[i].correct5;
    }
    total.loss /= (double)samples;
    return total;
}

/* The i-th mean and variance of one batch-normalization node. */
static void merge_pair(const float *const *stats, int k, size_t mean_at, size_t variance_at, float *merged)
{
    double mean = 0, square = 0;
    for (int worker = 0; worker < k; worker++) {
        double m = stats[worker][mean_at];
        mean += m / k;
        square += (stats[worker][variance_at] + m * m) / k;
    }
    merged[mean_at] = (float)mean;
    merged[variance_at] = (float)(square - mean * mean);
}

void merge_stats(const struct graph *graph, const float *const *stats, int k, bool worker0, float *merged)
{
    if (k == 1 || worker0) {
        memcpy(merged, stats[0], graph->stats.total * sizeof(float));
        return;
    }
    for (int i = 0; i < graph->n_nodes; i++) {
        const struct node *node = &graph->nodes[i];
        if (node->n_stats != 2)
            continue;
        const struct param *mean = &graph->stats.rows[node->stats[0]], *variance = &graph->stats.rows[node->stats[1]];
        for (size_t c = 0; c < mean->count; c++)
            merge_pair(stats, k, mean->offset + c, variance->offset + c, merged);
    }
}
