/* The server's memory: allocated before its thread starts, freed after it ended. */
#include "trainer/server_parts.h"

#include "base/door.h"
#include "trainer/verdict.h"

#include <string.h>

static int allocate_vectors(struct server *server, struct error *error)
{
    const struct run *run = server->run;
    const struct shards *shards = &server->shards;
    const struct declaration *declared = &server->declared;
    ASSERT(declared->versions <= VERSIONS_MAX && declared->forecasts <= FORECASTS_MAX && run->k <= WORKERS_MAX);
    for (int i = 0; i < (declared->versions ? declared->versions : 1); i++)
        if (vector_open(&server->w[i], shards, "global weights", error))
            return -1;
    for (int i = 0; i < declared->forecasts; i++)
        if (vector_open(&server->p[i], shards, "predicted weights", error))
            return -1;
    for (int state = 0; state < SERVER_STATES; state++)
        if (declared->server_states & 1u << state && vector_open(&server->states[state], shards, server_state_names[state], error))
            return -1;
    for (int k = 0; k < run->k && !declared->versions; k++) {
        if (vector_open(&server->replies[k], shards, "reply slots", error))
            return -1;
        shards_load(shards, &server->replies[k], run->first_weights);
    }
    shards_load(shards, &server->w[0], run->first_weights);
    if (vector_is_there(&server->states[SERVER_AVERAGE]))
        shards_load(shards, &server->states[SERVER_AVERAGE], run->first_weights);
    return 0;
}

static int allocate_stats(struct server *server, struct error *error)
{
    const struct run *run = server->run;
    void *rows;
    if (door_allocate(&rows, (size_t)run->k * sizeof *server->stats, "the server's tables", error))
        return -1;
    server->stats = rows;
    for (int k = 0; k < run->k; k++) {
        void *stats;
        if (run->backend->allocate_host(&stats, run->n_stats * sizeof(float), "running statistics", error))
            return -1;
        server->stats[k] = stats;
        for (size_t at = 0; at < run->n_stats; at += run->graph->stats.total)
            memcpy(server->stats[k] + at, run->first_stats, run->graph->stats.total * sizeof(float));
    }
    return 0;
}

static int allocate_tables(struct server *server, struct error *error)
{
    const struct run *run = server->run;
    size_t buckets = (size_t)run->buckets.n;
    void *versions, *arrived, *sending, *pending, *sent;
    if (door_allocate(&versions, buckets * sizeof *server->versions, "the server's tables", error))
        return -1;
    server->versions = versions;
    if (door_allocate(&arrived, 2 * buckets * sizeof *server->arrived, "the server's tables", error))
        return -1;
    server->arrived = arrived;
    if (door_allocate(&sending, 2 * buckets * sizeof *server->sending, "the server's tables", error))
        return -1;
    server->sending = sending;
    if (door_allocate(&pending, buckets * (size_t)run->k * sizeof *server->pending, "the server's tables", error))
        return -1;
    server->pending = pending;
    if (door_allocate(&sent, buckets * (size_t)run->k * sizeof *server->sent, "the server's tables", error))
        return -1;
    server->sent = sent;
    return 0;
}

int server_init(struct server *server, struct run *run, struct error *error)
{
    memset(server, 0, sizeof *server);
    server->run = run;
    server->optimizer = &optimizer_sgd;
    server->declared = algorithm_declare(&run->config);
    server->end = run->iterations;
    server->active = run->k == 64 ? ~(uint64_t)0 : ((uint64_t)1 << run->k) - 1;
    server->evaluate_at = server_next_evaluation(server, 0);
    server->snapshot_missing = run->buckets.n;
    server->patience_ns = run->config.workers.stuck_after_s * 1000000000;
    /* a verdict reads whole gradients, and an all-reduce wants the same order of buckets everywhere */
    bool apart = !verdict_is_wanted(&run->config) && run->config.workers.reduce == REDUCE_SERVER;
    const struct shards_request request = {
        .backend = run->server_backend, .pinned = run->server_backend == run->backend ? NULL : run->backend, .buckets = &run->buckets,
        .places = run->server_places, .n = run->n_server_places, .n_orders = apart ? ORDERS_MAX : 1,
    };
    if (shards_open(&server->shards, &request, error))
        return -1;
    /* two iterations' worth of messages per worker and way, and W and P of one version */
    size_t under_way = (size_t)run->buckets.n * (size_t)run->k * 4;
    if (allocate_vectors(server, error) || allocate_stats(server, error) || allocate_tables(server, error) || server_clip_init(server, error))
        return -1;
    return link_init(&server->link, &run->config, under_way, error) || tally_init(&server->tally, run->k, run->algorithm->synchronous, error) ||
           trace_init(&server->trace, (size_t)run->config.output.trace, error) ? -1 : 0;
}

void server_release(struct server *server)
{
    if (!server->run)
        return;
    const struct run *run = server->run;
    const struct shards *shards = &server->shards;
    server_replicas_close(server);
    server_post_close(server);
    for (int i = 0; i < VERSIONS_MAX; i++)
        vector_close(&server->w[i], shards);
    for (int i = 0; i < FORECASTS_MAX; i++)
        vector_close(&server->p[i], shards);
    for (int state = 0; state < SERVER_STATES; state++)
        vector_close(&server->states[state], shards);
    for (int k = 0; k < run->k; k++) {
        vector_close(&server->replies[k], shards);
        if (server->stats)
            run->backend->release_host(server->stats[k]);
    }
    door_free(server->stats);
    door_free(server->versions);
    door_free(server->arrived);
    door_free(server->sending);
    door_free(server->pending);
    door_free(server->sent);
    server_clip_release(server);
    link_release(&server->link);
    tally_release(&server->tally);
    trace_release(&server->trace);
    shards_close(&server->shards);
    memset(server, 0, sizeof *server);
}
