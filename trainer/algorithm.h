/* An algorithm: one const struct of hooks over the verbs of worker.h and server.h. No threads, no atomics, no device in it. */
#ifndef TRAINER_ALGORITHM_H
#define TRAINER_ALGORITHM_H

#include "trainer/config.h"
#include "base/ring.h"

struct worker;
struct server;
struct run;

/* State vectors, each as long as W. Checkpoints, memory estimates and the program's tables find them by these. */
enum worker_state { WORKER_MOMENTUM, WORKER_MEAN_SQUARE, WORKER_STATES };
enum server_state { SERVER_MOMENTUM, SERVER_MEAN_SQUARE, SERVER_AVERAGE, SERVER_STATES };
extern const char *const worker_state_names[WORKER_STATES];
extern const char *const server_state_names[SERVER_STATES];

/* What an algorithm needs under a given config. */
struct declaration {
    int versions;              /* reply slots for W that all workers share; 0: each worker has a slot of its own (asynchronous) */
    int forecasts;             /* reply slots for P; 0: replies never carry P */
    unsigned worker_states;    /* bit mask of enum worker_state */
    unsigned server_states;    /* bit mask of enum server_state */
    bool local_weights;        /* what a worker computes on is more than the newest W: a snapshot holds it */
    bool previous;             /* W_{t-1} is wanted beside W_t */
};

struct algorithm {
    const char *name;
    const char *help;
    bool synchronous; /* the server updates when all workers have pushed; else it serves each push at once */

    struct declaration (*declare)(const struct config *config);

    /* The version of the global weights that iteration t starts from: t minus the staleness of t. Asynchronous: t, the worker's own count. Pure. */
    int64_t (*requires_version)(const struct config *config, int64_t t);

    /* Server, before the first push. NULL: nothing to do. */
    int (*begin)(struct server *server, struct error *error);

    /* Worker, before iteration t reads the weights of `bucket`: form L_t. */
    int (*choose_weights)(struct worker *worker, int64_t t, int bucket, struct error *error);

    /* Worker: g_t of `bucket` is final. */
    int (*gradient_ready)(struct worker *worker, int64_t t, int bucket, struct error *error);

    /* Server: a gradient is there. */
    int (*push_arrived)(struct server *server, const struct message *push, struct error *error);
};

extern const struct algorithm algorithm_ssgd, algorithm_asgd, algorithm_dcasgd, algorithm_odsgd;

/* By enum algorithm_choice. */
const struct algorithm *algorithm_of(int choice);

/* requires_version where iteration t starts from the answer to the worker's own push of t - 1: t. */
int64_t algorithm_requires_newest(const struct config *config, int64_t t);

/* The config's algorithm's own declaration, and what any algorithm needs under that config. */
struct declaration algorithm_declare(const struct config *config);

#endif
