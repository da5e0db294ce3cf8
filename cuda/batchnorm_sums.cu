/* The reductions of batch normalization, each in two kernels: blocks sum stretches of rows in fp32, then each channel's parts are put together in doubles, in a fixed order.
 *
 * Moments: a thread sums deviations from its own first value, so nothing cancels wherever the mean lies: were that value far from the others, the deviation would be in the
 * variance itself. Parts are merged by their means (Chan, Golub, LeVeque 1979). */
#include "cuda/columns.cuh"

static __device__ inline struct batchnorm_spread merged(const struct batchnorm_spread &a, const struct batchnorm_spread &b)
{
    if (b.n == 0)
        return a;
    const float n = a.n + b.n, share = b.n / n, d = b.mean - a.mean;
    const struct batchnorm_spread both = { n, fmaf(d, share, a.mean), a.squares + fmaf(d * d, a.n * share, b.squares) };
    return both;
}

static __device__ inline struct batchnorm_sums merged(const struct batchnorm_sums &a, const struct batchnorm_sums &b)
{
    const struct batchnorm_sums both = { a.d + b.d, a.product + b.product };
    return both;
}

namespace {

enum { CHANNELS = 32, DOWN = 16 }; /* of a block that puts parts together */

template <typename T, int V> __global__ void spread_of_stretch(struct batchnorm_spread *parts, const T *x, size_t rows, int channels)
{
    __shared__ struct batchnorm_spread all[V][BATCHNORM_THREADS];
    const int c = own_channel<V>();
    float sum[V] = {}, squares[V] = {};
    struct batchnorm_spread own[V] = {};
    int n = 0;
    if (c < channels && first_row() < rows) {
        const several<T, V> first = load<T, V>(x + first_row() * (size_t)channels + (size_t)c);
#pragma unroll 4
        for (size_t row = first_row(); row < rows; row += next_row(), n++) {
            const several<T, V> values = load<T, V>(x + row * (size_t)channels + (size_t)c);
            for (int v = 0; v < V; v++) {
                const float d = widen(values.at[v]) - widen(first.at[v]);
                sum[v] += d;
                squares[v] = fmaf(d, d, squares[v]);
            }
        }
        for (int v = 0; v < V; v++) {
            const float mean = sum[v] / (float)n;
            own[v].n = (float)n;
            own[v].mean = widen(first.at[v]) + mean;
            own[v].squares = relu(fmaf(-mean, sum[v], squares[v]));
        }
    }
    merge_rows<struct batchnorm_spread, V>(all, own);
    for (int v = 0; threadIdx.y == 0 && c < channels && v < V; v++)
        parts[(size_t)blockIdx.x * (size_t)channels + (size_t)(c + v)] = all[v][threadIdx.x];
}

template <typename T, int V>
__global__ void sums_of_stretch(struct batchnorm_sums *parts, const T *dy, const T *x, const T *y, const uint8_t *passes, const float *mean, size_t rows, int channels)
{
    __shared__ struct batchnorm_sums all[V][BATCHNORM_THREADS];
    const int c = own_channel<V>();
    struct batchnorm_sums own[V] = {};
    float centre[V] = {};
    for (int v = 0; c < channels && v < V; v++)
        centre[v] = mean[c + v];
#pragma unroll 4
    for (size_t row = c < channels ? first_row() : rows; row < rows; row += next_row()) {
        const size_t at = row * (size_t)channels + (size_t)c;
        const several<T, V> d = load<T, V>(dy + at), values = load<T, V>(x + at);
        const unsigned bits = passing<T, V>(passes, y, at);
        for (int v = 0; v < V; v++) {
            const float passed = bits >> v & 1 ? widen(d.at[v]) : 0;
            own[v].d += passed;
            own[v].product = fmaf(passed, widen(values.at[v]) - centre[v], own[v].product);
        }
    }
    merge_rows<struct batchnorm_sums, V>(all, own);
    for (int v = 0; threadIdx.y == 0 && c < channels && v < V; v++)
        parts[(size_t)blockIdx.x * (size_t)channels + (size_t)(c + v)] = all[v][threadIdx.x];
}

/* N doubles of each row of the block added up for the threads of its first; those return true. */
template <int N> __device__ bool add_rows(double (*all)[DOWN][CHANNELS], double sums[N])
{
    for (int i = 0; i < N; i++)
        all[i][threadIdx.y][threadIdx.x] = sums[i];
    __syncthreads();
    for (int i = 0; threadIdx.y == 0 && i < N; i++)
        for (int row = 1; row < DOWN; row++)
            sums[i] += all[i][row][threadIdx.x];
    return threadIdx.y == 0;
}

/* Around the first part's mean. */
__global__ void put_moments_together(struct batchnorm_pass pass, const struct batchnorm_spread *parts, unsigned stretches, float *running_mean, float *running_variance)
{
    __shared__ double all[2][DOWN][CHANNELS];
    const int c = (int)(blockIdx.x * CHANNELS + threadIdx.x);
    const double n = (double)pass.rows, centre = c < pass.channels ? (double)parts[c].mean : 0;
    double sums[2] = { 0, 0 };
    for (unsigned k = threadIdx.y; c < pass.channels && k < stretches; k += DOWN) {
        const struct batchnorm_spread part = parts[(size_t)k * (size_t)pass.channels + (size_t)c];
        const double d = (double)part.mean - centre;
        sums[0] += (double)part.n * d;
        sums[1] += (double)part.squares + (double)part.n * d * d;
    }
    if (!add_rows<2>(all, sums) || c >= pass.channels)
        return;
    const double off = sums[0] / n, mean = centre + off, squares = sums[1] - off * sums[0], variance = squares < 0 ? 0 : squares / n;
    const double unbiased = pass.rows > 1 ? variance * n / (n - 1) : variance, momentum = (double)pass.momentum;
    pass.mean[c] = (float)mean;
    pass.inverse[c] = (float)(1 / sqrt(variance + (double)pass.epsilon));
    running_mean[c] = (float)((double)running_mean[c] + momentum * (mean - (double)running_mean[c]));
    running_variance[c] = (float)((double)running_variance[c] + momentum * (unbiased - (double)running_variance[c]));
}

__global__ void put_sums_together(struct batchnorm_pass pass, const struct batchnorm_sums *parts, unsigned stretches, struct batchnorm_line *lines, float *dweight, float *dbias,
                                  const struct step_values *values)
{
    __shared__ double all[2][DOWN][CHANNELS];
    const int c = (int)(blockIdx.x * CHANNELS + threadIdx.x);
    const double n = (double)pass.rows;
    double sums[2] = { 0, 0 };
    for (unsigned k = threadIdx.y; c < pass.channels && k < stretches; k += DOWN) {
        const struct batchnorm_sums part = parts[(size_t)k * (size_t)pass.channels + (size_t)c];
        sums[0] += (double)part.d;
        sums[1] += (double)part.product;
    }
    if (!add_rows<2>(all, sums) || c >= pass.channels)
        return;
    const double inverse = (double)pass.inverse[c];
    dweight[c] = (float)(sums[1] * inverse) * values->inverse_loss_scale;
    dbias[c] = (float)sums[0] * values->inverse_loss_scale;
    const struct batchnorm_line line = { pass.mean[c], (float)((double)pass.weight[c] * inverse), (float)(sums[0] / n), (float)(sums[1] * inverse * inverse / n) };
    lines[c] = line;
}

unsigned channel_blocks(int channels) { return (unsigned)(channels + CHANNELS - 1) / CHANNELS; }

}

extern "C" cudaError_t cuda_launch_moments(cudaStream_t stream, enum precision precision, const struct batchnorm_pass *pass, struct batchnorm_spread *parts, const void *x,
                                           float *running_mean, float *running_variance)
{
    const struct batchnorm_cut cut = batchnorm_cut_for_sums(pass->rows, pass->channels);
    const cudaError_t status = for_precision(precision, [=](auto zero) {
        return for_vector(pass->channels, [=](auto vector) {
            using T = decltype(zero);
            return launch(spread_of_stretch<T, decltype(vector)::value>, dim3(cut.stretches, cut.tiles), dim3(cut.across, cut.down), 0, stream, parts, (const T *)x, pass->rows,
                          pass->channels);
        });
    });
    if (status != cudaSuccess)
        return status;
    return launch(put_moments_together, channel_blocks(pass->channels), dim3(CHANNELS, DOWN), 0, stream, *pass, (const struct batchnorm_spread *)parts, cut.stretches, running_mean,
                  running_variance);
}

extern "C" cudaError_t cuda_launch_batchnorm_sums(cudaStream_t stream, enum precision precision, const struct batchnorm_pass *pass, struct batchnorm_sums *parts,
                                                  struct batchnorm_line *lines, float *dweight, float *dbias, const void *dy, const void *x, const void *y,
                                                  const struct step_values *values)
{
    const struct batchnorm_cut cut = batchnorm_cut_for_sums(pass->rows, pass->channels);
    const cudaError_t status = for_precision(precision, [=](auto zero) {
        return for_vector(pass->channels, [=](auto vector) {
            using T = decltype(zero);
            return launch(sums_of_stretch<T, decltype(vector)::value>, dim3(cut.stretches, cut.tiles), dim3(cut.across, cut.down), 0, stream, parts, (const T *)dy, (const T *)x,
                          pass->relu ? (const T *)y : NULL, (const uint8_t *)pass->passes, (const float *)pass->mean, pass->rows, pass->channels);
        });
    });
    if (status != cudaSuccess)
        return status;
    return launch(put_sums_together, channel_blocks(pass->channels), dim3(CHANNELS, DOWN), 0, stream, *pass, (const struct batchnorm_sums *)parts, cut.stretches, lines, dweight, dbias,
                  values);
}
