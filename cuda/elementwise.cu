/* Kernels that treat every element alone. A tensor is allocated in multiples of 16 bytes, so the last ones may run over its end. */
#include "cuda/activations.h"
#include "cuda/element.cuh"

namespace {

enum { THREADS = 256 };

struct relu_of { __device__ float operator()(float x, float) const { return relu(x); } };
struct sum_of { __device__ float operator()(float a, float b) const { return a + b; } };
struct clipped_sum_of { __device__ float operator()(float a, float b) const { return relu(a + b); } };
struct passed { __device__ float operator()(float y, float dy) const { return relu_passes(y) ? dy : 0; } };

/* to[i] = f(a[i], b[i]), and the same to `also` where that is not NULL; any of the four may be one. */
template <typename T, typename F> __global__ void each_element(T *to, T *also, const T *a, const T *b, size_t n, F f)
{
    constexpr int V = 16 / sizeof(T);
    const size_t i = ((size_t)blockIdx.x * blockDim.x + threadIdx.x) * V;
    if (i >= n)
        return;
    const several<T, V> x = load<T, V>(a + i), y = load<T, V>(b + i);
    several<T, V> result;
    for (int v = 0; v < V; v++)
        narrow(&result.at[v], f(widen(x.at[v]), widen(y.at[v])));
    store<T, V>(to + i, result);
    if (also)
        store<T, V>(also + i, result);
}

template <typename F> cudaError_t each(cudaStream_t stream, enum precision precision, size_t n, void *to, void *also, const void *a, const void *b, F f)
{
    return for_precision(precision, [=](auto zero) {
        using T = decltype(zero);
        return launch(each_element<T, F>, blocks_for(n, THREADS * (16 / sizeof(T))), THREADS, 0, stream, (T *)to, (T *)also, (const T *)a, (const T *)b, n, f);
    });
}

}

extern "C" cudaError_t cuda_launch_relu(cudaStream_t stream, enum precision precision, size_t n, void *y, const void *x)
{
    return each(stream, precision, n, y, NULL, x, x, relu_of());
}

extern "C" cudaError_t cuda_launch_add(cudaStream_t stream, enum precision precision, size_t n, void *y, const void *a, const void *b)
{
    return each(stream, precision, n, y, NULL, a, b, sum_of());
}

extern "C" cudaError_t cuda_launch_add_relu(cudaStream_t stream, enum precision precision, size_t n, void *y, const void *a, const void *b)
{
    return each(stream, precision, n, y, NULL, a, b, clipped_sum_of());
}

extern "C" cudaError_t cuda_launch_relu_back(cudaStream_t stream, enum precision precision, size_t n, void *dx, void *also, const void *y, const void *dy)
{
    return each(stream, precision, n, dx, also, y, dy, passed());
}
