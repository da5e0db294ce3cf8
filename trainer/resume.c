/* Going on from a snapshot that fits (resume_check.c): the server, the workers and the loader start there. */
#include "trainer/run.h"

#include "base/door.h"
#include "trainer/server.h"
#include "trainer/server_parts.h"
#include "trainer/worker.h"
#include "trainer/worker_wait.h"

#include <string.h>

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

int run_resume(struct run *run, struct error *error)
{
    const struct snapshot *start = run->snapshot;
    bool in_step = run->algorithm->synchronous || run->config.async.order == ORDER_ROUND_ROBIN;
    server_resume(run->server, start);
    for (int k = 0; k < run->k; k++) {
        worker_resume(&run->workers[k], start);
        if (run->backend->sync(run->workers[k].device, error))
            return -1;
    }
    if (!run->algorithm->synchronous) {
        server_resume_pushes(run->server);
        service_resume(&run->service, start->versions, start->next_ticket, start->record, start->n_record);
        for (int k = 0; k < run->k; k++)
            server_clip_resume(run->server, k, start->workers[k].place[PLACE_ITERATION] - 1);
    }
    return in_step ? run_open_loader(run, start->workers[0].place[PLACE_ITERATION] * run->k, error) : open_loader_apart(run, error);
}
