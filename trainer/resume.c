/* Going on from a snapshot: what it says is checked against the run, then the server, the workers and the loader start there. */
#include "trainer/run.h"

#include "base/door.h"
#include "trainer/server.h"
#include "trainer/server_parts.h"
#include "trainer/worker.h"
#include "trainer/worker_wait.h"

#include <string.h>

static int wrong(const char *name, struct error *error, const char *rule, long long found)
{
    return fail(error, EXIT_INPUT, "%s: want a state that this run can be in: %s, found %lld", name, rule, found);
}

static int check_place(const struct run *run, const char *name, int k, struct error *error)
{
    const struct snapshot *start = run->snapshot;
    const struct snapshot_worker *part = &start->workers[k];
    int64_t i = part->place[PLACE_ITERATION], tickets = run->iterations * run->k;
    if (i < 0 || i > tickets || (run->algorithm->synchronous && i != start->iteration))
        return wrong(name, error, "workers at an iteration of it", (long long)i);
    for (int bucket = 0; part->flying && bucket < run->buckets.n; bucket++)
        if (part->flying[bucket] < -1 || part->flying[bucket] > start->versions[bucket] || (i == 0 && part->flying[bucket] >= 0))
            return wrong(name, error, "gradients in flight of known versions", (long long)part->flying[bucket]);
    int64_t drawn = run->config.async.order == ORDER_FREE ? start->next_ticket : tickets;
    if (part->place[PLACE_TICKET] < -1 || (part->flying && part->place[PLACE_TICKET] >= drawn))
        return wrong(name, error, "a ticket that has been drawn", (long long)part->place[PLACE_TICKET]);
    return 0;
}

/* Every push that counts is served or in flight. */
static int check_pushes(const struct run *run, const char *name, struct error *error)
{
    const struct snapshot *start = run->snapshot;
    for (int bucket = 0; bucket < run->buckets.n; bucket++) {
        int64_t served = 0;
        for (int k = 0; k < run->k; k++)
            served += start->workers[k].place[PLACE_ITERATION] - (start->workers[k].flying[bucket] >= 0);
        if (served != start->versions[bucket])
            return wrong(name, error, "as many versions of a bucket as pushes served", (long long)start->versions[bucket]);
    }
    return start->came < 0 || start->came >= run->k ? wrong(name, error, "fewer steps than workers since the last iteration", (long long)start->came) : 0;
}

static int check(const struct run *run, const char *name, struct error *error)
{
    const struct snapshot *start = run->snapshot;
    if (start->iteration < 0 || start->iteration > run->iterations)
        return fail(error, EXIT_USAGE, "%s: is at iteration %lld, want one of this run's %lld; train.epochs and train.iterations make it longer", name, (long long)start->iteration,
                    (long long)run->iterations);
    for (int k = 0; k < run->k; k++)
        if (check_place(run, name, k, error))
            return -1;
    return run->algorithm->synchronous ? 0 : check_pushes(run, name, error);
}

/* Marks the batches that are still to be taken, of the run's n. */
static void mark_left(struct run *run, bool *left, int64_t n)
{
    const struct snapshot *start = run->snapshot;
    for (int64_t ticket = start->next_ticket; run->config.async.order == ORDER_FREE && ticket < n; ticket++)
        left[ticket] = true;
    for (int k = 0; k < run->k; k++) {
        const int64_t *place = start->workers[k].place;
        int64_t kept = place[PLACE_TICKET], ticket;
        if (kept >= 0 && kept < n)
            left[kept] = true;
        for (int64_t i = place[PLACE_ITERATION]; run->config.async.order == ORDER_REPLAY && (ticket = service_ticket(&run->service, k, i)) >= 0 && ticket < n; i++)
            left[ticket] = true;
    }
}

/* Workers run ahead of each other: batches behind the first one that is left may have been used. Those are taken and given back, so that their slots turn. */
static int open_loader_apart(struct run *run, struct error *error)
{
    int64_t n = run->iterations * run->k, first = 0;
    void *block;
    if (door_allocate(&block, (size_t)n + 1, "the batches that are left", error))
        return -1;
    bool *left = block;
    mark_left(run, left, n);
    while (first < n && !left[first])
        first++;
    int result = run_open_loader(run, first, error);
    for (int64_t i = first; result == 0 && i < n && i < first + run->loader_depth; i++) {
        const struct batch *batch;
        if (left[i])
            continue;
        result = loader_take(run->loader, i, &batch, NULL, error);
        if (result == 0)
            loader_give_back(run->loader, batch);
    }
    door_free(block);
    return result;
}

int run_resume(struct run *run, const char *name, struct error *error)
{
    const struct snapshot *start = run->snapshot;
    bool in_step = run->algorithm->synchronous || run->config.async.order == ORDER_ROUND_ROBIN;
    if (check(run, name, error))
        return -1;
    server_resume(run->server, start);
    for (int k = 0; k < run->k; k++)
        worker_resume(&run->workers[k], start);
    if (!run->algorithm->synchronous) {
        service_resume(&run->service, start->versions, start->next_ticket, start->record, start->n_record);
        for (int k = 0; k < run->k; k++)
            server_clip_resume(run->server, k, (uint32_t)((start->workers[k].place[PLACE_ITERATION] + 1) & 1));
    }
    return in_step ? run_open_loader(run, start->workers[0].place[PLACE_ITERATION] * run->k, error) : open_loader_apart(run, error);
}
