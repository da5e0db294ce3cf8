/* Local response normalization: with s = k + alpha/size * sum of x^2 over the channels around, y = x s^-beta, and dx = dy s^-beta - 2 alpha beta/size x * sum over the same
 * channels of dy x s^(-beta-1). Channels are neighbours in memory; what a window reads again comes out of the cache. */
#include "cuda/activations.h"
#include "cuda/element.cuh"

namespace {

enum { THREADS = 256 };

/* Channels [from, to) around c. */
struct window { int from, to; };

static __device__ struct window window_at(int c, int channels, int size)
{
    const struct window window = { c < size / 2 ? 0 : c - size / 2, c + size / 2 + 1 > channels ? channels : c + size / 2 + 1 };
    return window;
}

template <typename T> __global__ void normalize(T *y, float *base, const T *x, size_t n, int channels, struct lrn_args args)
{
    const size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    const int c = (int)(i % (size_t)channels);
    const struct window window = window_at(c, channels, args.size);
    const T *place = x + i - c;
    float squares = 0;
    for (int k = window.from; k < window.to; k++)
        squares = fmaf(widen(place[k]), widen(place[k]), squares);
    const float s = fmaf(args.alpha / (float)args.size, squares, args.k);
    narrow(&y[i], widen(x[i]) * powf(s, -args.beta));
    if (base)
        base[i] = s;
}

template <typename T> __global__ void spread_back(T *dx, const T *dy, const T *x, const float *base, size_t n, int channels, struct lrn_args args)
{
    const size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    const int c = (int)(i % (size_t)channels);
    const struct window window = window_at(c, channels, args.size);
    const size_t place = i - (size_t)c;
    float spread = 0;
    for (int k = window.from; k < window.to; k++)
        spread = fmaf(widen(dy[place + k]) * widen(x[place + k]), powf(base[place + k], -args.beta - 1), spread);
    const float slope = 2 * args.alpha * args.beta / (float)args.size;
    narrow(&dx[i], fmaf(-slope * widen(x[i]), spread, widen(dy[i]) * powf(base[i], -args.beta)));
}

}

extern "C" cudaError_t cuda_launch_lrn(cudaStream_t stream, enum precision precision, size_t n, int channels, void *y, float *base, const void *x, const struct lrn_args *args)
{
    return for_precision(precision, [=](auto zero) {
        using T = decltype(zero);
        return launch(normalize<T>, blocks_for(n, THREADS), THREADS, 0, stream, (T *)y, base, (const T *)x, n, channels, *args);
    });
}

extern "C" cudaError_t cuda_launch_lrn_back(cudaStream_t stream, enum precision precision, size_t n, int channels, void *dx, const void *dy, const void *x, const float *base,
                                            const struct lrn_args *args)
{
    return for_precision(precision, [=](auto zero) {
        using T = decltype(zero);
        return launch(spread_back<T>, blocks_for(n, THREADS), THREADS, 0, stream, (T *)dx, (const T *)dy, (const T *)x, base, n, channels, *args);
    });
}
