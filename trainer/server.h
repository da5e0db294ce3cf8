/* The server: one thread that owns W and V, sums what the workers push, updates, and answers.
 *
 * Reply slots are vectors of its own. Where all workers get the same weights (synchronous algorithms), version v of W lies in slot v modulo
 * the declared number of versions, and P of version v in slot v modulo that of forecasts; an update writes the next slot, so an answer is a message and no
 * copy. The number of slots follows from the declared staleness: whoever still reads an older version has not pushed what the newer one needs. Asynchronous
 * algorithms update W in place and copy it into the slot of the worker that they answer. */
#ifndef TRAINER_SERVER_H
#define TRAINER_SERVER_H

#include "trainer/algorithm.h"
#include "trainer/ledger.h"
#include "trainer/link.h"
#include "trainer/loss_scale.h"
#include "trainer/optimizer.h"
#include "trainer/reply.h"
#include "trainer/run.h"
#include "trainer/shards.h"
#include "trainer/tally.h"
#include "trainer/trace.h"
#include "trainer/verdict.h"

enum { VERSIONS_MAX = 3, FORECASTS_MAX = 2, WORKERS_MAX = 64, SCALES_KEPT = 8 };

/* Pushes that wait for the rest of their gradient (server_clip.c). */
struct clip {
    struct message *held;       /* [set][set's size], in order of arrival; NULL: gradients are not gathered */
    size_t *n_held;             /* [set] */
    struct verdict verdicts[WORKERS_MAX];  /* [set]: of the newest whole gradient */
    struct loss_scale scales[WORKERS_MAX]; /* by worker; synchronous: the first is everybody's */
    struct loss_scale before[WORKERS_MAX]; /* as they were one gradient earlier */
    struct loss_scale past[SCALES_KEPT];   /* synchronous: the scale after so many gradients, modulo */
};

/* What passed between the server and one worker, by bucket. */
struct sent {
    int64_t version;   /* of the W that it was sent last */
    int64_t served;    /* its pushes served */
    int64_t pushed[2]; /* versions that its newest pushes of even and of odd iterations were computed on */
};

/* The snapshot that is under way (server_snapshot.c). */
struct taking {
    int64_t number;                   /* of snapshots announced */
    bool under_way;                   /* announced, and not handed over */
    bool at_rest, rested;             /* the last one, when all workers have ended: announced; over */
    int64_t cut[WORKERS_MAX];         /* the workers' boundaries */
    uint64_t taken;                   /* mask of the workers whose part is there */
    int buckets_missing;
    bool place_missing;               /* tallies, clocks, counters */
    bool copying;                     /* all of it is on its way to the snapshot's memory */
    struct message held[WORKERS_MAX]; /* a step behind the boundary, not in the tally yet */
    int64_t last, due_ns;             /* iteration of the last one; when the next is due, where minutes decide */
};

/* Copies of W and V on the workers' GPUs, for `reduce = nccl` (server_replicas.c); the first is the server's own. n 0: there are none. */
struct replicas {
    int n;
    struct collective *collective;
    struct device *orders[WORKERS_MAX];
    float *w[WORKERS_MAX], *v[WORKERS_MAX]; /* whole vectors; from number 1 on */
};

struct server {
    struct run *run;
    struct shards shards;        /* where its vectors lie, and the orders that work on them */
    const struct optimizer *optimizer;
    struct declaration declared;
    struct vector w[VERSIONS_MAX];      /* W by version; asynchronous: w[0] alone */
    struct vector p[FORECASTS_MAX];     /* P by version */
    struct vector states[SERVER_STATES];
    struct vector replies[WORKERS_MAX]; /* asynchronous: the slot of each worker, which is also the W that it was sent last */
    struct vector incoming[WORKERS_MAX][2]; /* by turn: gradients of workers on other GPUs */
    struct event **answers;      /* [worker][kind][row][bucket]: the reply in that slot is there */
    struct device *ferries[WORKERS_MAX]; /* where the server's memory is the host's: orders on the workers' GPUs that copy from and to it */
    struct event **landed[WORKERS_MAX][2]; /* by turn, [bucket]: and that the gradient has come */
    struct replicas replicas;
    int64_t *versions;           /* [bucket]: updates done */
    uint64_t *arrived;           /* [bucket][2]: mask of workers whose g of that iteration (modulo 2) is there */
    uint64_t *sending;           /* the same: and of those that have sent it over the emulated link */
    struct message *pending;     /* [bucket][worker]: asynchronous pushes not served yet, or MESSAGE_NONE */
    int64_t n_pending;
    uint64_t active;             /* mask of the workers that take part */
    int ahead, beside;           /* synchronous: the worker that pushed first; the one whose
                                  * processor the server shares, or -1 */
    int64_t answered[WORKERS_MAX]; /* the newest iteration answered to it, plus 1 */
    int64_t done_at[WORKERS_MAX]; /* the iteration that it ended before */
    struct sent *sent;           /* asynchronous: [bucket][worker] */
    int64_t tickets[WORKERS_MAX][2]; /* of its pushes of even and of odd iterations */
    int64_t end;                 /* synchronous: the version that the run ends on */
    int64_t heard_ns;            /* when a worker last said something */
    int64_t patience_ns;         /* how long nobody may say anything */
    _Atomic int64_t back_by_ns;  /* when its thread will have looked around again, unless its GPUs hold it; 0: it has not begun */
    int64_t reported_ns;         /* when main was last told how far we are */
    bool stopping;
    bool report_first;           /* resumed where main had not been told of the last iteration */
    bool draining;               /* all workers have ended, and what they left is served in any order */
    struct taking taking;
    struct clip clip;
    struct link link;
    struct tally tally;
    /* evaluation: the snapshot of version evaluate_at is taken bucket by bucket */
    int64_t evaluate_at;         /* in versions (asynchronous: pushes) of each bucket; INT64_MAX: none */
    int64_t evaluations;         /* begun so far */
    int snapshot_missing;        /* buckets */
    bool evaluating;
    int64_t evaluation_began_ns, paused_ns, began_ns;
    float **stats;               /* [worker]: the running statistics that came with its last push; the host's memory */
    int done;                    /* workers that have ended */
    struct trace trace;
    struct ledger ledger;        /* asynchronous: staleness of the pushes served */
    pthread_t thread;
};

int server_init(struct server *server, struct run *run, struct error *error);
void server_release(struct server *server);
void *server_main(void *server);
void server_watch(struct server *server); /* main's, now and then while the run goes on: ends sums over GPUs that would never end */

/* ---- verbs, for algorithms; the server's thread ---- */

/* Counts a push; true when all active workers' gradients of (iteration, bucket) are there. */
bool server_gathered(struct server *server, const struct message *push);

/* Sums g of (iteration, bucket) over the active workers in their order and updates W of the bucket to the next version; also P with `forecast`. -1 where a collective failed. */
int server_update(struct server *server, int64_t iteration, int bucket, bool forecast, struct error *error);

/* Applies one worker's gradient to W of the bucket (docs/algorithms.md section 5). compensate: with DC-ASGD's terms against the W it was sent last. */
void server_update_one(struct server *server, const struct message *push, bool compensate);

/* P of every bucket for the version that the run starts from, to everybody. */
void server_forecast_start(struct server *server);

/* Answers the push of (iteration, bucket) to all active workers with W of the next version, or its P. */
void server_reply_all(struct server *server, int64_t iteration, int bucket, enum reply_kind kind);

/* Answers one push with a copy of W. */
void server_reply_one(struct server *server, const struct message *push);

#endif
