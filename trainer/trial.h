/* How long a training step takes: of this net, with this batch, on a backend in a precision. */
#ifndef TRAINER_TRIAL_H
#define TRAINER_TRIAL_H

#include "nets/backend.h"

/* How a choice came about. */
enum choice_source {
    CHOICE_CONFIGURED, /* nothing was left to choose */
    CHOICE_ALONE,      /* it is the only one that is offered here */
    CHOICE_MEASURED,   /* the fastest, measured now */
    CHOICE_REMEMBERED, /* the fastest when it was measured */
    CHOICE_DISTURBED,  /* measured now, while others used the processor */
    CHOICE_KEPT,       /* a resumed run's, which is its checkpoint's */
};

/* What computes, and in what. */
struct choice {
    const struct backend *backend;
    enum precision precision;
    int place; /* device_open's index; -1: any */
    enum choice_source source;
};

enum { TRIALS_MOST = 16 };

/* How long a choice's step takes. A step is quiet when its thread had the processor all the time. */
struct trial_time {
    int64_t shortest_ns;  /* of the quiet steps; of all when none was quiet */
    int64_t processor_ns; /* the least processor time that a step has taken */
    int quiet;            /* quiet steps */
};

/* A training step of each of n choices (at most TRIALS_MOST). They take turns, so that a disturbance meets all of
 * them: three rounds, and up to fifty while they have taken less than `enough_ns` together; more of them, for at most
 * three times as long, while one has fewer than three quiet steps. On the calling thread, with random pixels. Where
 * the device has memory of its own the thread only waits, and every step counts as quiet. */
int trials_measure(struct trial_time *times, const struct choice *choices, int n, const struct graph *graph, int batch,
                   int64_t enough_ns, struct error *error);

/* The number of the fastest: by time when all had quiet steps (*quiet), else by processor time. */
int trials_fastest(const struct trial_time *times, int n, bool *quiet);

#endif
