/* A worker's memory: allocated before its thread starts, freed after it ended. */
#include "trainer/worker.h"

#include "base/door.h"
#include "trainer/server.h"

#include <string.h>

static int allocate_vector(struct worker *worker, float **vector, size_t n, const char *what, struct error *error)
{
    void *block;
    if (worker->run->backend->allocate(worker->device, &block, n * sizeof(float), what, error))
        return -1;
    *vector = block;
    return 0;
}

static int allocate_vectors(struct worker *worker, struct error *error)
{
    const struct run *run = worker->run;
    size_t n = run->graph->params.total, n_stats = run->n_stats;
    struct declaration declared = algorithm_declare(&run->config);
    if (allocate_vector(worker, &worker->weights, n, "local weights", error) || allocate_vector(worker, &worker->gradients[0], n, "gradients", error) ||
        allocate_vector(worker, &worker->gradients[1], n, "gradients", error) || allocate_vector(worker, &worker->stats, n_stats, "running statistics", error) ||
        allocate_vector(worker, &worker->stats_out, n_stats, "running statistics", error))
        return -1;
    for (int state = 0; state < WORKER_STATES; state++)
        if (declared.worker_states & 1u << state && allocate_vector(worker, &worker->states[state], n, worker_state_names[state], error))
            return -1;
    run_start_stats(run, worker->device, worker->stats);
    return 0;
}

static int allocate_table(void **table, size_t n, size_t bytes, struct error *error) { return door_allocate(table, n * bytes, "a worker's tables", error); }

static int allocate_tables(struct worker *worker, struct error *error)
{
    size_t n = (size_t)worker->run->buckets.n;
    void *replies, *chosen, *missing, *versions;
    if (allocate_table(&replies, n * REPLIES_KEPT, sizeof *worker->replies, error))
        return -1;
    worker->replies = replies;
    if (allocate_table(&chosen, n, sizeof *worker->chosen, error))
        return -1;
    worker->chosen = chosen;
    if (allocate_table(&missing, n, sizeof *worker->missing, error))
        return -1;
    worker->missing = missing;
    if (allocate_table(&versions, n, sizeof *worker->versions_used, error))
        return -1;
    worker->versions_used = versions;
    for (size_t i = 0; i < n * REPLIES_KEPT; i++)
        worker->replies[i].iteration = INT64_MIN;
    /* W_0 is there from the start: in slot 0, or in the worker's own */
    uint32_t slot = worker->run->server->declared.versions ? 0 : (uint32_t)worker->number;
    for (size_t bucket = 0; bucket < n; bucket++) {
        worker->replies[bucket * REPLIES_KEPT] = (struct reply){ .iteration = -1, .there[REPLY_WEIGHTS] = true, .slot[REPLY_WEIGHTS] = slot };
        worker->chosen[bucket] = -1;
    }
    return 0;
}

static int allocate_batch(struct worker *worker, struct error *error)
{
    size_t n = (size_t)worker->run->config.data.batch;
    void *pixels, *labels, *index;
    if (allocate_table(&pixels, n, shape_count(worker->run->graph->nodes[0].out), error))
        return -1;
    worker->batch.pixels = pixels;
    if (allocate_table(&labels, n, sizeof *worker->batch.labels, error))
        return -1;
    worker->batch.labels = labels;
    if (allocate_table(&index, n, sizeof *worker->batch.index, error))
        return -1;
    worker->batch.index = index;
    return 0;
}

int worker_init(struct worker *worker, struct run *run, int number, struct error *error)
{
    memset(worker, 0, sizeof *worker);
    worker->run = run;
    worker->number = number;
    worker->snapshot_at = worker->kept_ticket = -1;
    worker->end = run->algorithm->synchronous ? run->iterations : INT64_MAX;
    worker->next_evaluation = run->algorithm->synchronous ? run->server->evaluate_at : -1;
    if (run->backend->device_open(&worker->device, run->processors ? run->processors[number] : -1, error))
        return -1;
    if (allocate_vectors(worker, error) || allocate_tables(worker, error) || allocate_batch(worker, error) || trace_init(&worker->trace, (size_t)run->config.output.trace, error))
        return -1;
    struct plan_request request = { run->backend, worker->device, run->graph, (int)run->config.data.batch, true, (enum precision)run->config.train.precision };
    if (plan_make(&worker->plan, &request, error))
        return -1;
    request.batch = (int)run->config.data.eval_batch;
    request.training = false;
    return plan_make(&worker->eval_plan, &request, error);
}

void worker_release(struct worker *worker)
{
    if (!worker->device)
        return;
    const struct backend *backend = worker->run->backend;
    plan_free(worker->plan);
    plan_free(worker->eval_plan);
    float *const vectors[] = { worker->weights, worker->gradients[0], worker->gradients[1], worker->stats, worker->stats_out };
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++)
        backend->release(worker->device, vectors[i]);
    for (int state = 0; state < WORKER_STATES; state++)
        backend->release(worker->device, worker->states[state]);
    door_free(worker->batch.pixels);
    door_free(worker->batch.labels);
    door_free(worker->batch.index);
    door_free(worker->replies);
    door_free(worker->chosen);
    door_free(worker->missing);
    door_free(worker->versions_used);
    trace_release(&worker->trace);
    backend->device_close(worker->device);
    memset(worker, 0, sizeof *worker);
}
