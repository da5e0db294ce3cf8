/* One-step-delay SGD (arXiv 2005.06728; docs/algorithms.md section 6): iteration t starts from W_{t-1}, and the worker's own g_{t-1} stands in for the update that
 * is missing. The first n iterations are SSGD. */
#include "trainer/algorithm.h"
#include "trainer/server.h"
#include "trainer/worker.h"

static bool compensates(const struct config *config) { return config->odsgd.local_update == LOCAL_DC || config->odsgd.local_update == LOCAL_ADC; }

static struct declaration declare(const struct config *config)
{
    int local = config->odsgd.local_update;
    struct declaration declared = { .versions = 2, .server_states = 1u << SERVER_MOMENTUM, .local_weights = true };
    if (local == LOCAL_PREDICT)
        declared.versions = 1, declared.forecasts = 2;
    if (compensates(config) && config->odsgd.dc_backup == BACKUP_BASE)
        declared.versions = 3, declared.previous = true;
    if (local != LOCAL_NONE && local != LOCAL_PREDICT && config->odsgd.momentum_local > 0)
        declared.worker_states |= 1u << WORKER_MOMENTUM;
    if (local == LOCAL_ADC)
        declared.worker_states |= 1u << WORKER_MEAN_SQUARE;
    return declared;
}

static int64_t requires_version(const struct config *config, int64_t t) { return t <= config->odsgd.warmup ? t : t - 1; }

static float strength(const struct config *config)
{
    if (config->odsgd.lambda >= 0)
        return (float)config->odsgd.lambda;
    return config->odsgd.local_update == LOCAL_ADC ? 2.0f : 0.04f;
}

/* What g is compensated with on top of W_{t-1}: nothing for `sgd`. */
static int fill_compensation(struct worker *worker, int64_t t, int bucket, struct local_pass *pass, struct error *error)
{
    const struct config *config = &worker->run->config;
    if (!compensates(config))
        return 0;
    const float *backup = worker_weights(worker, bucket);
    /* W_{-1} is W_0 */
    if (config->odsgd.dc_backup == BACKUP_BASE && worker_wait_reply(worker, t > 1 ? t - 2 : 0, bucket, REPLY_WEIGHTS, &backup, NULL, error))
        return -1;
    pass->compensation = (struct compensation){ pass->w, backup, worker_state(worker, WORKER_MEAN_SQUARE, bucket), strength(config), (float)config->odsgd.ms_decay };
    return 0;
}

static int local_step(struct worker *worker, int64_t t, int bucket, const float *weights, struct error *error)
{
    struct local_pass pass = {
        .w = weights, .g = worker_gradient(worker, t - 1, bucket), .m = worker_state(worker, WORKER_MOMENTUM, bucket),
        .rate = worker_local_rate(worker, t - 1), .momentum = (float)worker->run->config.odsgd.momentum_local,
    };
    if (fill_compensation(worker, t, bucket, &pass, error))
        return -1;
    worker_local_step(worker, bucket, &pass);
    return 0;
}

static int choose_weights(struct worker *worker, int64_t t, int bucket, struct error *error)
{
    const struct config *config = &worker->run->config;
    const struct optimizer *optimizer = worker->run->server->optimizer;
    bool delayed = t > config->odsgd.warmup;
    enum reply_kind kind = delayed && config->odsgd.local_update == LOCAL_PREDICT ? REPLY_FORECAST : REPLY_WEIGHTS;
    const float *base;
    int64_t version;
    if (worker_wait_reply(worker, requires_version(config, t), bucket, kind, &base, &version, error))
        return -1;
    if (kind == REPLY_FORECAST)
        worker_local_predict(worker, bucket, base, worker_gradient(worker, t - 1, bucket), optimizer->forecast_rate(config, worker_rate(worker, t - 1)));
    else if (!delayed || config->odsgd.local_update == LOCAL_NONE)
        worker_adopt(worker, bucket, base);
    else if (local_step(worker, t, bucket, base, error))
        return -1;
    return worker_built_on(worker, t, bucket, version, delayed, error);
}

/* Version v of W is wanted up to v = n, and later by all rules but `predict`; P from v = n on. */
static int begin(struct server *server, struct error *error)
{
    (void)error;
    const struct config *config = &server->run->config;
    if (config->odsgd.local_update == LOCAL_PREDICT && server->versions[0] >= config->odsgd.warmup)
        server_forecast_start(server);
    return 0;
}

static int push_arrived(struct server *server, const struct message *push, struct error *error)
{
    if (!server_gathered(server, push))
        return 0;
    const struct config *config = &server->run->config;
    int64_t version = push->iteration + 1;
    int bucket = (int)push->bucket;
    bool predict = config->odsgd.local_update == LOCAL_PREDICT, forecast = predict && version >= config->odsgd.warmup;
    if (server_update(server, push->iteration, bucket, forecast, error))
        return -1;
    if (!predict || version <= config->odsgd.warmup)
        server_reply_all(server, push->iteration, bucket, REPLY_WEIGHTS);
    if (forecast)
        server_reply_all(server, push->iteration, bucket, REPLY_FORECAST);
    return 0;
}

const struct algorithm algorithm_odsgd = {
    .name = "odsgd", .help = "one-step-delay SGD (arXiv 2005.06728): communication hides behind computing", .synchronous = true,
    .declare = declare, .requires_version = requires_version, .begin = begin,
    .choose_weights = choose_weights, .gradient_ready = worker_push, .push_arrived = push_arrived,
};
