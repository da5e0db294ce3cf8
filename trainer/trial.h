/* How long a training step takes: of this net, with this batch, on a backend in a precision. */
#ifndef TRAINER_TRIAL_H
#define TRAINER_TRIAL_H

#include "nets/backend.h"

/* What computes, and in what. */
struct choice { const struct backend *backend; enum precision precision; int place; /* device_open's index; -1: any */ };

enum { TRIALS_MOST = 16 };

/* The shortest step of each of n choices (at most TRIALS_MOST), which take turns, so that a disturbance meets all of them: three rounds, and up to
 * fifty while they have taken less than `enough_ns` together. On the calling thread, with random pixels. */
int trials_measure(int64_t *shortest_ns, const struct choice *choices, int n, const struct graph *graph, int batch, int64_t enough_ns, struct error *error);

#endif
