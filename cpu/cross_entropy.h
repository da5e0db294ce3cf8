/* Softmax and cross entropy of one sample, for the backends whose logits are fp32 by then. Inside cpu/ only. */
#ifndef CPU_CROSS_ENTROPY_H
#define CPU_CROSS_ENTROPY_H

#include "base/elementary.h"
#include "nets/backend.h"

#include <math.h>

struct cross_entropy {
    int batch, classes;
    float smoothing;
    float scale; /* of the gradient: the step's */
};

/* How many classes stand before the label: of equals the first. All of them when any logit is NaN. Logits are `step` apart. */
static inline int classes_before(const float *logits, size_t step, int classes, int label)
{
    const float own = logits[(size_t)label * step];
    int before = 0;
    for (int c = 0; c < classes; c++) {
        const float other = logits[(size_t)c * step];
        if (isnan(other))
            return classes;
        before += other > own || (other == own && c < label);
    }
    return before;
}

static inline double log_sum_exp(const float *logits, size_t step, int classes)
{
    float most = logits[0];
    double sum = 0;
    for (int c = 1; c < classes; c++)
        most = logits[(size_t)c * step] > most ? logits[(size_t)c * step] : most;
    for (int c = 0; c < classes; c++)
        sum += (double)elementary_expf(logits[(size_t)c * step] - most);
    return (double)most + elementary_log(sum);
}

/* Adds a sample to the result; (softmax - target)/B, scaled, to `gradient`, which lies as the logits do, where that is not NULL. */
static inline void cross_entropy_sample(const struct cross_entropy *of, const float *logits, size_t step, int label, float *gradient, struct step_result *result)
{
    const double norm = log_sum_exp(logits, step, of->classes), share = (double)of->smoothing / of->classes;
    const int before = classes_before(logits, step, of->classes, label);
    double entropy = 0;
    for (int c = 0; c < of->classes; c++) {
        const double log_p = (double)logits[(size_t)c * step] - norm, target = share + (c == label ? 1 - (double)of->smoothing : 0);
        if (target > 0)
            entropy -= target * log_p;
        if (gradient)
            gradient[(size_t)c * step] = of->scale * (float)(((double)elementary_expf((float)log_p) - target) / of->batch);
    }
    result->correct += before < 1;
    result->correct5 += before < 5 && before < of->classes;
    result->loss_sum += entropy;
}

#endif
