/* See schedule.h. */
#include "trainer/schedule.h"

#include "base/elementary.h"

#include <math.h>

/* From a to b along half a cosine; part: how far, 0 to 1. */
static double anneal(double a, double b, double part) { return b + (a - b) * (1 + elementary_cosine(part / 2)) / 2; }

/* PyTorch's OneCycleLR (cosine, two phases, momentum left alone): its phases end at the fractional step pct_start * T - 1 and at step T - 1. */
static double one_cycle(const struct schedule *schedule, double t)
{
    const struct config *config = schedule->config;
    double length = (double)schedule->iterations, peak = config->schedule.pct_start * length - 1, last = length - 1;
    double first = 1 / config->schedule.div_factor, final = first / config->schedule.final_div_factor;
    if (t <= peak)
        return peak > 0 ? anneal(first, 1, t / peak) : 1;
    return t < last ? anneal(1, final, (t - peak) / (last - peak)) : final;
}

double schedule_factor(const struct schedule *schedule, int64_t t)
{
    const struct config *config = schedule->config;
    double warmup = floor(config->schedule.warmup_epochs * (double)schedule->iterations_per_epoch);
    double factor = 1;
    if ((double)t < warmup)
        return ((double)t + 1) / warmup;
    if (config->schedule.kind == SCHEDULE_STEP)
        for (int i = 0; i < config->schedule.steps.n; i++)
            if ((double)t >= config->schedule.steps.values[i] * (double)schedule->iterations_per_epoch)
                factor *= config->schedule.gamma;
    if (config->schedule.kind == SCHEDULE_COSINE) {
        double length = (double)schedule->iterations - warmup, done = (double)t - warmup;
        double part = length > 0 && done < length ? done / length : 1;
        factor = anneal(1, config->schedule.final, part);
    }
    return config->schedule.kind == SCHEDULE_ONE_CYCLE ? one_cycle(schedule, (double)t) : factor;
}

float schedule_rate(const struct schedule *schedule, int64_t t) { return (float)(schedule->config->optimizer.lr * schedule_factor(schedule, t)); }

float schedule_average_rate(const struct schedule *schedule, int64_t t, int parts)
{
    double decay = fmin(schedule->config->train.ema_decay, ((double)t + 1) / ((double)t + 10));
    return (float)(1 - elementary_pow(decay, 1.0 / parts));
}
