/* See schedule.h. */
#include "trainer/schedule.h"

#include <math.h>

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
        factor = config->schedule.final + (1 - config->schedule.final) * (1 + cos(3.14159265358979323846 * part)) / 2;
    }
    return factor;
}

float schedule_rate(const struct schedule *schedule, int64_t t) { return (float)(schedule->config->optimizer.lr * schedule_factor(schedule, t)); }
