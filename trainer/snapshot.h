/* Everything that a run is made of at one moment, copied while training goes on: what a checkpoint holds, and what a run resumes from.
 *
 * A cut gives each worker k a boundary: an iteration i_k that it has not started. What comes before belongs to the snapshot, what comes after does not.
 * Synchronous algorithms have one boundary s for all: the server copies each bucket when it reaches W_s, a worker its running statistics when it starts iteration s, and L_s
 * with the state of its local update when it has computed on them; nobody waits. Asynchronous ones update in place, so the server holds back pushes of
 * iterations from i_k on until every worker has reached its boundary, and copies all at that moment; what it has not served of iteration i_k - 1 by then is kept as
 * a gradient in flight.
 *
 * One snapshot is under way at a time: the server announces it, workers and server fill it, the server hands it to main, main writes it and frees it. */
#ifndef TRAINER_SNAPSHOT_H
#define TRAINER_SNAPSHOT_H

#include "trainer/algorithm.h"
#include "trainer/service.h"
#include "trainer/tally.h"

#include "nets/backend.h"

#include <stdatomic.h>

struct run;

/* One worker's part. Vectors are as long as W, but for the statistics; what the algorithm has no use for is NULL. */
struct snapshot_worker {
    float *local;                 /* L of iteration i_k; asynchronous: the W that it was sent last */
    float *states[WORKER_STATES]; /* as the local update that made that L left them */
    float *stats;                 /* running statistics before iteration i_k */
    float *served;                /* asynchronous: those that came with its last push served */
    float *gradient;              /* asynchronous: g of iteration i_k - 1, where it is in flight */
    int64_t *sent;                /* asynchronous: [bucket]: version of the W that it was sent last */
    int64_t *flying;              /* asynchronous: [bucket]: version that the gradient in flight was computed on; -1: none is */
    int64_t *place;               /* PLACES numbers */
};

/* Where a worker is. */
enum { PLACE_ITERATION, /* i_k */
       PLACE_TICKET,    /* asynchronous: of iteration i_k, when it has been taken; -1 otherwise */
       PLACE_TICKET_BEFORE, /* of iteration i_k - 1 */
       PLACES };

/* A vector or table, by the name that it has in a checkpoint. */
enum snapshot_type { SNAPSHOT_F32, SNAPSHOT_I64 };
struct snapshot_tensor {
    char name[48];
    enum snapshot_type type;
    size_t count;       /* elements */
    void *data;
};

struct snapshot {
    const struct backend *backend;
    _Atomic bool busy;             /* the server's report hands it to main, with true; main gives it back with false */
    float *weights, *stats;        /* W_s; the merge of the workers' statistics and of their averages */
    float *previous;               /* W_{s-1}, where the algorithm wants it */
    float *states[SERVER_STATES];
    float *evaluated;              /* asynchronous: W of the evaluation that is not over */
    int64_t *versions;             /* asynchronous: [bucket]: pushes served */
    int64_t *steps;                /* asynchronous: [worker][3]: loss (a double's bits), correct, samples of the steps since the last whole iteration */
    int64_t *loss_scales;          /* where gradients are judged: struct loss_scale, everybody's or each worker's */
    int64_t *record;               /* asynchronous, recorded: struct service_record as pairs */
    struct snapshot_worker *workers;
    struct snapshot_tensor *tensors; /* all of these but weights and stats */
    int n_tensors, room;
    size_t bytes;
    /* scalars */
    int64_t iteration;             /* s; asynchronous: whole iterations' worth of steps so far */
    int64_t samples;               /* consumed so far */
    int64_t evaluate_at;           /* the next evaluation, or the one that is not over: in versions of a bucket */
    int64_t next_ticket;
    int64_t came;                  /* asynchronous: rows of `steps` */
    int64_t n_record;              /* services in `record` */
    int64_t reported;              /* 1: main has been told of iteration s: its step, and its epoch when it ended one */
    struct sums epoch, last;       /* of the epoch under way; of the last iteration before s */
    int64_t training_ns;
};

/* What decides on its parts. */
struct snapshot_shape {
    const struct backend *backend; /* whose host memory it lies in */
    const struct graph *graph;
    const struct declaration *declared;
    size_t n_stats;   /* of a worker's running statistics, averages included */
    bool synchronous;
    bool scaled;      /* losses are */
    int k, buckets;
    int64_t services; /* to be recorded, at most; 0: no record */
};

int snapshot_init(struct snapshot *snapshot, const struct snapshot_shape *shape, struct error *error);
void snapshot_release(struct snapshot *snapshot);

#endif
