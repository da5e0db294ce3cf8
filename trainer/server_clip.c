/* Clipping by global norm on the server's side (docs/algorithms.md, section 3): the norm is of the whole gradient, so the pushes that make it up are held until
 * the last of them is there, and then go on as if they had come at once. A set of them is what one norm is of: all workers' pushes of one iteration, two
 * of which can be under way, or, asynchronously, one worker's push of all buckets. */
#include "trainer/server_parts.h"

#include "base/door.h"
#include "trainer/message.h"
#include "trainer/worker.h"

#include <math.h>

float clip_factor(const struct run *run, const struct backend *backend, struct device *device, const float *const *gradients, int k)
{
    double norm = sqrt(backend->square_sum(device, gradients, k, 1.0f / (float)k, run->graph->params.total));
    double factor = run->config.optimizer.clip_norm / (norm + 1e-6);
    return factor > 1 ? 1 : (float)factor;
}

static size_t sets(const struct run *run) { return run->algorithm->synchronous ? 2 : (size_t)run->k; }
static size_t set_size(const struct run *run) { return (size_t)run->buckets.n * (size_t)(run->algorithm->synchronous ? run->k : 1); }

int server_clip_init(struct server *server, struct error *error)
{
    const struct run *run = server->run;
    void *held, *counts;
    for (int set = 0; set < WORKERS_MAX; set++)
        server->clip.factors[set] = 1;
    if (run->config.optimizer.clip_norm <= 0)
        return 0;
    if (door_allocate(&held, sets(run) * set_size(run) * sizeof *server->clip.held, "the gathered pushes", error))
        return -1;
    server->clip.held = held;
    if (door_allocate(&counts, sets(run) * sizeof *server->clip.n_held, "the gathered pushes", error))
        return -1;
    server->clip.n_held = counts;
    return 0;
}

void server_clip_release(struct server *server)
{
    door_free(server->clip.held);
    door_free(server->clip.n_held);
}

static size_t set_of(const struct server *server, int64_t iteration, int worker) { return server->run->algorithm->synchronous ? (size_t)(iteration & 1) : (size_t)worker; }

/* The set is whole. */
static void measure(struct server *server, const struct message *last, size_t set)
{
    const struct run *run = server->run;
    int first = run->buckets.n - 1; /* in the vector: with one device, which clipping wants, it is whole from there on */
    const float *gradients[WORKERS_MAX] = { server_gradient_at(server, last->worker, (int)last->slot, first) };
    int k = run->algorithm->synchronous ? server_gradients(server, last->iteration, first, gradients) : 1;
    int64_t began = door_now_ns();
    server->clip.factors[set] = clip_factor(run, server->shards.backend, server->shards.rows[0].device, gradients, k);
    trace_add(&server->trace, PHASE_UPDATE, last->iteration, -1, began, door_now_ns());
}

const struct message *server_clip_hold(struct server *server, const struct message *push, size_t *n)
{
    struct clip *clip = &server->clip;
    size_t set = set_of(server, push->iteration, push->worker), size = set_size(server->run);
    struct message *held = clip->held + set * size;
    ASSERT(clip->n_held[set] < size);
    held[clip->n_held[set]++] = *push;
    if (clip->n_held[set] < size)
        return NULL;
    clip->n_held[set] = 0;
    *n = size;
    measure(server, push, set);
    return held;
}

bool server_clip_holds(const struct server *server, int64_t iteration, int bucket, int worker)
{
    size_t set = set_of(server, iteration, worker);
    for (size_t i = 0; server->clip.held && i < server->clip.n_held[set]; i++) {
        const struct message *push = &server->clip.held[set * set_size(server->run) + i];
        if (push->iteration == iteration && (int)push->bucket == bucket && push->worker == worker)
            return true;
    }
    return false;
}

void server_clip_resume(struct server *server, int worker, uint32_t slot)
{
    const float *gradient = server_gradient_at(server, worker, (int)slot, server->run->buckets.n - 1);
    if (server->clip.held)
        server->clip.factors[worker] = clip_factor(server->run, server->shards.backend, server->shards.rows[0].device, &gradient, 1);
}

float server_clip_factor(const struct server *server, int64_t iteration, int worker) { return server->clip.factors[set_of(server, iteration, worker)]; }
