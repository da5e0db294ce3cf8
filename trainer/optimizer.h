/* Global optimizers: one fused pass over W and declared state vectors, per bucket. */
#ifndef TRAINER_OPTIMIZER_H
#define TRAINER_OPTIMIZER_H

#include "nets/backend.h"
#include "trainer/buckets.h"
#include "trainer/config.h"

/* One update of one bucket; vectors begin with the bucket. */
struct update {
    const struct backend *backend;
    struct device *device;
    const struct config *config;
    const struct buckets *buckets;
    int bucket;
    const float *const *gradients; /* in worker order */
    int k;
    float inv_k, scale, rate, next_rate, momentum, average_rate;
    struct compensation compensation;
    const uint32_t *decays;        /* the bucket's mask where the backend takes one, or NULL */
    const float *w;
    float *w_out, *v, *p, *average; /* p, average: NULL unless wanted */
};

struct optimizer {
    const char *name;
    void (*update)(const struct update *update);
    void (*forecast)(const struct update *update); /* P alone, from w and v */
    float (*forecast_rate)(const struct config *config, float rate); /* c: what a worker's gradient is multiplied by after P */
};

extern const struct optimizer optimizer_sgd; /* momentum, Nesterov, weight decay: docs/algorithms.md section 3 */

#endif
