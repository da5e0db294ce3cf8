/* The order in which the server serves asynchronous pushes, and which batch each worker takes: freely, in turn, or as a record says.
 *
 * A free run can be recorded: per service the bucket, the worker and its ticket, in order. Replaying it gives every worker the same batches and
 * every bucket the same order of updates, so the run repeats bit for bit. */
#ifndef TRAINER_SERVICE_H
#define TRAINER_SERVICE_H

#include "trainer/config.h"

#include "base/error.h"

#include <stdatomic.h>

struct service_record { uint32_t bucket, worker; int64_t ticket; };

struct service {
    int order; /* enum async_order */
    int k, buckets;
    _Atomic int64_t next_ticket;     /* free order */
    int64_t *served;                 /* [bucket]: pushes served so far; the server's */
    struct service_record *record;   /* what was served, or what is to be followed; NULL: neither */
    int64_t n_record, room;
    int64_t *queue;                  /* replay: [bucket][i]: the i-th worker to serve */
    int64_t *tickets;                /* replay: [worker][i]: the ticket of its i-th iteration */
    int64_t pushes;                  /* replay: pushes per bucket in the record */
};

/* room: services that this run can make. Reads the file of async.replay. EXIT_INPUT when it does not fit this run. */
int service_open(struct service *service, const struct config *config, int k, int buckets, int64_t room, struct error *error);
void service_close(struct service *service);

/* Worker: the ticket of its i-th iteration; -1 when a replayed record has no more for it. */
int64_t service_ticket(struct service *service, int worker, int64_t i);

/* The ticket that is drawn next in a free order, of those below `end`; 0 in others. */
int64_t service_next_ticket(const struct service *service, int64_t end);

/* Goes on after `served` pushes of each bucket, with the record of them when one is kept. */
void service_resume(struct service *service, const int64_t *served, int64_t next_ticket, const void *record, int64_t n_record);

/* Replay: raises boundaries (by worker, the first iteration that does not count) until all workers can reach theirs by the record when each stops there; none is raised above
 * the worker's pushes. */
void service_cut(const struct service *service, int64_t *cut);

/* Of the first `pushes` of that bucket, how many are each worker's. False in a free order, which does not say; pushes beyond the record are nobody's. */
bool service_count(const struct service *service, int bucket, int64_t pushes, int64_t *of_worker);

/* Whether a recorded service, as a pair of numbers, can be one of a run of so many tickets. */
bool service_fits(const struct service *service, const int64_t *pair, int64_t tickets);

/* Server: whose push of that bucket comes next; -1: anyone's. */
int service_next(const struct service *service, int bucket);

/* Server: that push is being served. */
void service_served(struct service *service, int bucket, int worker, int64_t ticket);

/* Writes the record (async.record) after the run. EXIT_OUTPUT. */
int service_write(const struct service *service, const char *path, struct error *error);

#endif
