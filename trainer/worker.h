/* A worker: one thread, one device, one plan. It computes gradients; what it computes them on, and when it pushes, its algorithm says through the verbs below.
 *
 * The push slots are the two gradient vectors themselves, used in turn: g_t lies in slot t & 1. The worker writes a slot only after the server has answered
 * the push that used it last, so a slot has one writer at a time and readers only after its push.
 *
 * Where the backend enqueues, the thread never waits inside of a step: a push means that the gradient will be there after its event, an answer that the weights will. It asks for the loss of a
 * step when the next one is enqueued, which is all that keeps it from running further ahead. An emulated link or straggler needs to know when things have happened: then it waits for
 * its own gradients before it pushes them. */
#ifndef TRAINER_WORKER_H
#define TRAINER_WORKER_H

#include "nets/plan.h"
#include "trainer/algorithm.h"
#include "trainer/feed.h"
#include "trainer/ledger.h"
#include "trainer/reply.h"
#include "trainer/run.h"
#include "trainer/trace.h"
#include "trainer/verdict.h"

#include <pthread.h>

enum { REPLY_ROWS = 3 }; /* slots of one kind of reply that all workers share, at most */
enum { REPLIES_KEPT = 4 }; /* versions of a bucket's reply that a worker remembers: more than any staleness in use */

/* The answer to the push of (iteration, bucket): which kinds of it are there, and in which slots. */
struct reply { int64_t iteration, version; bool there[REPLY_KINDS]; uint32_t slot[REPLY_KINDS]; int64_t due_ns[REPLY_KINDS]; };

struct worker {
    struct run *run;
    int number;
    struct device *device;
    struct device *feeder;         /* its second order: batches come in beside the computing */
    struct plan *plan, *eval_plan;
    uint32_t *decays;              /* which weights decay, a bit each; NULL where the backend takes no masks */
    float *weights;                /* L: params.total */
    float *gradients[2];           /* the push slots */
    struct event **pushed[2];      /* [bucket]: the gradient is there */
    float *fetched[REPLY_KINDS][REPLY_ROWS]; /* answers from other GPUs; NULL where none come from there */
    float *eval_weights, *eval_stats; /* copies of what is evaluated; where the memory is the host's, the evaluation's own */
    struct feed feed, eval_feed;   /* the batches that it computes on */
    const struct step *step;       /* that is being enqueued; NULL: none is */
    int64_t unreported;            /* the step whose loss the server has not been told; -1: none */
    bool settles;                  /* gradients are waited for before they are pushed */
    bool posted;                   /* the server has not been woken for what was sent last */
    struct event *taken;           /* its part of a snapshot has been copied */
    float *stats, *stats_out;      /* running statistics; their copy for the server, valid with the last push of an iteration that is evaluated */
    float *states[WORKER_STATES];
    struct reply *replies;         /* [bucket][REPLIES_KEPT], by requirement modulo */
    int64_t newest;                /* requirement met by the newest reply: its iteration + 1 */
    int64_t *chosen;               /* [bucket]: the iteration whose L is there */
    size_t *missing, *unmarked;    /* [bucket]: elements of g_t that are not told to be final yet, and not enqueued */
    int pushes_left;               /* buckets of g_t not pushed yet */
    int64_t iteration, ticket;
    int64_t end;                   /* first iteration not to be started */
    int64_t next_evaluation;       /* synchronous: the iteration to stop for one at */
    int64_t go;                    /* evaluations told to begin so far */
    int64_t evaluated;             /* and taken part in */
    int64_t judged;                /* the iteration that `verdict` was made in; 0: none */
    struct verdict verdict;        /* of its own gradient of the iteration before */
    int64_t loss_scales[REPLIES_KEPT]; /* exponents that came with answers, by requirement modulo */
    int64_t *versions_used;        /* [bucket]: of the global weights under L */
    bool left;                     /* told to end */
    int64_t snapshot, snapshot_at; /* the newest snapshot announced, and its boundary; -1: it has been taken */
    int64_t kept_ticket;           /* drawn for iteration `kept_for` ahead of its start, for a snapshot; -1: none */
    int64_t kept_for;
    int64_t mark_ns;               /* compute time is counted, and stretched, from here */
    double stretch;                /* this iteration's factor */
    int64_t iteration_ns;          /* the last one's length */
    int64_t cpu_ns;                /* processor time of its thread; after the join */
    struct trace trace;
    struct ledger ledger;
    pthread_t thread;
};

int worker_init(struct worker *worker, struct run *run, int number, struct error *error);
int worker_open_fetched(struct worker *worker, int weights, int forecasts, struct error *error); /* so many slots for answers from other GPUs; W_0 in the first */
void worker_release(struct worker *worker);
void *worker_main(void *worker);

/* ---- verbs, for algorithms; the worker's thread ---- */

/* Vectors here are pointers to the bucket's first element. */

/* Waits for the answer to the bucket's push of iteration needs - 1 (0: the start); W or P out of it, for what is enqueued from now on. *version, where not NULL: of the global weights. */
int worker_wait_reply(struct worker *worker, int64_t needs, int bucket, enum reply_kind kind, const float **vector, int64_t *version, struct error *error);

/* L of the bucket = those weights. */
void worker_adopt(struct worker *worker, int bucket, const float *weights);

/* The worker's own: L, g of an iteration, a state (NULL: it has none); the learning rates of an iteration. */
float *worker_weights(const struct worker *worker, int bucket);
const float *worker_gradient(const struct worker *worker, int64_t t, int bucket);
float *worker_state(const struct worker *worker, enum worker_state state, int bucket);
float worker_rate(const struct worker *worker, int64_t t);
float worker_local_rate(const struct worker *worker, int64_t t);

/* L of the bucket = U(w, g) (backend.h, struct local_pass): `pass` holds vectors, rate and compensation; n, the factor of clipping, and weight decay by stretch, are
 * filled in. g: of the iteration before; where it has overflowed in fp16, L = w. */
void worker_local_step(struct worker *worker, int bucket, const struct local_pass *pass);

/* L of the bucket = P - c g, g of the iteration before, clipped; P where it has overflowed. */
void worker_local_predict(struct worker *worker, int bucket, const float *forecast, const float *gradient, float c);

/* Enters what L_t of the bucket was built on in the ledger; -1 with EXIT_INVARIANT when its staleness is not `expected`. */
int worker_built_on(struct worker *worker, int64_t t, int bucket, int64_t version, int64_t expected, struct error *error);

/* The same where any staleness is allowed; the server's ledger counts it. */
void worker_note_version(struct worker *worker, int bucket, int64_t version);

/* g_t of the bucket to the server. */
int worker_push(struct worker *worker, int64_t t, int bucket, struct error *error);

#endif
