/* A worker's memory: allocated before its thread starts, freed after it ended. */
#include "trainer/worker.h"

#include "base/door.h"
#include "trainer/events.h"
#include "trainer/server.h"
#include "trainer/straggler.h"

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

static int open_mask(struct worker *worker, struct error *error)
{
    const struct run *run = worker->run;
    void *decays;
    if (!run->backend->masks)
        return 0;
    if (run->backend->allocate(worker->device, &decays, run->buckets.words * sizeof *worker->decays, "which weights decay", error))
        return -1;
    worker->decays = decays;
    run->backend->upload(worker->device, decays, run->buckets.decays, run->buckets.words * sizeof *worker->decays);
    return 0;
}

/* What is evaluated lies in the host's memory. */
static int open_evaluated(struct worker *worker, struct error *error)
{
    const struct run *run = worker->run;
    if (!run->backend->host_memory)
        return allocate_vector(worker, &worker->eval_weights, run->graph->params.total, "evaluated weights", error) ||
               allocate_vector(worker, &worker->eval_stats, run->graph->stats.total, "evaluated statistics", error) ? -1 : 0;
    worker->eval_weights = run->evaluation.weights;
    worker->eval_stats = run->evaluation.stats;
    return 0;
}

int worker_open_fetched(struct worker *worker, int weights, int forecasts, struct error *error)
{
    const int slots[REPLY_KINDS] = { weights, forecasts };
    const struct run *run = worker->run;
    size_t n = run->graph->params.total;
    for (int kind = 0; kind < REPLY_KINDS; kind++)
        for (int i = 0; i < slots[kind]; i++)
            if (allocate_vector(worker, &worker->fetched[kind][i], n, "weights from other GPUs", error))
                return -1;
    run->backend->copy(worker->device, worker->fetched[REPLY_WEIGHTS][0], run->first_weights, n);
    return 0;
}

static int open_events(struct worker *worker, struct error *error)
{
    const struct run *run = worker->run;
    for (int turn = 0; turn < 2; turn++)
        if (events_open(&worker->pushed[turn], run->backend, worker->device, run->buckets.n, error))
            return -1;
    return run->backend->event_open(&worker->taken, worker->device, error);
}

static void close_events(struct worker *worker)
{
    const struct run *run = worker->run;
    for (int turn = 0; turn < 2; turn++)
        events_close(worker->pushed[turn], run->backend, run->buckets.n);
    run->backend->event_close(worker->taken);
}

static int allocate_table(void **table, size_t n, size_t bytes, struct error *error) { return door_allocate(table, n * bytes, "a worker's tables", error); }

static int allocate_tables(struct worker *worker, struct error *error)
{
    size_t n = (size_t)worker->run->buckets.n;
    void *replies, *chosen, *missing, *unmarked, *versions;
    if (allocate_table(&replies, n * REPLIES_KEPT, sizeof *worker->replies, error))
        return -1;
    worker->replies = replies;
    if (allocate_table(&chosen, n, sizeof *worker->chosen, error))
        return -1;
    worker->chosen = chosen;
    if (allocate_table(&missing, n, sizeof *worker->missing, error))
        return -1;
    worker->missing = missing;
    if (allocate_table(&unmarked, n, sizeof *worker->unmarked, error))
        return -1;
    worker->unmarked = unmarked;
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

int worker_init(struct worker *worker, struct run *run, int number, struct error *error)
{
    memset(worker, 0, sizeof *worker);
    worker->run = run;
    worker->number = number;
    worker->snapshot_at = worker->kept_ticket = worker->unreported = -1;
    worker->loss_scales[0] = loss_scale_start(&run->config).exponent;
    worker->settles = run->backend->enqueues && (run->config.link.bandwidth_gbps > 0 || straggler_is_on(&run->config));
    worker->end = run->algorithm->synchronous ? run->iterations : INT64_MAX;
    worker->next_evaluation = run->algorithm->synchronous ? run->server->evaluate_at : -1;
    if (run->backend->device_open(&worker->device, run->places ? run->places[number] : -1, error) ||
        run->backend->device_second(&worker->feeder, worker->device, 0, error))
        return -1;
    if (allocate_vectors(worker, error) || open_mask(worker, error) || allocate_tables(worker, error) || open_events(worker, error) || open_evaluated(worker, error) ||
        trace_init(&worker->trace, (size_t)run->config.output.trace, error))
        return -1;
    const struct shape input = run->graph->nodes[0].out;
    if (feed_open(&worker->feed, run->backend, worker->device, worker->feeder, (int)run->config.data.batch, input, error) ||
        feed_open(&worker->eval_feed, run->backend, worker->device, worker->feeder, (int)run->config.data.eval_batch, input, error))
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
    for (int kind = 0; kind < REPLY_KINDS; kind++)
        for (int i = 0; i < REPLY_ROWS; i++)
            backend->release(worker->device, worker->fetched[kind][i]);
    if (!backend->host_memory) {
        backend->release(worker->device, worker->eval_weights);
        backend->release(worker->device, worker->eval_stats);
    }
    if (worker->decays)
        backend->release(worker->device, worker->decays);
    feed_close(&worker->feed);
    feed_close(&worker->eval_feed);
    close_events(worker);
    door_free(worker->replies);
    door_free(worker->chosen);
    door_free(worker->missing);
    door_free(worker->unmarked);
    door_free(worker->versions_used);
    trace_release(&worker->trace);
    if (worker->feeder)
        backend->device_close(worker->feeder);
    backend->device_close(worker->device);
    memset(worker, 0, sizeof *worker);
}
