/* The elementwise passes over flat vectors (backend.h defines them).
 *
 * A pass walks its vectors in blocks small enough to stay in the first cache: gradients are summed there and compensated, then weights
 * and momentum are read and written once. So main memory is touched once an element, however many gradients there are. Every element
 * goes through the same operations in the same order wherever its block begins; vectorizing changes no bit.
 *
 * Compiled once for each instruction set, as lanes*.c are, and part of the same table: see isa.h and forward.c. */
#include "cpu/device.h"

#include <math.h>
#include <string.h>

enum { BLOCK = 1024 };

/* Pointers of one pass may be equal, never overlap otherwise: iterations are independent. */
#ifdef __clang__
#define ELEMENTWISE _Pragma("clang loop vectorize(assume_safety)")
#else
#define ELEMENTWISE _Pragma("GCC ivdep")
#endif

static inline size_t block_length(size_t at, size_t n) { return n - at < BLOCK ? n - at : BLOCK; }

/* Two gradients at a time: fewer passes over the block. The sums keep their order. Inlined, because gcc 12's copy of its own takes three times as long
 * with eight gradients. */
static inline __attribute__((always_inline)) void sum_gradients(float *restrict sum, const float *const *gradients, int k, size_t at, size_t n)
{
    const float *restrict first = gradients[0] + at;
    int next = 1;
    if (k > 1) {
        const float *restrict second = gradients[1] + at;
        for (size_t i = 0; i < n; i++)
            sum[i] = first[i] + second[i];
        next = 2;
    } else {
        for (size_t i = 0; i < n; i++)
            sum[i] = first[i];
    }
    for (; next + 1 < k; next += 2) {
        const float *restrict a = gradients[next] + at, *restrict b = gradients[next + 1] + at;
        for (size_t i = 0; i < n; i++)
            sum[i] = (sum[i] + a[i]) + b[i];
    }
    if (next < k) {
        const float *restrict last = gradients[next] + at;
        for (size_t i = 0; i < n; i++)
            sum[i] += last[i];
    }
}

static void compensate_constant(float *restrict g, const float *restrict now, const float *restrict backup, float lambda, size_t n)
{
    for (size_t i = 0; i < n; i++)
        g[i] += lambda * g[i] * g[i] * (now[i] - backup[i]);
}

static void compensate_adaptive(float *restrict g, const float *restrict now, const float *restrict backup, const float *restrict mean_square, float lambda, size_t n)
{
    for (size_t i = 0; i < n; i++)
        g[i] += lambda / sqrtf(mean_square[i] + 1e-7f) * g[i] * g[i] * (now[i] - backup[i]);
}

static void track_mean_square(float *restrict mean_square, const float *restrict g, float decay, size_t n)
{
    float rest = 1 - decay;
    for (size_t i = 0; i < n; i++)
        mean_square[i] = decay * mean_square[i] + rest * (g[i] * g[i]);
}

/* With lambda 0 the gradient is left as it is, so that a zero keeps its sign. */
static void compensate(float *g, const struct compensation *c, size_t at, size_t n)
{
    if (!c->backup)
        return;
    if (c->mean_square)
        track_mean_square(c->mean_square + at, g, c->decay, n);
    if (c->lambda == 0)
        return;
    if (c->mean_square)
        compensate_adaptive(g, c->now + at, c->backup + at, c->mean_square + at, c->lambda, n);
    else
        compensate_constant(g, c->now + at, c->backup + at, c->lambda, n);
}

/* What P takes off W' (docs/algorithms.md section 6): factors of V and of W. */
struct ahead { float rate, v, w; };

static struct ahead look_ahead(const struct sgd_pass *pass)
{
    if (pass->nesterov)
        return (struct ahead){ pass->next_rate, pass->momentum * pass->momentum, (1 + pass->momentum) * pass->weight_decay };
    return (struct ahead){ pass->next_rate, pass->momentum, pass->weight_decay };
}

static inline float forecast(struct ahead ahead, float w, float v) { return w - ahead.rate * (ahead.v * v + ahead.w * w); }

static inline __attribute__((always_inline)) void update(const struct sgd_pass *pass, const float *g, size_t at, size_t n, bool nesterov, bool with_p)
{
    const float *w = pass->w + at;
    float *v = pass->v + at, *w_out = pass->w_out + at, *p = with_p ? pass->p + at : NULL;
    float scale = pass->scale, rate = pass->rate, momentum = pass->momentum, weight_decay = pass->weight_decay;
    struct ahead ahead = look_ahead(pass);
    ELEMENTWISE
    for (size_t i = 0; i < n; i++) {
        float d = scale * (g[i] + weight_decay * w[i]);
        float v_new = momentum * v[i] + d;
        float w_new = w[i] - rate * (nesterov ? d + momentum * v_new : v_new);
        v[i] = v_new;
        w_out[i] = w_new;
        if (with_p)
            p[i] = forecast(ahead, w_new, v_new);
    }
}

static void update_block(const struct sgd_pass *pass, const float *g, size_t at, size_t n)
{
    if (pass->nesterov)
        pass->p ? update(pass, g, at, n, true, true) : update(pass, g, at, n, true, false);
    else
        pass->p ? update(pass, g, at, n, false, true) : update(pass, g, at, n, false, false);
}

void cpu_average(struct device *device, float *average, const float *values, float rate, size_t n)
{
    (void)device;
    ELEMENTWISE
    for (size_t i = 0; i < n; i++)
        average[i] += rate * (values[i] - average[i]);
}

static void scale_block(float *g, float factor, size_t n)
{
    for (size_t i = 0; i < n; i++)
        g[i] *= factor;
}

void cpu_sgd(struct device *device, const struct sgd_pass *pass)
{
    _Alignas(64) float g[BLOCK];
    for (size_t at = 0; at < pass->n; at += BLOCK) {
        size_t n = block_length(at, pass->n);
        sum_gradients(g, pass->gradients, pass->k, at, n);
        scale_block(g, pass->inv_k, n);
        compensate(g, &pass->compensation, at, n);
        update_block(pass, g, at, n);
        if (pass->average)
            cpu_average(device, pass->average + at, pass->w_out + at, pass->average_rate, n);
    }
}

static double block_square_sum(const float *g, size_t n)
{
    enum { PARTS = 16 };
    double parts[PARTS] = { 0 }, sum = 0;
    size_t whole = n / PARTS * PARTS;
    for (size_t at = 0; at < whole; at += PARTS)
        for (int i = 0; i < PARTS; i++)
            parts[i] += (double)g[at + (size_t)i] * (double)g[at + (size_t)i];
    for (size_t i = whole; i < n; i++)
        parts[i - whole] += (double)g[i] * (double)g[i];
    for (int i = 0; i < PARTS; i++)
        sum += parts[i];
    return sum;
}

double cpu_square_sum(struct device *device, const float *const *gradients, int k, float inv_k, size_t n)
{
    (void)device;
    _Alignas(64) float g[BLOCK];
    double sum = 0;
    for (size_t at = 0; at < n; at += BLOCK) {
        size_t length = block_length(at, n);
        sum_gradients(g, gradients, k, at, length);
        scale_block(g, inv_k, length);
        sum += block_square_sum(g, length);
    }
    return sum;
}

void cpu_forecast(struct device *device, const struct sgd_pass *pass)
{
    (void)device;
    struct ahead ahead = look_ahead(pass);
    ELEMENTWISE
    for (size_t i = 0; i < pass->n; i++)
        pass->p[i] = forecast(ahead, pass->w[i], pass->v[i]);
}

static void local_step(const struct local_pass *pass, const float *g, size_t at, size_t n)
{
    const float *w = pass->w + at;
    float *l = pass->l + at;
    float rate = pass->rate, weight_decay = pass->weight_decay;
    ELEMENTWISE
    for (size_t i = 0; i < n; i++)
        l[i] = w[i] + (0 - rate * (g[i] + weight_decay * w[i]));
}

static void local_momentum_step(const struct local_pass *pass, const float *g, size_t at, size_t n)
{
    const float *w = pass->w + at;
    float *l = pass->l + at, *m = pass->m + at;
    float rate = pass->rate, weight_decay = pass->weight_decay, momentum = pass->momentum;
    ELEMENTWISE
    for (size_t i = 0; i < n; i++) {
        float m_new = momentum * m[i] - rate * (g[i] + weight_decay * w[i]);
        m[i] = m_new;
        l[i] = w[i] + m_new;
    }
}

void cpu_local(struct device *device, const struct local_pass *pass)
{
    (void)device;
    _Alignas(64) float block[BLOCK];
    for (size_t at = 0; at < pass->n; at += BLOCK) {
        size_t n = block_length(at, pass->n);
        const float *g = pass->g + at;
        if (pass->compensation.backup || pass->factor != 1) {
            memcpy(block, g, n * sizeof *block);
            scale_block(block, pass->factor, n);
            compensate(block, &pass->compensation, at, n);
            g = block;
        }
        if (pass->m)
            local_momentum_step(pass, g, at, n);
        else
            local_step(pass, g, at, n);
    }
}

void cpu_predict(struct device *device, float *l, const float *p, const float *g, float c, size_t n)
{
    (void)device;
    ELEMENTWISE
    for (size_t i = 0; i < n; i++)
        l[i] = p[i] - c * g[i];
}
