/* SGD with momentum, Nesterov and weight decay, as PyTorch defines them (docs/algorithms.md section 3). */
#include "trainer/optimizer.h"

#include "trainer/server.h"

/* A pass over [from, from + n) of the bucket, whose elements all have that decay, or each what the mask says. */
static void pass_over(const struct update *update, size_t from, size_t n, float weight_decay, void (*run)(struct device *device, const struct sgd_pass *pass))
{
    const float *gradients[WORKERS_MAX];
    for (int k = 0; k < update->k; k++)
        gradients[k] = update->gradients[k] + from;
    struct sgd_pass pass = {
        .n = n, .k = update->k, .gradients = gradients, .inv_k = update->inv_k, .scale = update->scale, .rate = update->rate, .momentum = update->momentum,
        .weight_decay = weight_decay, .next_rate = update->next_rate, .nesterov = update->config->optimizer.nesterov, .decays = update->decays,
        .w = update->w + from, .v = update->v + from, .w_out = update->w_out + from, .p = update->p ? update->p + from : NULL,
        .average = update->average ? update->average + from : NULL, .average_rate = update->average_rate,
    };
    if (update->compensation.backup) {
        pass.compensation = update->compensation;
        pass.compensation.now += from;
        pass.compensation.backup += from;
        pass.compensation.mean_square = update->compensation.mean_square ? update->compensation.mean_square + from : NULL;
    }
    run(update->device, &pass);
}

static void for_stretches(const struct update *update, void (*run)(struct device *device, const struct sgd_pass *pass))
{
    const struct bucket *bucket = &update->buckets->rows[update->bucket];
    float weight_decay = (float)update->config->optimizer.weight_decay;
    if (update->decays) {
        pass_over(update, 0, bucket->end - bucket->begin, weight_decay, run);
        return;
    }
    for (int i = 0; i < bucket->n_stretches; i++) {
        const struct stretch *stretch = &update->buckets->stretches[bucket->first_stretch + i];
        pass_over(update, stretch->begin - bucket->begin, stretch->end - stretch->begin, stretch->decay ? weight_decay : 0, run);
    }
}

static void sgd_update(const struct update *update) { for_stretches(update, update->backend->sgd); }
static void sgd_forecast(const struct update *update) { for_stretches(update, update->backend->forecast); }

static float sgd_forecast_rate(const struct config *config, float rate)
{
    return config->optimizer.nesterov ? rate * (1 + (float)config->optimizer.momentum) : rate;
}

const struct optimizer optimizer_sgd = { "sgd", sgd_update, sgd_forecast, sgd_forecast_rate };
