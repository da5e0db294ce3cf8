/* The algorithms once more, as loops with no threads, no buckets and no messages, written from the
 * description alone: what a run must equal, bit for bit. */
#ifndef TESTS_SIMULATION_H
#define TESTS_SIMULATION_H

#include "tests/session.h"

/* What an iteration of OD-SGD has just made, before the next begins; vectors of n floats. */
struct simulated_step {
    int64_t t;
    int k;                         /* workers */
    size_t n;
    float rate;
    const float *decay;            /* weight decay by element */
    const float *w, *v;            /* W_t, V_t */
    const float *w_next;           /* W_{t+1} */
    const float *const *gradients; /* [k]: g_t */
    const float *const *locals;    /* [k]: L_{t+1} */
};

/* Runs the session's config sequentially for so many iterations of it, and returns the weights; free(). `look`, where not NULL, sees every iteration of
 * OD-SGD. */
float *simulate(const struct session *session, int64_t iterations, void (*look)(const struct simulated_step *step));

/* The same, and in *average, where not NULL, the moving average of the weights; free(). */
float *simulate_average(const struct session *session, int64_t iterations, float **average, void (*look)(const struct simulated_step *step));

#endif
