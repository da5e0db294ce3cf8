/* Clipping by global norm and overflows on the server's side (docs/algorithms.md, sections 3 and 9): both are of the whole gradient, so the pushes that make it up are held until
 * the last of them is there, and then go on as if they had come at once. A set of them is what one norm is of: all workers' pushes of one iteration, two
 * of which can be under way, or, asynchronously, one worker's push of all buckets. */
#include "trainer/server_parts.h"

#include "base/door.h"
#include "trainer/message.h"
#include "trainer/worker.h"

static size_t sets(const struct run *run) { return run->algorithm->synchronous ? 2 : (size_t)run->k; }
static size_t set_size(const struct run *run) { return (size_t)run->buckets.n * (size_t)(run->algorithm->synchronous ? run->k : 1); }

int server_clip_init(struct server *server, struct error *error)
{
    const struct run *run = server->run;
    void *held, *counts;
    for (int i = 0; i < WORKERS_MAX; i++) {
        server->clip.verdicts[i] = (struct verdict){ .factor = 1 };
        server->clip.scales[i] = server->clip.before[i] = loss_scale_start(&run->config);
    }
    server->clip.past[0] = server->clip.scales[0];
    if (!verdict_is_wanted(&run->config))
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

static size_t scale_of(const struct server *server, int worker) { return server->run->algorithm->synchronous ? 0 : (size_t)worker; }

const struct loss_scale *server_loss_scale(const struct server *server, int worker) { return &server->clip.scales[scale_of(server, worker)]; }

/* Synchronous: what the last iteration that is counted was computed with, so that a report does not depend on how far the next ones are. */
struct loss_scale server_told_scale(const struct server *server)
{
    const struct run *run = server->run;
    struct loss_scale told = server->clip.scales[0];
    if (run->algorithm->synchronous)
        return server->clip.past[server->tally.iterations ? run->algorithm->requires_version(&run->config, server->tally.iterations - 1) % SCALES_KEPT : 0];
    for (int k = 1; k < run->k; k++) {
        const struct loss_scale *scale = &server->clip.scales[k];
        told.exponent = scale->exponent < told.exponent ? scale->exponent : told.exponent;
        told.skipped += scale->skipped;
    }
    return told;
}

/* The gradient of that iteration is the next one that its scale learns of. */
static int judge(struct server *server, int worker, int64_t iteration, bool finite, struct error *error)
{
    const struct run *run = server->run;
    const size_t i = scale_of(server, worker);
    struct loss_scale *scale = &server->clip.scales[i];
    bool delayed = run->algorithm->requires_version(&run->config, iteration) < iteration;
    if (!loss_scale_is_used(&run->config) || scale->judged > iteration)
        return 0;
    ASSERT(scale->judged == iteration);
    server->clip.before[i] = *scale;
    int result = loss_scale_judge(scale, &run->config, delayed ? scale->before : scale->exponent, finite, error);
    server->clip.past[scale->judged % SCALES_KEPT] = *scale;
    return result;
}

/* The set is whole. */
static int measure(struct server *server, const struct message *last, size_t set, struct error *error)
{
    const struct run *run = server->run;
    int first = run->buckets.n - 1; /* in the vector: with one device, which clipping wants, it is whole from there on */
    const float *gradients[WORKERS_MAX] = { server_gradient_at(server, last->worker, (int)last->slot, first) };
    int k = run->algorithm->synchronous ? server_gradients(server, last->iteration, first, gradients) : 1;
    int64_t began = door_now_ns();
    struct verdict *verdict = &server->clip.verdicts[set];
    *verdict = verdict_of(&run->config, server->shards.backend, server->shards.rows[0].device, gradients, k, run->graph->params.total);
    trace_add(&server->trace, PHASE_UPDATE, last->iteration, -1, began, door_now_ns());
    return judge(server, last->worker, last->iteration, !verdict->skip, error);
}

int server_clip_hold(struct server *server, const struct message *push, const struct message **whole, size_t *n, struct error *error)
{
    struct clip *clip = &server->clip;
    size_t set = set_of(server, push->iteration, push->worker), size = set_size(server->run);
    struct message *held = clip->held + set * size;
    ASSERT(clip->n_held[set] < size);
    *whole = held;
    *n = 0;
    held[clip->n_held[set]++] = *push;
    if (clip->n_held[set] < size)
        return 0;
    clip->n_held[set] = 0;
    *n = size;
    return measure(server, push, set, error);
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

static struct verdict verdict_on(const struct server *server, int worker, int64_t iteration)
{
    const struct run *run = server->run;
    const float *gradient = server_gradient_at(server, worker, (int)(iteration & 1), run->buckets.n - 1);
    return verdict_of(&run->config, server->shards.backend, server->shards.rows[0].device, &gradient, 1, run->graph->params.total);
}

int server_clip_judge(struct server *server, int worker, int64_t iteration, struct error *error)
{
    if (!loss_scale_is_used(&server->run->config) || server->clip.scales[worker].judged > iteration)
        return 0;
    for (int bucket = 0; bucket < server->run->buckets.n; bucket++)
        server_fetch(server, &(struct message){ .worker = (uint16_t)worker, .slot = (uint32_t)(iteration & 1), .bucket = (uint32_t)bucket });
    return judge(server, worker, iteration, !verdict_on(server, worker, iteration).skip, error);
}

void server_clip_resume(struct server *server, int worker, int64_t iteration)
{
    if (!server->clip.held || iteration < 0)
        return;
    server->clip.verdicts[worker] = verdict_on(server, worker, iteration);
    server->clip.verdicts[worker].skip = server->clip.scales[worker].overflowed & 1;
}

const struct verdict *server_verdict(const struct server *server, int64_t iteration, int worker) { return &server->clip.verdicts[set_of(server, iteration, worker)]; }
