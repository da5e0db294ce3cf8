/* Batch normalization in lanes, and behind it the addition of a residual and ReLU where the plan asks. Channel by
 * channel, so that what a first pass has read of a channel is still in the second cache for the next one: forward
 * reads x for its moments, then normalizes, adds and clips in one go; backward reads x and dy for their sums, then
 * writes the inputs' gradients. What is kept is one bit a value (where ReLU passes) and each channel's mean and
 * deviation. The lanes beyond the batch are kept out of every sum and get no gradient. */
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
static lane_bits *kept_bits(const struct batchnorm *bn, size_t at)
{
    return bn->training && bn->args.relu ? (lane_bits *)(kept(bn) + bn->out->shape.c) + at / LANES : NULL;
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
VECTOR_INLINE void normalize(float *y, const float *x, const float *residual, lane_bits *bits, size_t n, struct line line, bool relu)
{
    const vec mean = vec_all(line.mean), scale = vec_all(line.scale), shift = vec_all(line.shift);
    for (size_t i = 0; i < n; i++) {
        vec a = vec_fma(vec_load(x + i * LANES) - mean, scale, shift);
        if (residual)
            a += vec_load(residual + i * LANES);
        if (relu) {
            lane_mask passes;
            a = vec_relu(a, &passes);
            if (bits)
                bits[i] = mask_bits(passes);
        }
        vec_store(y + i * LANES, a);
    }
}

static void normalize_plane(const struct batchnorm *bn, size_t at, struct line line)
{
    float *y = (float *)bn->out->data + at;
    const float *x = data(bn->in, at), *residual = data(bn->residual, at);
    lane_bits *bits = kept_bits(bn, at);
    if (bn->args.relu && bits && residual)
        normalize(y, x, residual, bits, places(bn), line, true);
    else if (bn->args.relu && bits)
        normalize(y, x, NULL, bits, places(bn), line, true);
    else
        normalize(y, x, residual, bits, places(bn), line, bn->args.relu);
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
        for (int block = 0; block < lanes_blocks(bn->out->batch); block++)
            normalize_plane(bn, lanes_plane(bn->out->shape, block, c), (struct line){ channel.mean, weight * channel.inverse_deviation, bias });
    }
    return 0;
}

/* ---- backward ---- */

VECTOR_INLINE vec masked(const float *dy, const lane_bits *bits, size_t i)
{
    vec d = vec_load(dy + i * LANES);
    return bits ? vec_keep(mask_of(bits[i]), d) : d;
}

/* Sample by sample of a group: of d, and of d (x - mean). */
struct sums { double d[GROUP], product[GROUP]; };

VECTOR_INLINE void add_lanes(double to[LANES], lane_mask filled, const vec chains[CHAINS])
{
    const vec sum = vec_keep(filled, (chains[0] + chains[1]) + (chains[2] + chains[3]));
    for (int lane = 0; lane < LANES; lane++)
        to[lane] += (double)sum[lane];
}

/* A plane of part `part` of its group. */
VECTOR_INLINE void add_plane(struct sums *sums, int part, const float *dy, const float *x, const lane_bits *bits, size_t n, float mean, lane_mask filled)
{
    vec d_sum[CHAINS] = { { 0 } }, product[CHAINS] = { { 0 } };
    size_t i = 0;
    for (; i + CHAINS <= n; i += CHAINS)
        for (size_t k = 0; k < CHAINS; k++) {
            const vec d = masked(dy, bits, i + k);
            d_sum[k] += d;
            product[k] = vec_fma(d, vec_load(x + (i + k) * LANES) - vec_all(mean), product[k]);
        }
    for (; i < n; i++) {
        const vec d = masked(dy, bits, i);
        d_sum[0] += d;
        product[0] = vec_fma(d, vec_load(x + i * LANES) - vec_all(mean), product[0]);
    }
    add_lanes(sums->d + part * LANES, filled, d_sum);
    add_lanes(sums->product + part * LANES, filled, product);
}

static double total(const double samples[GROUP])
{
    double sum = 0;
    for (int i = 0; i < GROUP; i++)
        sum += samples[i];
    return sum;
}

/* dx = scale (d - mean_d - (x - mean) slope) */
struct back { float mean, scale, mean_d, slope; };

/* dx and dr, each where it is wanted; one of them may lie on dy. */
VECTOR_INLINE void spread(float *dx, float *dr, const float *dy, const float *x, const lane_bits *bits, size_t n, struct back back, lane_mask filled)
{
    const vec mean = vec_all(back.mean), scale = vec_all(back.scale), mean_d = vec_all(back.mean_d), slope = vec_all(-back.slope);
    for (size_t i = 0; i < n; i++) {
        const vec d = masked(dy, bits, i);
        if (dx)
            vec_store(dx + i * LANES, vec_keep(filled, scale * vec_fma(vec_load(x + i * LANES) - mean, slope, d - mean_d)));
        if (dr)
            vec_store(dr + i * LANES, d);
    }
}

static void spread_plane(const struct batchnorm *bn, size_t at, struct back back, lane_mask filled)
{
    float *dx = gradient(bn->in, at), *dr = gradient(bn->residual, at);
    const float *dy = gradient(bn->out, at), *x = data(bn->in, at);
    const lane_bits *bits = kept_bits(bn, at);
    if (dx && !dr && bits)
        spread(dx, NULL, dy, x, bits, places(bn), back, filled);
    else if (dx && dr && bits)
        spread(dx, dr, dy, x, bits, places(bn), back, filled);
    else
        spread(dx, dr, dy, x, bits, places(bn), back, filled);
}

static int backward(struct op *op, const struct step *step, struct error *error)
{
    (void)error;
    const struct batchnorm *bn = (const struct batchnorm *)op;
    for (int c = 0; c < bn->out->shape.c; c++) {
        const struct channel channel = kept(bn)[c];
        struct sums sums = { { 0 }, { 0 } };
        for (int block = 0; block < lanes_blocks(bn->out->batch); block++) {
            const size_t at = lanes_plane(bn->out->shape, block, c);
            const lane_mask filled = lanes_filled(bn->out->batch, block);
            const float *dy = gradient(bn->out, at), *x = data(bn->in, at);
            if (bn->args.relu)
                add_plane(&sums, block % PARTS, dy, x, kept_bits(bn, at), places(bn), channel.mean, filled);
            else
                add_plane(&sums, block % PARTS, dy, x, NULL, places(bn), channel.mean, filled);
        }
        const double d = total(sums.d), product = total(sums.product), inverse = (double)channel.inverse_deviation;
        step->gradient[bn->weight->offset + (size_t)c] = (float)(product * inverse);
        step->gradient[bn->bias->offset + (size_t)c] = (float)d;
        const struct back back = { channel.mean, step->weights[bn->weight->offset + (size_t)c] * channel.inverse_deviation,
                                   (float)(d / count(bn)), (float)(product * inverse * inverse / count(bn)) };
        for (int block = 0; block < lanes_blocks(bn->out->batch); block++)
            spread_plane(bn, lanes_plane(bn->out->shape, block, c), back, lanes_filled(bn->out->batch, block));
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
            bn->op.saved_bytes += lanes_bits_bytes(bn->out->bytes / sizeof(vec));
    }
    *op = &bn->op;
    return 0;
}
