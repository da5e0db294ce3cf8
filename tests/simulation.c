/* See simulation.h. Section numbers are those of the description of the algorithms (docs/algorithms.md). */
#include "tests/simulation.h"

#include "data/order.h"
#include "tests/tests.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { K_MOST = 16 };

/* Of losses, as powers of two: with so many gradients judged, and with one less. */
struct scaling { int now, before; int64_t clean; };

struct simulation {
    const struct config *config;
    const struct session *session;
    struct device *device;
    struct plan *plan;
    struct schedule schedule;
    int k;
    size_t n;
    float *decay;  /* weight decay by element */
    uint8_t *pixels;
    int32_t *labels;
    int64_t *index;
    struct step step;   /* its vectors are the device's */
    float *w, *v;
    float *average;     /* of w */
    float *mean_square; /* DC-ASGD's */
    struct scaling scalings[K_MOST]; /* by worker; synchronous: the first is everybody's */
};

static void *room(size_t n, size_t bytes)
{
    void *block = aligned_alloc(64, (n * bytes + 63) / 64 * 64);
    assert_non_null(block);
    return memset(block, 0, n * bytes);
}

static float *vector(const struct simulation *s) { return room(s->n, sizeof(float)); }
static void copy(const struct simulation *s, float *to, const float *from) { memcpy(to, from, s->n * sizeof *to); }

/* ---- section 2: batch j of the run, and the gradient on it ---- */

static void load_batch(struct simulation *s, int64_t j)
{
    const struct config *config = s->config;
    const struct dataset *data = &s->session->train;
    size_t image = (size_t)data->channels * (size_t)data->height * (size_t)data->width, bytes;
    int64_t batch = config->data.batch, per_epoch = data->n / (s->k * batch) * s->k /* batches */, place = j % per_epoch;
    struct error error = { 0 };
    if (config->data.same_for_all)
        place -= place % s->k;
    for (int64_t i = 0; i < batch; i++) {
        int64_t position = place * batch + i;
        s->index[i] = config->data.shuffle ? order_at((uint64_t)config->train.seed, j / per_epoch, data->n, position) : position;
        assert_int_equal(data->format->read(data, s->index[i], s->pixels + (size_t)i * image, &bytes, &s->labels[i], &error), 0);
    }
}

static void gradient(struct simulation *s, const float *weights, int64_t j, int scale, float *g)
{
    struct error error = { 0 };
    load_batch(s, j);
    s->step.loss_scale = (float)pow(2, scale);
    const struct backend *backend = s->session->backend;
    size_t batch = (size_t)s->config->data.batch;
    backend->copy(s->device, (float *)s->step.weights, weights, s->n);
    backend->upload(s->device, (uint8_t *)s->step.pixels, s->pixels, batch * shape_count(s->session->graph.nodes[0].out));
    backend->upload(s->device, (int32_t *)s->step.labels, s->labels, batch * sizeof *s->labels);
    backend->upload(s->device, (int64_t *)s->step.index, s->index, batch * sizeof *s->index);
    assert_int_equal(plan_forward(s->plan, &s->step, NULL, &error), 0);
    assert_int_equal(plan_backward(s->plan, &s->step, NULL, &error), 0);
    backend->copy(s->device, g, s->step.gradient, s->n);
    assert_int_equal(backend->sync(s->device, &error), 0);
}

static void *on_device(struct simulation *s, size_t n, size_t bytes)
{
    struct error error = { 0 };
    void *block;
    assert_int_equal(s->session->backend->allocate(s->device, &block, n * bytes, "a simulation", &error), 0);
    return block;
}

static void prepare_step(struct simulation *s)
{
    size_t batch = (size_t)s->config->data.batch;
    s->step = (struct step){
        .weights = on_device(s, s->n, sizeof(float)), .gradient = on_device(s, s->n, sizeof(float)), .repack = true,
        .pixels = on_device(s, batch, shape_count(s->session->graph.nodes[0].out)), .labels = on_device(s, batch, sizeof *s->labels), .index = on_device(s, batch, sizeof *s->index),
        .n = (int)batch, .seed = (uint64_t)s->config->train.seed,
    };
}

static void release_step(struct simulation *s)
{
    const void *const blocks[] = { s->step.weights, s->step.gradient, s->step.pixels, s->step.labels, s->step.index };
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        s->session->backend->release(s->device, (void *)blocks[i]);
}

/* ---- section 9 ---- */

static bool overflows(const struct simulation *s, const float *g)
{
    bool finite = true;
    for (size_t i = 0; i < s->n; i++)
        finite &= isfinite(g[i]);
    return s->config->train.precision == PRECISION_FP16 && !finite;
}

static void judge(const struct simulation *s, struct scaling *scaling, int used, bool overflow)
{
    const int64_t interval = s->config->train.loss_scale_every;
    int next = scaling->now;
    scaling->clean = overflow ? 0 : scaling->clean + 1;
    if (overflow && interval && used > 0 && used - 1 < next)
        next = used - 1;
    if (interval && scaling->clean == interval) {
        next = next < 24 ? next + 1 : 24;
        scaling->clean = 0;
    }
    scaling->before = scaling->now;
    scaling->now = next;
}

/* ---- sections 3 and 5: the global update by d = scale * (g + decay * W) ---- */

/* E moves towards W by 1 - d, or asynchronously by 1 - d^(1/K), d = min(ema_decay, (1+t)/(10+t)). */
static void average(struct simulation *s, int64_t t, int parts)
{
    double decay = s->config->train.ema_decay, early = (double)(1 + t) / (double)(10 + t);
    float rate = (float)(1 - pow(decay < early ? decay : early, 1.0 / parts));
    for (size_t i = 0; i < s->n; i++)
        s->average[i] = s->average[i] + rate * (s->w[i] - s->average[i]);
}

static void update(struct simulation *s, const float *g, float scale, float rate, float momentum)
{
    for (size_t i = 0; i < s->n; i++) {
        float d = scale * (g[i] + s->decay[i] * s->w[i]);
        s->v[i] = momentum * s->v[i] + d;
        s->w[i] = s->w[i] - rate * (s->config->optimizer.nesterov ? d + momentum * s->v[i] : s->v[i]);
    }
}

/* What a gradient is multiplied by so that its norm is at most the config's: squares in doubles, sixteen sums to a block of 1024. */
static float clipping(const struct simulation *s, const float *g)
{
    double sum = 0, most = s->config->optimizer.clip_norm;
    for (size_t begin = 0; begin < s->n; begin += 1024) {
        double parts[16] = { 0 }, block = 0;
        for (size_t i = begin; i < begin + 1024 && i < s->n; i++)
            parts[i % 16] += (double)g[i] * g[i];
        for (int i = 0; i < 16; i++)
            block += parts[i];
        sum += block;
    }
    return most > 0 && most < sqrt(sum) + 1e-6 ? (float)(most / (sqrt(sum) + 1e-6)) : 1;
}

static void scale(const struct simulation *s, float *g, float factor)
{
    for (size_t i = 0; i < s->n; i++)
        g[i] *= factor;
}

static void sum_times(const struct simulation *s, float *const *gradients, float factor, float *to)
{
    for (size_t i = 0; i < s->n; i++) {
        float sum = gradients[0][i];
        for (int k = 1; k < s->k; k++)
            sum += gradients[k][i];
        to[i] = sum * factor;
    }
}

/* The gradients were computed with a loss scale of 2^used. */
static void update_mean(struct simulation *s, float *const *gradients, int64_t t, int used)
{
    float *mean = vector(s), part = 1.0f / (float)s->k;
    sum_times(s, gradients, part, mean);
    bool skip = overflows(s, mean);
    sum_times(s, gradients, part * clipping(s, mean), mean);
    if (!skip) {
        update(s, mean, 1, schedule_rate(&s->schedule, t), (float)s->config->optimizer.momentum);
        average(s, t, 1);
    }
    judge(s, &s->scalings[0], used, skip);
    free(mean);
}

/* g += lambda g g (now - backup), or lambda / sqrt(MS + 1e-7). lambda 0 leaves g alone. */
static void compensate(const struct simulation *s, float *g, const float *now, const float *backup, float *mean_square, float lambda, float decay)
{
    for (size_t i = 0; i < s->n; i++) {
        float strength = lambda;
        if (mean_square) {
            mean_square[i] = decay * mean_square[i] + (1 - decay) * (g[i] * g[i]);
            strength = lambda / sqrtf(mean_square[i] + 1e-7f);
        }
        if (lambda != 0)
            g[i] = g[i] + strength * g[i] * g[i] * (now[i] - backup[i]);
    }
}

/* ---- section 4 ---- */

static void ssgd(struct simulation *s, int64_t iterations)
{
    float *g[K_MOST];
    for (int k = 0; k < s->k; k++)
        g[k] = vector(s);
    for (int64_t t = 0; t < iterations; t++) {
        const int scale = s->scalings[0].now;
        for (int k = 0; k < s->k; k++)
            gradient(s, s->w, t * s->k + k, scale, g[k]);
        update_mean(s, g, t, scale);
    }
    for (int k = 0; k < s->k; k++)
        free(g[k]);
}

/* ---- section 5, served in turn ---- */

static void asgd(struct simulation *s, int64_t iterations)
{
    const struct config *config = s->config;
    bool compensates = config->train.algorithm == ALGORITHM_DCASGD;
    float *sent[K_MOST], *g = vector(s), *mean_square = config->async.adaptive ? vector(s) : NULL;
    float share = config->async.scale < 0 ? 1.0f / (float)s->k : (float)config->async.scale;
    float momentum = (float)(config->async.server_momentum < 0 ? config->optimizer.momentum : config->async.server_momentum);
    float lambda = config->async.lambda >= 0 ? (float)config->async.lambda : config->async.adaptive ? 2.0f : 0.04f;
    for (int k = 0; k < s->k; k++)
        copy(s, sent[k] = vector(s), s->w);
    for (int64_t j = 0; j < iterations * s->k; j++) {
        int k = (int)(j % s->k), used = s->scalings[k].now;
        gradient(s, sent[k], j, used, g);
        bool skip = overflows(s, g);
        judge(s, &s->scalings[k], used, skip);
        if (skip) {
            copy(s, sent[k], s->w);
            continue;
        }
        scale(s, g, clipping(s, g));
        if (compensates)
            compensate(s, g, s->w, sent[k], mean_square, lambda, (float)config->async.ms_decay);
        update(s, g, share, schedule_rate(&s->schedule, j / s->k), momentum);
        average(s, j / s->k, s->k);
        copy(s, sent[k], s->w);
    }
    for (int k = 0; k < s->k; k++)
        free(sent[k]);
    free(g);
    free(mean_square);
}

/* ---- section 6 ---- */

struct delayed {
    float *l, *g, *m, *mean_square; /* of one worker */
    float *next;                    /* L_{t+1} */
};

/* next = one step of the global optimizer's own rule from (W_t, V_t) with this worker's g_t. */
static void predict(const struct simulation *s, const struct delayed *worker, float rate)
{
    float mu = (float)s->config->optimizer.momentum;
    bool nesterov = s->config->optimizer.nesterov;
    float of_v = nesterov ? mu * mu : mu, c = (nesterov ? rate * (1 + mu) : rate) * clipping(s, worker->g);
    for (size_t i = 0; i < s->n; i++) {
        float of_w = nesterov ? (1 + mu) * s->decay[i] : s->decay[i];
        float p = s->w[i] - rate * (of_v * s->v[i] + of_w * s->w[i]);
        worker->next[i] = p - c * worker->g[i];
    }
}

static void local_update(const struct simulation *s, const struct delayed *worker, const float *before, int64_t t)
{
    const struct config *config = s->config;
    int rule = config->odsgd.local_update;
    float *g = vector(s), momentum = (float)config->odsgd.momentum_local;
    double base = config->odsgd.lr_local < 0 ? config->optimizer.lr : config->odsgd.lr_local;
    float rate = (float)(base * schedule_factor(&s->schedule, t));
    float lambda = config->odsgd.lambda >= 0 ? (float)config->odsgd.lambda : rule == LOCAL_ADC ? 2.0f : 0.04f;
    copy(s, g, worker->g);
    scale(s, g, clipping(s, g));
    if (rule == LOCAL_DC || rule == LOCAL_ADC)
        compensate(s, g, s->w, config->odsgd.dc_backup == BACKUP_BASE ? before : worker->l, rule == LOCAL_ADC ? worker->mean_square : NULL, lambda, (float)config->odsgd.ms_decay);
    for (size_t i = 0; i < s->n; i++) {
        worker->m[i] = momentum * worker->m[i] - rate * (g[i] + s->decay[i] * s->w[i]);
        worker->next[i] = s->w[i] + worker->m[i];
    }
    free(g);
}

/* From (W_t, V_t) and W_{t-1}. */
static void choose_next(const struct simulation *s, const struct delayed *worker, const float *before, int64_t t)
{
    int rule = s->config->odsgd.local_update;
    const bool overflow = overflows(s, worker->g);
    struct delayed quiet = *worker;
    if (overflow)
        quiet.g = vector(s); /* P_t as it is */
    if (rule == LOCAL_NONE || (overflow && rule != LOCAL_PREDICT))
        copy(s, worker->next, s->w);
    else if (rule == LOCAL_PREDICT)
        predict(s, &quiet, schedule_rate(&s->schedule, t));
    else
        local_update(s, worker, before, t);
    if (overflow)
        free(quiet.g);
}

static void odsgd(struct simulation *s, int64_t iterations, void (*look)(const struct simulated_step *step))
{
    struct delayed workers[K_MOST];
    float *gradients[K_MOST], *next[K_MOST], *w = vector(s), *v = vector(s), *before = vector(s);
    copy(s, before, s->w);
    for (int k = 0; k < s->k; k++) {
        workers[k] = (struct delayed){ vector(s), gradients[k] = vector(s), vector(s), vector(s), next[k] = vector(s) };
        copy(s, workers[k].l, s->w);
    }
    for (int64_t t = 0; t < iterations; t++) {
        const int used = t <= s->config->odsgd.warmup ? s->scalings[0].now : s->scalings[0].before;
        for (int k = 0; k < s->k; k++)
            gradient(s, workers[k].l, t * s->k + k, used, workers[k].g);
        copy(s, w, s->w);
        copy(s, v, s->v);
        for (int k = 0; k < s->k && t >= s->config->odsgd.warmup; k++)
            choose_next(s, &workers[k], before, t);
        update_mean(s, gradients, t, used);
        for (int k = 0; k < s->k; k++)
            copy(s, workers[k].l, t >= s->config->odsgd.warmup ? workers[k].next : s->w);
        if (look)
            look(&(struct simulated_step){ t, s->k, s->n, schedule_rate(&s->schedule, t), s->decay, w, v, s->w,
                                           (const float *const *)gradients, (const float *const *)next });
        copy(s, before, w);
    }
    for (int k = 0; k < s->k; k++) {
        float *const blocks[] = { workers[k].l, workers[k].g, workers[k].m, workers[k].mean_square, workers[k].next };
        for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
            free(blocks[i]);
    }
    free(w);
    free(v);
    free(before);
}

static void prepare(struct simulation *s)
{
    const struct session *session = s->session;
    const struct config *config = s->config;
    const struct dataset *data = &session->train;
    size_t batch = (size_t)config->data.batch;
    struct error error = { 0 };
    int64_t per_epoch = data->n / (s->k * config->data.batch); /* iterations */
    int64_t length = config->train.iterations ? config->train.iterations : config->train.epochs * per_epoch;
    assert_true(s->k <= K_MOST);
    assert_int_equal(session->backend->device_open(&s->device, session->devices.n ? session->devices.places[0] : -1, &error), 0);
    assert_int_equal(plan_make(&s->plan, &(struct plan_request){ session->backend, s->device, &session->graph, (int)batch, true, (enum precision)session->config.train.precision }, &error), 0);
    s->schedule = (struct schedule){ config, length, per_epoch };
    s->pixels = room(batch * (size_t)data->channels * (size_t)data->height * (size_t)data->width, 1);
    s->labels = room(batch, sizeof *s->labels);
    s->index = room(batch, sizeof *s->index);
    prepare_step(s);
    s->w = vector(s);
    s->v = vector(s);
    s->decay = vector(s);
    graph_init_weights(&session->graph, (uint64_t)config->train.seed, s->w);
    s->average = vector(s);
    copy(s, s->average, s->w);
    for (int k = 0; k < s->k && config->train.precision == PRECISION_FP16; k++)
        s->scalings[k].now = s->scalings[k].before = (int)log2(config->train.loss_scale);
    for (int i = 0; i < session->graph.params.n; i++) {
        const struct param *row = &session->graph.params.rows[i];
        for (size_t j = 0; j < row->count; j++)
            s->decay[row->offset + j] = row->decay || config->optimizer.decay_all ? (float)config->optimizer.weight_decay : 0;
    }
}

float *simulate(const struct session *session, int64_t iterations, void (*look)(const struct simulated_step *step)) { return simulate_average(session, iterations, NULL, look); }

float *simulate_average(const struct session *session, int64_t iterations, float **averaged, void (*look)(const struct simulated_step *step))
{
    struct simulation s = { .config = &session->config, .session = session, .k = (int)session->config.workers.count, .n = session->graph.params.total };
    prepare(&s);
    if (s.config->train.algorithm == ALGORITHM_SSGD)
        ssgd(&s, iterations);
    else if (s.config->train.algorithm == ALGORITHM_ODSGD)
        odsgd(&s, iterations, look);
    else
        asgd(&s, iterations);
    plan_free(s.plan);
    release_step(&s);
    session->backend->device_close(s.device);
    free(s.pixels);
    free(s.labels);
    free(s.index);
    free(s.v);
    free(s.decay);
    if (averaged)
        *averaged = s.average;
    else
        free(s.average);
    return s.w;
}
