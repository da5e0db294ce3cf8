/* Convolutions of the emulated cuDNN, on dense floats. The innermost loop always runs over memory in order. */
#include "tests/emulated/emulated_cudnn.h"

#include <stdlib.h>

/* Only on memory of one run of a plan, so nothing is lost when the sanitizers do not look: */
#if defined __clang__
#define UNWATCHED __attribute__((no_sanitize("address", "thread"), noinline))
#else
#define UNWATCHED __attribute__((no_sanitize_address, no_sanitize_thread, noinline))
#endif

UNWATCHED static void add_scaled(float *restrict to, const float *restrict from, float factor, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        to[i] += factor * from[i];
}

/* Where output place (p, q) and filter place (r, s) meet the input: the offset of that pixel within a sample, or -1 in the padding. */
static int64_t pixel(const struct dnn_conv_shape *shape, int64_t p, int64_t q, int64_t r, int64_t s)
{
    const struct dnn_geometry *at = &shape->geometry;
    int64_t h = p * at->stride[0] + r * at->dilation[0] - at->pad[0], w = q * at->stride[1] + s * at->dilation[1] - at->pad[1];
    return h < 0 || h >= shape->h || w < 0 || w >= shape->w ? -1 : (h * shape->w + w) * shape->c;
}

/* The filter's place (r, s), mirrored where a convolution is meant. */
static int64_t place(const struct dnn_conv_shape *shape, int64_t r, int64_t s)
{
    return shape->geometry.flip ? (shape->r - 1 - r) * shape->s + shape->s - 1 - s : r * shape->s + s;
}

/* [K][R][S][C] to [R][S][C][K] */
static float *turned(const struct dnn_conv_shape *shape, const float *w)
{
    const int64_t places = shape->r * shape->s * shape->filter_c;
    float *to = malloc((size_t)(places * shape->k) * sizeof *to);
    if (!to)
        abort();
    for (int64_t k = 0; k < shape->k; k++)
        for (int64_t i = 0; i < places; i++)
            to[i * shape->k + k] = w[k * places + i];
    return to;
}

void dnn_conv_forward(const struct dnn_conv_shape *shape, const float *x, const float *w, float *y)
{
    const int64_t groups = shape->c / shape->filter_c, group_k = shape->k / groups;
    float *filters = turned(shape, w);
    memset(y, 0, (size_t)(shape->n * shape->p * shape->q * shape->k) * sizeof *y);
    for (int64_t i = 0; i < shape->n * shape->p * shape->q; i++) {
        const int64_t sample = i / (shape->p * shape->q), p = i / shape->q % shape->p, q = i % shape->q;
        for (int64_t r = 0; r < shape->r; r++)
            for (int64_t s = 0; s < shape->s; s++) {
                const int64_t at = pixel(shape, p, q, r, s);
                for (int64_t c = 0; at >= 0 && c < shape->c; c++) {
                    const int64_t group = c / shape->filter_c, from = (place(shape, r, s) * shape->filter_c + c % shape->filter_c) * shape->k + group * group_k;
                    add_scaled(y + i * shape->k + group * group_k, filters + from, x[sample * shape->h * shape->w * shape->c + at + c], group_k);
                }
            }
    }
    free(filters);
}

void dnn_conv_backward_data(const struct dnn_conv_shape *shape, const float *w, const float *dy, float *dx)
{
    const int64_t group_k = shape->k / (shape->c / shape->filter_c);
    memset(dx, 0, (size_t)(shape->n * shape->h * shape->w * shape->c) * sizeof *dx);
    for (int64_t i = 0; i < shape->n * shape->p * shape->q; i++) {
        const int64_t sample = i / (shape->p * shape->q), p = i / shape->q % shape->p, q = i % shape->q;
        for (int64_t r = 0; r < shape->r; r++)
            for (int64_t s = 0; s < shape->s; s++) {
                const int64_t at = pixel(shape, p, q, r, s);
                for (int64_t k = 0; at >= 0 && k < shape->k; k++)
                    add_scaled(dx + sample * shape->h * shape->w * shape->c + at + k / group_k * shape->filter_c,
                               w + (k * shape->r * shape->s + place(shape, r, s)) * shape->filter_c, dy[i * shape->k + k], shape->filter_c);
            }
    }
}

void dnn_conv_backward_filter(const struct dnn_conv_shape *shape, const float *x, const float *dy, float *dw, int64_t first)
{
    const int64_t group_k = shape->k / (shape->c / shape->filter_c), places = shape->p * shape->q;
    memset(dw, 0, (size_t)(shape->k * shape->r * shape->s * shape->filter_c) * sizeof *dw);
    for (int64_t j = 0; j < shape->n * places; j++) {
        const int64_t sample = (j / places + first) % shape->n, p = j / shape->q % shape->p, q = j % shape->q, i = sample * places + j % places;
        for (int64_t r = 0; r < shape->r; r++)
            for (int64_t s = 0; s < shape->s; s++) {
                const int64_t at = pixel(shape, p, q, r, s);
                for (int64_t k = 0; at >= 0 && k < shape->k; k++)
                    add_scaled(dw + (k * shape->r * shape->s + place(shape, r, s)) * shape->filter_c,
                               x + sample * shape->h * shape->w * shape->c + at + k / group_k * shape->filter_c, dy[i * shape->k + k], shape->filter_c);
            }
    }
}
