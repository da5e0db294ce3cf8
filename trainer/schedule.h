/* What follows the iteration: the learning rate, and how fast the average of the weights moves. */
#ifndef TRAINER_SCHEDULE_H
#define TRAINER_SCHEDULE_H

#include "trainer/config.h"

struct schedule {
    const struct config *config;
    int64_t iterations;           /* of the whole run */
    int64_t iterations_per_epoch; /* at least 1 */
};

/* What the base rate is multiplied by in iteration t (0-based): linear warm-up (t+1)/w over the first w iterations, then the schedule's own
 * factor: 1; gamma^(steps passed); final + (1 - final)(1 + cos(pi (t-w)/(T-w)))/2 (Loshchilov and Hutter, arXiv 1608.03983); or PyTorch's OneCycleLR
 * (Smith and Topin, arXiv 1708.07120) without warm-up: half a cosine from 1/div_factor to 1 at step pct_start T - 1, another down to
 * 1/(div_factor final_div_factor) at step T - 1. Pure. */
double schedule_factor(const struct schedule *schedule, int64_t t);

/* eta_t in fp32. */
float schedule_rate(const struct schedule *schedule, int64_t t);

/* 1 - d_t^(1/parts), where iteration t decays the average by d_t = min(train.ema_decay, (1+t)/(10+t)) in so many parts. */
float schedule_average_rate(const struct schedule *schedule, int64_t t, int parts);

#endif
