/* The elementwise passes of batch normalization: one that normalizes, adds and clips, one that writes both inputs' gradients. A thread keeps its channels' constants in
 * registers and goes down the rows. */
#include "cuda/columns.cuh"

namespace {

enum { THREADS = 256, LEAST_ROWS = 2, BLOCKS = 2048 };

__global__ void take_running(struct batchnorm_pass pass, const float *running_mean, const float *running_variance)
{
    const int c = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (c >= pass.channels)
        return;
    pass.mean[c] = running_mean[c];
    pass.inverse[c] = 1 / sqrtf(running_variance[c] + pass.epsilon);
}

template <typename T, int V> __global__ void normalize(struct batchnorm_pass pass, T *y, const T *x, const T *residual)
{
    const int c = own_channel<V>();
    if (c >= pass.channels)
        return;
    float mean[V], scale[V], shift[V];
    for (int v = 0; v < V; v++) {
        mean[v] = pass.mean[c + v];
        scale[v] = pass.weight[c + v] * pass.inverse[c + v];
        shift[v] = pass.bias[c + v];
    }
    for (size_t row = first_row(); row < pass.rows; row += next_row()) {
        const size_t at = row * (size_t)pass.channels + (size_t)c;
        const several<T, V> from = load<T, V>(x + at), more = residual ? load<T, V>(residual + at) : several<T, V>();
        several<T, V> to;
        unsigned bits = 0;
        for (int v = 0; v < V; v++) {
            float a = fmaf(widen(from.at[v]) - mean[v], scale[v], shift[v]);
            if (residual)
                a += widen(more.at[v]);
            narrow(&to.at[v], pass.relu ? relu(a) : a);
            bits |= (unsigned)relu_passes(widen(to.at[v])) << v;
        }
        store<T, V>(y + at, to);
        if (pass.passes)
            pass.passes[at / V] = (uint8_t)bits;
    }
}

template <typename T, int V>
__global__ void spread_back(struct batchnorm_pass pass, T *dx, T *dresidual, const T *dy, const T *x, const T *y, const struct batchnorm_line *lines)
{
    const int c = own_channel<V>();
    if (c >= pass.channels)
        return;
    struct batchnorm_line line[V];
    for (int v = 0; v < V; v++)
        line[v] = lines[c + v];
    for (size_t row = first_row(); row < pass.rows; row += next_row()) {
        const size_t at = row * (size_t)pass.channels + (size_t)c;
        const several<T, V> from = load<T, V>(dy + at), values = load<T, V>(x + at);
        const unsigned bits = passing<T, V>(pass.passes, y, at);
        several<T, V> passed, to;
        for (int v = 0; v < V; v++) {
            const float d = bits >> v & 1 ? widen(from.at[v]) : 0;
            narrow(&passed.at[v], d);
            narrow(&to.at[v], line[v].scale * fmaf(line[v].mean - widen(values.at[v]), line[v].slope, d - line[v].mean_d));
        }
        if (dx)
            store<T, V>(dx + at, to);
        if (dresidual)
            store<T, V>(dresidual + at, passed);
    }
}

}

extern "C" cudaError_t cuda_launch_running(cudaStream_t stream, const struct batchnorm_pass *pass, const float *running_mean, const float *running_variance)
{
    return launch(take_running, blocks_for((size_t)pass->channels, THREADS), THREADS, 0, stream, *pass, running_mean, running_variance);
}

extern "C" cudaError_t cuda_launch_normalize(cudaStream_t stream, enum precision precision, const struct batchnorm_pass *pass, void *y, const void *x, const void *residual)
{
    const struct batchnorm_cut cut = batchnorm_cut(pass->rows, pass->channels, LEAST_ROWS, BLOCKS);
    return for_precision(precision, [=](auto zero) {
        return for_vector(pass->channels, [=](auto vector) {
            using T = decltype(zero);
            return launch(normalize<T, decltype(vector)::value>, dim3(cut.tiles, cut.stretches), dim3(cut.across, cut.down), 0, stream, *pass, (T *)y, (const T *)x,
                          (const T *)residual);
        });
    });
}

extern "C" cudaError_t cuda_launch_batchnorm_back(cudaStream_t stream, enum precision precision, const struct batchnorm_pass *pass, void *dx, void *dresidual, const void *dy,
                                                  const void *x, const void *y, const struct batchnorm_line *lines)
{
    const struct batchnorm_cut cut = batchnorm_cut(pass->rows, pass->channels, LEAST_ROWS, BLOCKS);
    return for_precision(precision, [=](auto zero) {
        return for_vector(pass->channels, [=](auto vector) {
            using T = decltype(zero);
            return launch(spread_back<T, decltype(vector)::value>, dim3(cut.tiles, cut.stretches), dim3(cut.across, cut.down), 0, stream, *pass, (T *)dx, (T *)dresidual,
                          (const T *)dy, (const T *)x, pass->relu ? (const T *)y : NULL, lines);
        });
    });
}
