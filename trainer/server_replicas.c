/* `reduce = nccl`: every worker's GPU holds W and V, an all-reduce sums a bucket's gradients in place on all of them, and each updates its own copy. That is the synchronous SGD
 * that everybody knows, beside the server's. The server's own vectors, on the first worker's GPU, are one of the copies. The order of addition is the library's. */
#include "trainer/server_parts.h"

#include "base/door.h"
#include "trainer/worker.h"

static const struct collective_calls *calls_of(const struct server *server) { return server->run->backend->collective; }

int server_replicas_open(struct server *server, struct error *error)
{
    struct run *run = server->run;
    struct replicas *replicas = &server->replicas;
    size_t n = run->graph->params.total;
    if (run->config.workers.reduce != REDUCE_NCCL)
        return 0;
    if (!calls_of(server))
        return fail(error, EXIT_USAGE, "[workers] reduce: this build has no NCCL");
    replicas->n = 1;
    replicas->orders[0] = server->shards.rows[0].device;
    for (; replicas->n < run->k; replicas->n++) {
        struct device *worker = run->workers[replicas->n].device;
        void *w, *v;
        if (run->backend->device_second(&replicas->orders[replicas->n], worker, 7, error) || run->backend->allocate(worker, &w, n * sizeof(float), "global weights", error))
            return -1;
        replicas->w[replicas->n] = w;
        if (run->backend->allocate(worker, &v, n * sizeof(float), server_state_names[SERVER_MOMENTUM], error))
            return -1;
        replicas->v[replicas->n] = v;
    }
    return calls_of(server)->open(&replicas->collective, replicas->orders, replicas->n, error);
}

void server_replicas_close(struct server *server)
{
    const struct backend *backend = server->run->backend;
    struct replicas *replicas = &server->replicas;
    if (backend->collective)
        backend->collective->close(replicas->collective);
    for (int k = 1; k < WORKERS_MAX && replicas->orders[k]; k++) {
        backend->release(server->run->workers[k].device, replicas->w[k]);
        backend->release(server->run->workers[k].device, replicas->v[k]);
        backend->device_close(replicas->orders[k]);
    }
    *replicas = (struct replicas){ 0 };
}

int server_replicas_start(struct server *server, struct error *error)
{
    const struct run *run = server->run;
    struct replicas *replicas = &server->replicas;
    size_t n = run->graph->params.total;
    for (int k = 1; k < replicas->n; k++) {
        run->backend->copy(replicas->orders[k], replicas->w[k], server->w[0].pieces[0], n);
        run->backend->copy(replicas->orders[k], replicas->v[k], server->states[SERVER_MOMENTUM].pieces[0], n);
        if (run->backend->sync(replicas->orders[k], error))
            return -1;
    }
    return 0;
}

void server_replicas_abort(struct server *server)
{
    if (server->replicas.collective)
        calls_of(server)->abort(server->replicas.collective);
}

int server_replicas_update(struct server *server, const struct update *first, int64_t iteration, struct error *error)
{
    const struct run *run = server->run;
    const struct replicas *replicas = &server->replicas;
    const struct bucket *row = &run->buckets.rows[first->bucket];
    float *sums[WORKERS_MAX];
    for (int k = 0; k < replicas->n; k++)
        sums[k] = run->workers[k].gradients[iteration & 1] + row->begin;
    if (calls_of(server)->sum(replicas->collective, sums, row->end - row->begin, error))
        return -1;
    for (int k = 0; k < replicas->n; k++) {
        struct update update = *first;
        const float *sum = sums[k];
        update.gradients = &sum;
        update.k = 1;
        update.device = replicas->orders[k];
        if (k > 0) {
            update.w = update.w_out = replicas->w[k] + row->begin;
            update.v = replicas->v[k] + row->begin;
            update.average = NULL;
            update.decays = run->workers[k].decays + row->begin / 32;
        }
        server->optimizer->update(&update);
    }
    return 0;
}
