/* Rules between keys. */
#include "nets/backend.h"
#include "trainer/config.h"
#include "trainer/config_table.h"
#include "trainer/interval.h"

#include <math.h>
#include <string.h>

static bool is_key(const struct config_row *row, const char *section, const char *key)
{
    return strcmp(row->section, section) == 0 && strcmp(row->key, key) == 0;
}

void config_replace(struct config *config, const struct config_row *row)
{
    if (is_key(row, "train", "iterations") && config->train.iterations)
        config->train.epochs = 0;
    if (is_key(row, "train", "epochs") && config->train.epochs)
        config->train.iterations = 0;
    if (is_key(row, "schedule", "kind") && config->schedule.kind == SCHEDULE_ONE_CYCLE) /* it rises by itself */
        config->schedule.warmup_epochs = 0;
    if (is_key(row, "async", "order") && config->async.order != ORDER_REPLAY)
        *config->async.replay = 0;
    /* there is no GPU for the server's vectors either */
    if (is_key(row, "workers", "devices") && strcmp(config->workers.devices, "cpu") == 0)
        snprintf(config->workers.server, sizeof config->workers.server, "auto");
    /* the list counts the workers */
    if (is_key(row, "workers", "devices") && strncmp(config->workers.devices, "cuda:", 5) == 0)
        config->workers.count = 0;
}

static int check_required(const struct config *config, const char *name, struct error *error)
{
    for (int i = 0; i < n_config_rows; i++)
        if (!config_rows[i].fallback && !*((const char *)config + config_rows[i].offset))
            return fail(error, EXIT_USAGE, "%s: [%s] %s: not set, and it has no default", name, config_rows[i].section, config_rows[i].key);
    return 0;
}

static int check_length(const struct config *config, const char *name, struct error *error)
{
    if (!config->train.epochs && !config->train.iterations)
        return fail(error, EXIT_USAGE, "%s: [train] epochs: want epochs or iterations above 0, got 0 for both", name);
    if (config->train.epochs && config->train.iterations)
        return fail(error, EXIT_USAGE, "%s: [train] iterations: want epochs or iterations, got both (%lld and %lld)", name,
                    (long long)config->train.epochs, (long long)config->train.iterations);
    return 0;
}

static int check_async(const struct config *config, const char *name, struct error *error)
{
    bool synchronous = config->train.algorithm == ALGORITHM_SSGD || config->train.algorithm == ALGORITHM_ODSGD;
    if (config->async.order == ORDER_REPLAY && !*config->async.replay)
        return fail(error, EXIT_USAGE, "%s: [async] replay: order = replay wants the file to follow, got none", name);
    if (config->async.order != ORDER_REPLAY && *config->async.replay)
        return fail(error, EXIT_USAGE, "%s: [async] replay: want order = replay beside it, got \"%s\" alone", name, config->async.replay);
    if (synchronous && (*config->async.record || *config->async.replay))
        return fail(error, EXIT_USAGE, "%s: [async] %s: want algorithm asgd or dcasgd: a synchronous run has no order to record", name,
                    *config->async.record ? "record" : "replay");
    if (!synchronous && config->train.deterministic == 1 && config->async.order == ORDER_FREE)
        return fail(error, EXIT_USAGE, "%s: [train] deterministic: true wants [async] order round-robin or replay, got free", name);
    return 0;
}

static int check_checkpoint(const struct config *config, const char *name, struct error *error)
{
    struct interval interval;
    if (interval_parse(config->checkpoint.every, &interval))
        return 0;
    return fail(error, EXIT_USAGE, "%s: [checkpoint] every: want N epochs, N iterations, N minutes (N above 0; whole iterations) or off, got \"%s\"", name, config->checkpoint.every);
}

static int check_lists(const struct config *config, const char *name, struct error *error)
{
    const struct real_list *slowdown = &config->workers.slowdown;
    if (slowdown->n != 1 && config->workers.count && slowdown->n != config->workers.count)
        return fail(error, EXIT_USAGE, "%s: [workers] slowdown: want one number, or one for each of %lld workers, got %d", name, (long long)config->workers.count, slowdown->n);
    return 0;
}

static int check_schedule(const struct config *config, const char *name, struct error *error)
{
    if (config->schedule.kind == SCHEDULE_ONE_CYCLE && config->schedule.warmup_epochs > 0)
        return fail(error, EXIT_USAGE, "%s: [schedule] warmup_epochs: kind = one-cycle has a rise of its own (pct_start) and wants 0, got %g", name, config->schedule.warmup_epochs);
    if (config->schedule.kind == SCHEDULE_STEP && !config->schedule.steps.n)
        return fail(error, EXIT_USAGE, "%s: [schedule] steps: kind = step wants at least one epoch, got none", name);
    for (int i = 1; i < config->schedule.steps.n; i++)
        if (config->schedule.steps.values[i] <= config->schedule.steps.values[i - 1])
            return fail(error, EXIT_USAGE, "%s: [schedule] steps: want rising epochs, got %g after %g", name, config->schedule.steps.values[i], config->schedule.steps.values[i - 1]);
    return 0;
}

static int check_precision(const struct config *config, const char *name, struct error *error)
{
    int exponent;
    if (frexp(config->train.loss_scale, &exponent) == 0.5)
        return 0;
    return fail(error, EXIT_USAGE, "%s: [train] loss_scale: want a power of two, which changes no bit of a gradient, got %g", name, config->train.loss_scale);
}

int config_check(const struct config *config, const char *name, struct error *error)
{
    if (check_required(config, name, error) || check_length(config, name, error) || check_async(config, name, error) ||
        check_checkpoint(config, name, error) || check_lists(config, name, error) || check_schedule(config, name, error) || check_precision(config, name, error))
        return -1;
    if (config->workers.reduce == REDUCE_NCCL && config->train.algorithm != ALGORITHM_SSGD)
        return fail(error, EXIT_USAGE, "%s: [workers] reduce: nccl sums for [train] algorithm = ssgd alone", name);
    if (config->workers.reduce == REDUCE_NCCL && (config->optimizer.clip_norm > 0 || config->train.precision == PRECISION_FP16))
        return fail(error, EXIT_USAGE, "%s: [workers] reduce: clip_norm and fp16 want the server to see whole gradients: want server, got nccl", name);
    if (config->workers.reduce == REDUCE_NCCL && config->train.deterministic == 1)
        return fail(error, EXIT_USAGE, "%s: [workers] reduce: NCCL adds in an order of its own: want server with [train] deterministic = true, got nccl", name);
    if (config->link.latency_us > 0 && config->link.bandwidth_gbps == 0)
        return fail(error, EXIT_USAGE, "%s: [link] latency_us: want bandwidth_gbps above 0 beside it, got 0", name);
    return 0;
}
