/* Batch normalization in lanes, and behind it the addition of a residual and ReLU where the plan asks. Channel by channel, so that what
 * a first pass has read of a channel is still in the second cache for the next one: forward reads x for its moments, then normalizes, adds
 * and clips in one go; backward reads x and dy for their sums, then writes the inputs' gradients. What is kept is one bit a value (where
 * ReLU passes) and each channel's mean and deviation. The lanes beyond the batch are kept out of every sum and get no gradient. */
#include "cpu/lanes_moments.h"
#include "cpu/loss_scale.h"

#include <math.h>

struct batchnorm {
    struct op op;
    struct batchnorm_args args;
    bool training;
    const struct tensor *in, *residual, *out; /* residual: NULL where nothing is added */
    const struct param *weight, *bias, *mean, *variance;
};

/* What forward keeps for backward. */
struct channel { float mean, inverse_deviation; };

enum { CHAINS = 4 }; /* independent sums, which hide the latency of an addition */

static size_t places(const struct batchnorm *bn) { return (size_t)bn->out->shape.h * (size_t)bn->out->shape.w; }
static double count(const struct batchnorm *bn) { return (double)bn->out->batch * (double)places(bn); }
static struct channel *kept(const struct batchnorm *bn) { return bn->op.saved; }

/* Of the value that begins at float `at`, and so on; NULL: not kept. */
static uint16_t *masks(const struct batchnorm *bn, size_t at)
{
    return bn->training && bn->args.relu ? (uint16_t *)(kept(bn) + bn->out->shape.c) + at / LANES : NULL;
}

static const float *data(const struct tensor *tensor, size_t at) { return tensor ? (const float *)tensor->data + at : NULL; }
static float *gradient(const struct tensor *tensor, size_t at) { return tensor && tensor->gradient ? (float *)tensor->gradient + at : NULL; }

/* ---- forward ---- */

static struct channel statistics(const struct batchnorm *bn, int c, const struct step *step)
{
    float *running_mean = step->stats + bn->mean->offset + c, *running_variance = step->stats + bn->variance->offset + c;
    if (!bn->training)
        return (struct channel){ *running_mean, 1.0f / sqrtf(*running_variance + bn->args.epsilon) };
    const struct moments moments = lanes_moments(bn->in, c);
    const double n = count(bn), unbiased = n > 1 ? moments.variance * n / (n - 1) : moments.variance;
    const float m = bn->args.momentum;
    *running_mean += m * ((float)moments.mean - *running_mean);
    *running_variance += m * ((float)unbiased - *running_variance);
    return (struct channel){ (float)moments.mean, (float)(1 / sqrt(moments.variance + (double)bn->args.epsilon)) };
}

struct line { float mean, scale, shift; }; /* (x - mean) scale + shift */

/* One plane of n vectors. */
VECTOR_INLINE void normalize(float *y, const float *x, const float *residual, uint16_t *mask, size_t n, struct line line, bool relu)
{
    const v16 mean = v16_all(line.mean), scale = v16_all(line.scale), shift = v16_all(line.shift);
    for (size_t i = 0; i < n; i++) {
        v16 a = v16_fma(v16_load(x + i * LANES) - mean, scale, shift);
        uint16_t passes;
        if (residual)
            a += v16_load(residual + i * LANES);
        if (relu)
            a = v16_relu(a, mask ? &mask[i] : &passes);
        v16_store(y + i * LANES, a);
    }
}

static void normalize_plane(const struct batchnorm *bn, size_t at, struct line line)
{
    float *y = (float *)bn->out->data + at;
    const float *x = data(bn->in, at), *residual = data(bn->residual, at);
    uint16_t *mask = masks(bn, at);
    if (bn->args.relu && mask && residual)
        normalize(y, x, residual, mask, places(bn), line, true);
    else if (bn->args.relu && mask)
        normalize(y, x, NULL, mask, places(bn), line, true);
    else
        normalize(y, x, residual, mask, places(bn), line, bn->args.relu);
}

static int forward(struct op *op, const struct step *step, struct error *error)
{
    (void)error;
    const struct batchnorm *bn = (const struct batchnorm *)op;
    for (int c = 0; c < bn->out->shape.c; c++) {
        const struct channel channel = statistics(bn, c, step);
        const float weight = step->weights[bn->weight->offset + (size_t)c], bias = step->weights[bn->bias->offset + (size_t)c];
        if (bn->training)
            kept(bn)[c] = channel;
        for (int group = 0; group < lanes_groups(bn->out->batch); group++)
            normalize_plane(bn, lanes_plane(bn->out->shape, group, c), (struct line){ channel.mean, weight * channel.inverse_deviation, bias });
    }
    return 0;
}

/* ---- backward ---- */

VECTOR_INLINE v16 masked(const float *dy, const uint16_t *mask, size_t i)
{
    v16 d = v16_load(dy + i * LANES);
    return mask ? v16_keep(mask[i], d) : d;
}

/* Lane by lane: of d, and of d (x - mean). */
struct sums { double d[LANES], product[LANES]; };

VECTOR_INLINE void add_lanes(double to[LANES], uint16_t filled, const v16 chains[CHAINS])
{
    const v16 sum = v16_keep(filled, (chains[0] + chains[1]) + (chains[2] + chains[3]));
    for (int lane = 0; lane < LANES; lane++)
        to[lane] += (double)sum[lane];
}

VECTOR_INLINE void add_plane(struct sums *sums, const float *dy, const float *x, const uint16_t *mask, size_t n, float mean, uint16_t filled)
{
    v16 d_sum[CHAINS] = { { 0 } }, product[CHAINS] = { { 0 } };
    size_t i = 0;
    for (; i + CHAINS <= n; i += CHAINS)
        for (size_t k = 0; k < CHAINS; k++) {
            const v16 d = masked(dy, mask, i + k);
            d_sum[k] += d;
            product[k] = v16_fma(d, v16_load(x + (i + k) * LANES) - v16_all(mean), product[k]);
        }
    for (; i < n; i++) {
        const v16 d = masked(dy, mask, i);
        d_sum[0] += d;
        product[0] = v16_fma(d, v16_load(x + i * LANES) - v16_all(mean), product[0]);
    }
    add_lanes(sums->d, filled, d_sum);
    add_lanes(sums->product, filled, product);
}

static double total(const double lanes[LANES])
{
    double sum = 0;
    for (int lane = 0; lane < LANES; lane++)
        sum += lanes[lane];
    return sum;
}

/* dx = scale (d - mean_d - (x - mean) slope) */
struct back { float mean, scale, mean_d, slope; };

/* dx and dr, each where it is wanted; one of them may lie on dy. */
VECTOR_INLINE void spread(float *dx, float *dr, const float *dy, const float *x, const uint16_t *mask, size_t n, struct back back, uint16_t filled)
{
    const v16 mean = v16_all(back.mean), scale = v16_all(back.scale), mean_d = v16_all(back.mean_d), slope = v16_all(-back.slope);
    for (size_t i = 0; i < n; i++) {
        const v16 d = masked(dy, mask, i);
        if (dx)
            v16_store(dx + i * LANES, v16_keep(filled, scale * v16_fma(v16_load(x + i * LANES) - mean, slope, d - mean_d)));
        if (dr)
            v16_store(dr + i * LANES, d);
    }
}

static void spread_plane(const struct batchnorm *bn, size_t at, struct back back, uint16_t filled)
{
    float *dx = gradient(bn->in, at), *dr = gradient(bn->residual, at);
    const float *dy = gradient(bn->out, at), *x = data(bn->in, at);
    const uint16_t *mask = masks(bn, at);
    if (dx && !dr && mask)
        spread(dx, NULL, dy, x, mask, places(bn), back, filled);
    else if (dx && dr && mask)
        spread(dx, dr, dy, x, mask, places(bn), back, filled);
    else
        spread(dx, dr, dy, x, mask, places(bn), back, filled);
}

static int backward(struct op *op, const struct step *step, struct error *error)
{
    (void)error;
    const struct batchnorm *bn = (const struct batchnorm *)op;
    for (int c = 0; c < bn->out->shape.c; c++) {
        const struct channel channel = kept(bn)[c];
        struct sums sums = { { 0 }, { 0 } };
        for (int group = 0; group < lanes_groups(bn->out->batch); group++) {
            const size_t at = lanes_plane(bn->out->shape, group, c);
            const uint16_t filled = lanes_filled(bn->out->batch, group);
            if (bn->args.relu)
                add_plane(&sums, gradient(bn->out, at), data(bn->in, at), masks(bn, at), places(bn), channel.mean, filled);
            else
                add_plane(&sums, gradient(bn->out, at), data(bn->in, at), NULL, places(bn), channel.mean, filled);
        }
        const double d = total(sums.d), product = total(sums.product), inverse = (double)channel.inverse_deviation;
        step->gradient[bn->weight->offset + (size_t)c] = (float)(product * inverse);
        step->gradient[bn->bias->offset + (size_t)c] = (float)d;
        const struct back back = { channel.mean, step->weights[bn->weight->offset + (size_t)c] * channel.inverse_deviation,
                                   (float)(d / count(bn)), (float)(product * inverse * inverse / count(bn)) };
        for (int group = 0; group < lanes_groups(bn->out->batch); group++)
            spread_plane(bn, lanes_plane(bn->out->shape, group, c), back, lanes_filled(bn->out->batch, group));
    }
    unscale(step, bn->weight);
    unscale(step, bn->bias);
    return 0;
}

static const struct op_calls calls = { .forward = forward, .backward = backward, .free = lanes_op_free };

int lanes_batchnorm(struct op **op, const struct op_request *request, const struct batchnorm_args *args, struct error *error)
{
    struct batchnorm *bn = lanes_op_new(sizeof *bn, &calls, request, error);
    if (!bn)
        return -1;
    bn->args = *args;
    bn->training = request->training;
    bn->in = request->inputs[0];
    bn->residual = args->add ? request->inputs[1] : NULL;
    bn->out = request->output;
    bn->weight = request->params[0];
    bn->bias = request->params[1];
    bn->mean = request->stats[0];
    bn->variance = request->stats[1];
    bn->op.in_place = bn->residual && request->want_gradient[1] ? 2 : request->want_gradient[0] ? 1 : 0;
    if (request->training) {
        bn->op.saved_bytes = (size_t)bn->out->shape.c * sizeof(struct channel);
        if (args->relu)
            bn->op.saved_bytes += bn->out->bytes / sizeof(v16) * sizeof(uint16_t);
    }
    *op = &bn->op;
    return 0;
}
