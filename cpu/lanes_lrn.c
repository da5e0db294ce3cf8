/* Local response normalization across channels, in lanes: y = x / s^beta, s = k + alpha/size * the sum of squares of `size` channels around. */
#include "base/elementary.h"
#include "cpu/lanes.h"

struct lrn {
    struct op op;
    struct lrn_args args;
    int batch;
    bool training;
    const struct tensor *in, *out;
};

/* s^-beta; the usual beta without a call to pow. */
static vec power(vec s, float beta)
{
    if (beta == 0.75f)
        return vec_all(1) / (vec_sqrt(s) * vec_sqrt(vec_sqrt(s)));
    for (int i = 0; i < LANES; i++)
        s[i] = (float)elementary_pow((double)s[i], -(double)beta);
    return s;
}

/* The sum over the channels around c of a[channel], or of its square; channels `plane` floats apart. */
static vec around(const struct lrn *lrn, const float *a, int c, size_t plane, bool square)
{
    const int half = lrn->args.size / 2, channels = lrn->in->shape.c;
    const int begin = c - half > 0 ? c - half : 0, end = c + half + 1 < channels ? c + half + 1 : channels;
    vec sum = vec_zero();
    for (int j = begin; j < end; j++) {
        vec x = vec_load(a + (size_t)j * plane);
        sum += square ? x * x : x;
    }
    return sum;
}

static int forward(struct op *op, const struct step *step, struct error *error)
{
    (void)step, (void)error;
    const struct lrn *lrn = (const struct lrn *)op;
    const struct shape in = lrn->in->shape;
    const size_t plane = (size_t)in.h * (size_t)in.w * LANES;
    const vec share = vec_all(lrn->args.alpha / (float)lrn->args.size);
    for (size_t block = 0; block < (size_t)lanes_blocks(lrn->batch); block++) {
        const float *x = (const float *)lrn->in->data + block * lanes_count(in);
        float *y = (float *)lrn->out->data + block * lanes_count(in);
        float *kept = lrn->training ? (float *)op->saved + block * lanes_count(in) : NULL;
        for (int c = 0; c < in.c; c++)
            for (size_t i = 0; i < plane; i += LANES) {
                const size_t at = (size_t)c * plane + i;
                vec s = vec_fma(share, around(lrn, x + i, c, plane, true), vec_all(lrn->args.k));
                if (kept)
                    vec_store(kept + at, s);
                vec_store(y + at, vec_load(x + at) * power(s, lrn->args.beta));
            }
    }
    return 0;
}

/* dx = d s^-beta - 2 alpha beta / size x (the sum around of d x s^(-beta - 1)); the terms of that sum stand in scratch. */
static int backward(struct op *op, const struct step *step, struct error *error)
{
    (void)step, (void)error;
    const struct lrn *lrn = (const struct lrn *)op;
    const struct shape in = lrn->in->shape;
    const size_t plane = (size_t)in.h * (size_t)in.w * LANES, count = lanes_count(in);
    const vec factor = vec_all(2 * lrn->args.alpha * lrn->args.beta / (float)lrn->args.size);
    float *terms = op->scratch;
    if (!lrn->in->gradient)
        return 0;
    for (size_t block = 0; block < (size_t)lanes_blocks(lrn->batch); block++) {
        const float *x = (const float *)lrn->in->data + block * count, *s = (const float *)op->saved + block * count;
        const float *d = (const float *)lrn->out->gradient + block * count;
        float *dx = (float *)lrn->in->gradient + block * count;
        for (size_t at = 0; at < count; at += LANES) {
            vec direct = vec_load(d + at) * power(vec_load(s + at), lrn->args.beta);
            vec_store(dx + at, direct);
            vec_store(terms + at, direct * vec_load(x + at) / vec_load(s + at));
        }
        for (int c = 0; c < in.c; c++)
            for (size_t i = 0; i < plane; i += LANES) {
                const size_t at = (size_t)c * plane + i;
                vec sum = around(lrn, terms + i, c, plane, false);
                vec_store(dx + at, vec_load(dx + at) - factor * vec_load(x + at) * sum);
            }
    }
    return 0;
}

static const struct op_calls calls = { .forward = forward, .backward = backward, .free = lanes_op_free };

int lanes_lrn(struct op **op, const struct op_request *request, const struct lrn_args *args, struct error *error)
{
    struct lrn *lrn = lanes_op_new(sizeof *lrn, &calls, request, error);
    if (!lrn)
        return -1;
    lrn->args = *args;
    lrn->batch = request->batch;
    lrn->training = request->training;
    lrn->in = request->inputs[0];
    lrn->out = request->output;
    if (request->training) {
        lrn->op.saved_bytes = lrn->out->bytes;
        lrn->op.scratch_bytes = lanes_count(lrn->in->shape) * sizeof(float);
    }
    *op = &lrn->op;
    return 0;
}
