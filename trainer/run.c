/* See run.h. */
#include "trainer/run.h"

#include "base/door.h"
#include "base/thread.h"
#include "trainer/loss_scale.h"
#include "trainer/server_parts.h"
#include "trainer/worker.h"

#include <stdio.h>
#include <string.h>

static int first_vectors(struct run *run, const struct run_request *request, struct error *error)
{
    const struct graph *graph = run->graph;
    void *weights, *stats;
    if (door_allocate(&weights, graph->params.total * sizeof(float), "the first weights", error))
        return -1;
    run->first_weights = weights;
    if (door_allocate(&stats, graph->stats.total * sizeof(float), "the first running statistics", error))
        return -1;
    run->first_stats = stats;
    if (request->first_weights)
        memcpy(weights, request->first_weights, graph->params.total * sizeof(float));
    else
        graph_init_weights(graph, (uint64_t)run->config.train.seed, weights);
    if (request->first_stats)
        memcpy(stats, request->first_stats, graph->stats.total * sizeof(float));
    else
        graph_init_stats(graph, stats);
    return 0;
}

/* Of training images; build_graph has seen that the means fit the channels. */
static struct augment_plan augment_plan_of(const struct config *config, int channels)
{
    const struct real_list *mean = &config->data.mean;
    struct augment_plan plan = { .crop_pad = (int)config->data.crop_pad, .flip = config->data.flip, .cutout = (int)config->data.cutout };
    for (int c = 0; c < channels && c < AUGMENT_CHANNELS; c++)
        plan.fill[c] = augment_fill(mean->values[mean->n == 1 ? 0 : c]);
    return plan;
}

static bool graph_augments(const struct graph *graph)
{
    const struct input_augment *augment = &graph->nodes[0].args.input.augment;
    return augment->crop_pad || augment->flip || augment->cutout;
}

/* The training loader's plan, without its length. */
static struct loader_plan loader_plan_of(const struct run *run)
{
    const struct config *config = &run->config;
    struct augment_plan augment = { 0 };
    if (!graph_augments(run->graph))
        augment = augment_plan_of(config, run->train->channels);
    return (struct loader_plan){
        .dataset = run->train, .batch = (int)config->data.batch, .workers = run->k, .drop_last = true, .shuffle = config->data.shuffle,
        .same_for_all = config->data.same_for_all, .augment = augment, .seed = (uint64_t)config->train.seed,
        .threads = (int)config->data.loader_threads, .depth = (int)(config->data.prefetch ? config->data.prefetch : 4 * run->k),
        .allocate = run->backend->allocate_host, .release = run->backend->release_host,
    };
}

static int open_length(struct run *run, struct error *error)
{
    struct loader_plan plan = loader_plan_of(run);
    int64_t batches = loader_batches_per_epoch(&plan);
    const struct config *config = &run->config;
    const struct augment_plan augment = augment_plan_of(config, run->train->channels);
    if (augment_check(&augment, run->train, error))
        return error->code == EXIT_USAGE ? error_place(error, "[data]") : -1;
    if (!batches)
        return fail(error, EXIT_USAGE, "[data] batch: want a global batch (%d workers times %lld) of at most the dataset's %lld samples, got %lld", run->k,
                    (long long)config->data.batch, (long long)run->train->n, (long long)config->data.batch * run->k);
    run->iterations_per_epoch = batches / run->k;
    run->iterations = config->train.iterations ? config->train.iterations : config->train.epochs * run->iterations_per_epoch;
    run->schedule = (struct schedule){ &run->config, run->iterations, run->iterations_per_epoch };
    run->n_stats = run->graph->stats.total * (config->train.ema_decay > 0 ? 2 : 1);
    return 0;
}

static int open_transport(struct run *run, struct error *error)
{
    int server = run_server_end(run), main_end = run_main_end(run);
    size_t messages = 4 * (size_t)run->buckets.n + 64;
    if (transport_open_local(&run->transport, run->k + 2, error))
        return -1;
    for (int k = 0; k < run->k; k++)
        if (transport_connect_local(&run->transport, k, server, messages, error) || transport_connect_local(&run->transport, server, k, messages, error))
            return -1;
    return transport_connect_local(&run->transport, server, main_end, 1024, error);
}

int run_open_loader(struct run *run, int64_t first, struct error *error)
{
    struct loader_plan plan = loader_plan_of(run);
    plan.first = first;
    plan.end = run->iterations * run->k;
    if (plan.depth < 2 * run->k)
        plan.depth = 2 * run->k; /* a worker may be one iteration ahead of the slowest */
    run->loader_depth = plan.depth;
    if (loader_open(&run->loader, &plan, error))
        return error->code == EXIT_USAGE ? error_place(error, "[data]") : -1;
    return 0;
}

/* None where nothing is to be written and nothing is read. */
static int open_snapshot(struct run *run, bool resume, struct error *error)
{
    interval_parse(run->config.checkpoint.every, &run->interval); /* the config's check has seen it */
    if (!resume && run->interval.every <= 0)
        return 0;
    void *block;
    struct declaration declared = algorithm_declare(&run->config);
    const struct snapshot_shape shape = {
        .backend = run->backend, .graph = run->graph, .declared = &declared, .n_stats = run->n_stats, .synchronous = run->algorithm->synchronous, .scaled = loss_scale_is_used(&run->config), .k = run->k, .buckets = run->buckets.n,
        .services = run->service.room,
    };
    if (door_allocate(&block, sizeof *run->snapshot, "the snapshot", error))
        return -1;
    run->snapshot = block;
    return snapshot_init(run->snapshot, &shape, error);
}

static int open_members(struct run *run, struct error *error)
{
    void *server, *workers;
    if (door_allocate(&server, sizeof(struct server), "the server", error))
        return -1;
    run->server = server;
    if (server_init(server, run, error))
        return -1;
    if (door_allocate(&workers, (size_t)run->k * sizeof(struct worker), "the workers", error))
        return -1;
    run->workers = workers;
    for (int k = 0; k < run->k; k++)
        if (worker_init(&run->workers[k], run, k, error))
            return -1;
    return server_post_open(run->server, error) || server_replicas_open(run->server, error) ? -1 : 0;
}

static int open_parts(struct run *run, const struct run_request *request, struct error *error)
{
    const struct config *config = &run->config;
    if (first_vectors(run, request, error) || open_length(run, error))
        return -1;
    if (buckets_init(&run->buckets, &run->graph->params, (size_t)config->train.bucket_kib * 1024, config->optimizer.decay_all, error))
        return -1;
    if (service_open(&run->service, config, run->k, run->buckets.n, run->iterations * run->k * run->buckets.n, error))
        return -1;
    return open_transport(run, error) || evaluation_open(&run->evaluation, run, error) || open_snapshot(run, request->resume, error) || open_members(run, error) ||
           (!request->resume && run_open_loader(run, 0, error)) ? -1 : 0;
}

int run_open(struct run **result, const struct run_request *request, struct error *error)
{
    void *block;
    *result = NULL;
    if (door_allocate(&block, sizeof(struct run), "the run", error))
        return -1;
    struct run *run = block;
    run->config = *request->config;
    run->algorithm = algorithm_of(request->config->train.algorithm);
    run->backend = request->backend;
    run->server_backend = request->server_backend ? request->server_backend : request->backend;
    run->graph = request->graph;
    run->train = request->train;
    run->test = request->test;
    run->k = request->k;
    run->processors = request->processors;
    run->crowded = request->crowded;
    run->places = request->places;
    run->n_server_places = request->n_server_places;
    memcpy(run->server_places, request->server_places, sizeof run->server_places);
    if (!run->n_server_places) {
        run->n_server_places = 1;
        run->server_places[0] = -1;
    }
    pthread_mutex_init(&run->halt.lock, NULL);
    if (open_parts(run, request, error)) {
        run_close(run);
        return -1;
    }
    *result = run;
    return 0;
}

void run_close(struct run *run)
{
    if (!run)
        return;
    if (run->server) /* it has orders on the workers' devices */
        server_release(run->server);
    for (int k = 0; run->workers && k < run->k; k++)
        worker_release(&run->workers[k]);
    loader_close(run->loader); /* after a failure batches may have been on their way to devices */
    door_free(run->workers);
    door_free(run->server);
    evaluation_close(&run->evaluation);
    if (run->snapshot)
        snapshot_release(run->snapshot);
    door_free(run->snapshot);
    service_close(&run->service);
    transport_close(&run->transport);
    buckets_release(&run->buckets);
    door_free(run->first_weights);
    door_free(run->first_stats);
    pthread_mutex_destroy(&run->halt.lock);
    door_free(run);
}

/* What the vectors begin with is there. */
static int settle(const struct run *run, struct error *error)
{
    for (int k = 0; k < run->k; k++)
        if (run->backend->sync(run->workers[k].device, error))
            return -1;
    return server_sync(run->server, error) || server_replicas_start(run->server, error) ? -1 : 0;
}

/* The server last: once it runs, so does everything, and main will read its reports. */
int run_start(struct run *run, struct error *error)
{
    if (settle(run, error))
        return -1;
    for (run->started = 0; run->started <= run->k; run->started++) {
        bool server = run->started == run->k;
        struct worker *worker = &run->workers[run->started];
        char name[24];
        snprintf(name, sizeof name, "worker %d", run->started);
        if (server ? thread_start(&run->server->thread, "server", server_main, run->server, error) : thread_start(&worker->thread, name, worker_main, worker, error)) {
            halt_raise(run, error);
            run_join(run, error);
            return -1;
        }
    }
    return 0;
}

void run_ask_stop(struct run *run)
{
    atomic_store_explicit(&run->halt.stop_asked, true, memory_order_release); /* pairs with the acquire in the server's loop */
    run->transport.calls->wake(&run->transport, run_server_end(run));
}

int run_join(struct run *run, struct error *error)
{
    for (int k = 0; k < run->started && k < run->k; k++)
        thread_join(run->workers[k].thread);
    if (run->started > run->k)
        thread_join(run->server->thread);
    run->started = 0;
    if (!halted(&run->halt))
        return 0;
    return error->code ? -1 : (*error = run->halt.first, -1);
}

struct run_memory run_memory(const struct run *run)
{
    const struct server *server = run->server;
    size_t vector = run->graph->params.total * sizeof(float), vectors = 2; /* W_0 and the evaluated weights */
    struct run_memory memory = { .loaders = loader_bytes(run->loader) + loader_bytes(run->evaluation.loader) };
    for (int i = 0; i < VERSIONS_MAX; i++)
        vectors += vector_is_there(&server->w[i]);
    for (int i = 0; i < FORECASTS_MAX; i++)
        vectors += vector_is_there(&server->p[i]);
    for (int state = 0; state < SERVER_STATES; state++)
        vectors += vector_is_there(&server->states[state]);
    for (int k = 0; k < run->k; k++) {
        const struct worker *worker = &run->workers[k];
        vectors += 3 + (size_t)vector_is_there(&server->replies[k]) + 2 * (size_t)vector_is_there(&server->incoming[k][0]) + !run->backend->host_memory;
        for (int i = 0; i < REPLY_KINDS * REPLY_ROWS; i++)
            vectors += worker->fetched[i / REPLY_ROWS][i % REPLY_ROWS] != NULL;
        for (int state = 0; state < WORKER_STATES; state++)
            vectors += worker->states[state] != NULL;
        memory.plans += plan_bytes(worker->plan) + plan_bytes(worker->eval_plan);
    }
    memory.vectors = vectors * vector + (run->snapshot ? run->snapshot->bytes : 0);
    return memory;
}

int run_final_weights(const struct run *run, float *weights, struct error *error)
{
    const struct server *server = run->server;
    shards_save(&server->shards, weights, &server->w[server->declared.versions ? server->versions[0] % server->declared.versions : 0]);
    return shards_sync(&server->shards, error);
}

bool run_has_average(const struct run *run) { return vector_is_there(&run->server->states[SERVER_AVERAGE]); }

int run_final_average(const struct run *run, float *average, struct error *error)
{
    shards_save(&run->server->shards, average, &run->server->states[SERVER_AVERAGE]);
    return shards_sync(&run->server->shards, error);
}

void run_merge_stats(const struct run *run, float *const *rows, size_t from, float *merged)
{
    const float *sets[WORKERS_MAX];
    for (int k = 0; k < run->k; k++)
        sets[k] = rows[k] + from;
    merge_stats(run->graph, sets, run->k, run->config.train.bn_stats == BN_STATS_WORKER0, merged);
}

int run_final_stats(const struct run *run, float *stats, struct error *error)
{
    float *rows[WORKERS_MAX]; /* each worker's last copy for the server, which nobody reads any more */
    for (int k = 0; k < run->k; k++) {
        rows[k] = run->server->stats[k];
        run->backend->copy(run->workers[k].device, rows[k], run->workers[k].stats, run->n_stats);
        if (run->backend->sync(run->workers[k].device, error))
            return -1;
    }
    for (size_t from = 0; from < run->n_stats; from += run->graph->stats.total)
        run_merge_stats(run, rows, from, stats + from);
    return 0;
}

void run_start_stats(const struct run *run, struct device *device, float *stats)
{
    for (size_t at = 0; at < run->n_stats; at += run->graph->stats.total)
        run->backend->copy(device, stats + at, run->first_stats, run->graph->stats.total);
}
