/* Batch normalization in lanes, with or without ReLU. The lanes beyond the batch are kept out of the statistics and get no gradient. */
#include "cpu/lanes.h"

#include <math.h>

struct batchnorm {
    struct op op;
    struct batchnorm_args args;
    int batch;
    bool training;
    const struct tensor *in, *out;
    const struct param *weight, *bias, *mean, *variance;
};

/* What forward keeps for backward. */
struct channel { float mean, inverse_deviation; };

static size_t places(const struct batchnorm *bn) { return (size_t)bn->out->shape.h * (size_t)bn->out->shape.w; }

static size_t plane(const struct batchnorm *bn, int group, int c)
{
    return ((size_t)group * (size_t)bn->out->shape.c + (size_t)c) * places(bn) * LANES;
}

static struct channel *kept(const struct batchnorm *bn) { return bn->op.saved; }
static uint16_t *masks(const struct batchnorm *bn) { return (uint16_t *)(kept(bn) + bn->out->shape.c); }

static double count(const struct batchnorm *bn) { return (double)bn->batch * (double)places(bn); }

/* Over the batch and the plane: of x - mean, or of its square. */
static double channel_sum(const struct batchnorm *bn, int c, float mean, bool square)
{
    double sum = 0;
    for (int group = 0; group < lanes_groups(bn->batch); group++) {
        const float *x = (const float *)bn->in->data + plane(bn, group, c);
        v16 part = v16_zero();
        for (size_t i = 0; i < places(bn); i++) {
            v16 a = v16_load(x + i * LANES) - v16_all(mean);
            part += square ? a * a : a;
        }
        sum += (double)v16_sum(v16_keep(lanes_filled(bn->batch, group), part));
    }
    return sum;
}

static struct channel statistics(const struct batchnorm *bn, int c, const struct step *step)
{
    float *running_mean = step->stats + bn->mean->offset + c, *running_variance = step->stats + bn->variance->offset + c;
    if (!bn->training)
        return (struct channel){ *running_mean, 1.0f / sqrtf(*running_variance + bn->args.epsilon) };
    const double n = count(bn), mean = channel_sum(bn, c, 0, false) / n;
    const double variance = channel_sum(bn, c, (float)mean, true) / n;
    const float m = bn->args.momentum;
    *running_mean += m * ((float)mean - *running_mean);
    *running_variance += m * ((float)(n > 1 ? variance * n / (n - 1) : variance) - *running_variance);
    return (struct channel){ (float)mean, (float)(1 / sqrt(variance + (double)bn->args.epsilon)) };
}

static int forward(struct op *op, const struct step *step, struct error *error)
{
    (void)error;
    const struct batchnorm *bn = (const struct batchnorm *)op;
    for (int c = 0; c < bn->out->shape.c; c++) {
        const struct channel channel = statistics(bn, c, step);
        if (bn->training)
            kept(bn)[c] = channel;
        const v16 mean = v16_all(channel.mean), shift = v16_all(step->weights[bn->bias->offset + (size_t)c]);
        const v16 scale = v16_all(step->weights[bn->weight->offset + (size_t)c] * channel.inverse_deviation);
        for (int group = 0; group < lanes_groups(bn->batch); group++) {
            const size_t at = plane(bn, group, c);
            const float *x = (const float *)bn->in->data + at;
            float *y = (float *)bn->out->data + at;
            for (size_t i = 0; i < places(bn); i++) {
                uint16_t mask;
                v16 a = v16_fma(v16_load(x + i * LANES) - mean, scale, shift);
                if (bn->args.relu)
                    a = v16_relu(a, bn->training ? &masks(bn)[at / LANES + i] : &mask);
                v16_store(y + i * LANES, a);
            }
        }
    }
    return 0;
}

static v16 gradient_at(const struct batchnorm *bn, size_t at)
{
    v16 d = v16_load((const float *)bn->out->gradient + at);
    return bn->args.relu ? v16_keep(masks(bn)[at / LANES], d) : d;
}

/* dx = weight / deviation (d - mean(d) - x^ mean(d x^)) */
static void input_gradient(const struct batchnorm *bn, int c, float weight, double sum, double product)
{
    const struct channel channel = kept(bn)[c];
    const v16 mean = v16_all(channel.mean), inverse = v16_all(channel.inverse_deviation), scale = v16_all(weight * channel.inverse_deviation);
    const v16 mean_d = v16_all((float)(sum / count(bn))), mean_product = v16_all((float)(product / count(bn)));
    for (int group = 0; group < lanes_groups(bn->batch); group++) {
        const uint16_t filled = lanes_filled(bn->batch, group);
        const size_t end = plane(bn, group, c) + places(bn) * LANES;
        for (size_t at = plane(bn, group, c); at < end; at += LANES) {
            v16 normal = (v16_load((const float *)bn->in->data + at) - mean) * inverse;
            v16 d = gradient_at(bn, at) - mean_d - normal * mean_product;
            v16_store((float *)bn->in->gradient + at, v16_keep(filled, scale * d));
        }
    }
}

static int backward(struct op *op, const struct step *step, struct error *error)
{
    (void)error;
    const struct batchnorm *bn = (const struct batchnorm *)op;
    for (int c = 0; c < bn->out->shape.c; c++) {
        const struct channel channel = kept(bn)[c];
        double sum = 0, product = 0;
        for (int group = 0; group < lanes_groups(bn->batch); group++) {
            v16 d_part = v16_zero(), product_part = v16_zero();
            const size_t end = plane(bn, group, c) + places(bn) * LANES;
            for (size_t at = plane(bn, group, c); at < end; at += LANES) {
                v16 d = gradient_at(bn, at);
                d_part += d;
                product_part = v16_fma(d, v16_load((const float *)bn->in->data + at) - v16_all(channel.mean), product_part);
            }
            const uint16_t filled = lanes_filled(bn->batch, group);
            sum += (double)v16_sum(v16_keep(filled, d_part));
            product += (double)v16_sum(v16_keep(filled, product_part));
        }
        product *= (double)channel.inverse_deviation;
        step->gradient[bn->weight->offset + (size_t)c] = (float)product;
        step->gradient[bn->bias->offset + (size_t)c] = (float)sum;
        if (bn->in->gradient)
            input_gradient(bn, c, step->weights[bn->weight->offset + (size_t)c], sum, product);
    }
    return 0;
}

static const struct op_calls calls = { .forward = forward, .backward = backward, .free = lanes_op_free };

int lanes_batchnorm(struct op **op, const struct op_request *request, const struct batchnorm_args *args, struct error *error)
{
    struct batchnorm *bn = lanes_op_new(sizeof *bn, &calls, request, error);
    if (!bn)
        return -1;
    bn->args = *args;
    bn->batch = request->batch;
    bn->training = request->training;
    bn->in = request->inputs[0];
    bn->out = request->output;
    bn->weight = request->params[0];
    bn->bias = request->params[1];
    bn->mean = request->stats[0];
    bn->variance = request->stats[1];
    if (request->training) {
        bn->op.saved_bytes = (size_t)bn->out->shape.c * sizeof(struct channel);
        if (args->relu)
            bn->op.saved_bytes += bn->out->bytes / sizeof(v16) * sizeof(uint16_t);
    }
    *op = &bn->op;
    return 0;
}
