/* When a snapshot is due, and where each worker's boundary is. See snapshot.h. */
#include "trainer/server_parts.h"

#include "base/door.h"
#include "trainer/interval.h"

static bool in_step(const struct server *server) { return server->run->algorithm->synchronous || server->run->config.async.order == ORDER_ROUND_ROBIN; }

void server_cut(const struct server *server, int64_t *cut)
{
    const struct run *run = server->run;
    int64_t newest = 0;
    for (int k = 0; k < run->k; k++)
        newest = server->answered[k] > newest ? server->answered[k] : newest;
    int64_t common = newest;
    while (run->algorithm->requires_version(&run->config, common) <= newest)
        common++;
    for (int k = 0; k < run->k; k++)
        cut[k] = in_step(server) ? common : server->answered[k] + 1;
    if (run->config.async.order == ORDER_REPLAY)
        service_cut(&run->service, cut);
}

static int64_t due_iteration(const struct server *server, int64_t after)
{
    const struct run *run = server->run;
    const struct interval *interval = &run->interval;
    return interval_next(interval->unit == EVERY_EPOCHS ? interval->every * (double)run->iterations_per_epoch : interval->every, after);
}

/* Announced as early as may be, so that every boundary can be met exactly; but behind the tally, which runs ahead of the answers: a step is counted before its pushes. */
static bool due_in_step(const struct server *server, int64_t *cut)
{
    const struct run *run = server->run;
    const struct taking *taking = &server->taking;
    int64_t counted = server->tally.iterations, at = cut[0] > counted ? cut[0] : counted + 1;
    if (run->interval.unit != EVERY_MINUTES)
        at = due_iteration(server, taking->last > at - 1 ? taking->last : at - 1);
    else if (door_now_ns() < taking->due_ns)
        return false;
    for (int k = 0; k < run->k; k++)
        cut[k] = at;
    return at < server->end;
}

bool server_snapshot_due(const struct server *server, int64_t *cut)
{
    const struct run *run = server->run;
    server_cut(server, cut);
    if (in_step(server))
        return due_in_step(server, cut);
    return run->interval.unit == EVERY_MINUTES ? door_now_ns() >= server->taking.due_ns : server->tally.iterations >= due_iteration(server, server->taking.last);
}
