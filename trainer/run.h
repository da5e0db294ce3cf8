/* A run: everything that the server, the workers and main share. Allocated and filled before the threads start.
 *
 * Who writes what afterwards: each worker its own struct worker; the server struct server; `halt` and the few atomics anyone.
 * Ends of the transport: worker k is end k, the server end K, main end K+1. */
#ifndef TRAINER_RUN_H
#define TRAINER_RUN_H

#include "data/loader.h"
#include "nets/plan.h"
#include "trainer/algorithm.h"
#include "trainer/buckets.h"
#include "trainer/evaluation.h"
#include "trainer/halt.h"
#include "trainer/interval.h"
#include "trainer/schedule.h"
#include "trainer/service.h"
#include "trainer/shards.h"
#include "trainer/snapshot.h"
#include "trainer/transport.h"

struct run {
    struct config config; /* resolved: every choice made */
    const struct algorithm *algorithm;
    const struct backend *backend;
    const struct backend *server_backend; /* another one where the server works on the host for GPUs */
    const struct graph *graph;           /* borrowed */
    const struct dataset *train, *test;  /* borrowed */
    int k;                               /* K */
    int64_t iterations;                  /* T */
    int64_t iterations_per_epoch;
    struct schedule schedule;
    struct buckets buckets;
    struct transport transport;
    struct loader *loader;
    struct evaluation evaluation;
    struct service service;
    struct halt halt;
    struct worker *workers; /* K of them */
    struct server *server;
    const int *processors;  /* by worker; -1: not pinned. NULL: nobody is */
    bool crowded;           /* no processor is left for the server */
    const int *places;      /* by worker: device_open's index. NULL: -1 for all */
    int server_places[SHARDS_MAX], n_server_places; /* of the devices that the server's vectors lie on */
    float *first_weights;   /* W_0; freed with the run */
    float *first_stats;     /* running statistics at the start; freed with the run */
    size_t n_stats;         /* floats of a worker's running statistics: the network's, and behind them, where the weights are averaged, their averages */
    struct interval interval;        /* between snapshots */
    struct snapshot *snapshot;       /* NULL: none are taken */
    int64_t loader_depth;   /* batches that may be under way */
    int started;            /* threads that run: workers, then the server; main's */
};

/* What a run is made from. Everything is borrowed for the run's life. */
struct run_request {
    const struct config *config;
    const struct backend *backend;
    const struct backend *server_backend; /* NULL: the same */
    const struct graph *graph;
    const struct dataset *train, *test;
    int k;
    const float *first_weights; /* NULL: drawn from the seed */
    const float *first_stats;   /* NULL: 0 and 1 */
    const int *processors, *places;      /* by worker; NULL: not pinned; -1 */
    int server_places[SHARDS_MAX], n_server_places; /* none: one, -1 */
    bool crowded;               /* each processor that there is has a worker pinned to it */
    bool resume;                /* run_resume follows */
};

int run_open(struct run **run, const struct run_request *request, struct error *error);

/* Goes on from what run->snapshot holds (checkpoint_load), when it is a state of this run. Before run_start. `name`: of the file. EXIT_INPUT when it is none; EXIT_USAGE when it
 * lies behind this run's end. */
int run_check_resume(struct run *run, const char *name, struct error *error);
int run_resume(struct run *run, struct error *error);
int run_open_loader(struct run *run, int64_t first, struct error *error); /* for run_open and run_resume: batches from `first` on */
void run_close(struct run *run); /* after run_join; accepts NULL */

/* Start all threads; ask for a stop after the steps that have begun (any thread; announced by the server); wait for the end. */
int run_start(struct run *run, struct error *error);
void run_ask_stop(struct run *run);
int run_join(struct run *run, struct error *error); /* the first error of any thread */

static inline int run_server_end(const struct run *run) { return run->k; }
static inline int run_main_end(const struct run *run) { return run->k + 1; }

/* Bytes of weights, gradients, slots and state; of the plans; of the loaders. */
struct run_memory { size_t vectors, plans, loaders; };
struct run_memory run_memory(const struct run *run);

/* After the join, to the host's memory: the weights that the run ends on (params.total), their average where one is kept, and the merge of the workers' running statistics
 * (n_stats). */
int run_final_weights(const struct run *run, float *weights, struct error *error);
bool run_has_average(const struct run *run);
int run_final_average(const struct run *run, float *average, struct error *error);
int run_final_stats(const struct run *run, float *stats, struct error *error);

/* A worker's running statistics (n_stats) as the run begins. */
void run_start_stats(const struct run *run, struct device *device, float *stats);

/* The merge of the workers' running statistics, [worker][n_stats], out of which one set begins at `from`. */
void run_merge_stats(const struct run *run, float *const *rows, size_t from, float *merged);

#endif
