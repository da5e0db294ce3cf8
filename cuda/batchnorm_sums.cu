/* The reductions of batch normalization: blocks sum stretches of rows in fp32; of each tile of channels the last block to be done puts the parts together in doubles, in an
 * order that does not depend on which one that is. They go from the last row to the first: the last rows are what was written last, the first ones what the pass behind reads first,
 * and either may still lie in the second cache.
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

/* What a stretch of rows has, to its parts. */
template <typename T, int V> __device__ void spread_of_stretch(struct batchnorm_spread *parts, const T *x, size_t rows, int channels)
{
    __shared__ struct batchnorm_spread all[V][BATCHNORM_THREADS];
    const int c = own_channel<V>();
    float sum[V] = {}, squares[V] = {};
    struct batchnorm_spread own[V] = {};
    int n = 0;
    if (c < channels && first_row() < rows) {
        const several<T, V> first = load<T, V>(x + (rows - 1 - first_row()) * (size_t)channels + (size_t)c);
#pragma unroll 4
        for (size_t row = first_row(); row < rows; row += next_row(), n++) {
            const several<T, V> values = load<T, V>(x + (rows - 1 - row) * (size_t)channels + (size_t)c);
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
        parts[(size_t)blockIdx.y * (size_t)channels + (size_t)(c + v)] = all[v][threadIdx.x];
}

/* sums: of n times a part's mean less the first one's, and of squared deviations from that. */
__device__ void take_moments(const struct batchnorm_pass *pass, const struct batchnorm_moments *to, int c, const double sums[2])
{
    const double n = (double)pass->rows, off = sums[0] / n, mean = (double)to->parts[c].mean + off, squares = sums[1] - off * sums[0], variance = squares < 0 ? 0 : squares / n;
    const double unbiased = pass->rows > 1 ? variance * n / (n - 1) : variance, momentum = (double)pass->momentum;
    pass->mean[c] = (float)mean;
    pass->inverse[c] = (float)(1 / sqrt(variance + (double)pass->epsilon));
    to->running_mean[c] = (float)((double)to->running_mean[c] + momentum * (mean - (double)to->running_mean[c]));
    to->running_variance[c] = (float)((double)to->running_variance[c] + momentum * (unbiased - (double)to->running_variance[c]));
}

template <typename T, int V> __global__ void moments(struct batchnorm_pass pass, struct batchnorm_moments to, const T *x)
{
    spread_of_stretch<T, V>(to.parts, x, pass.rows, pass.channels);
    if (!last_of_tile(to.arrived))
        return;
    const struct place place = place_in_tile<V>(pass.channels);
    double sums[2] = { 0, 0 };
#pragma unroll 8
    for (unsigned k = place.row; place.c >= 0 && k < gridDim.y; k += place.rows) {
        const struct batchnorm_spread part = to.parts[(size_t)k * (size_t)pass.channels + (size_t)place.c];
        const double d = (double)part.mean - (double)to.parts[place.c].mean;
        sums[0] += (double)part.n * d;
        sums[1] += (double)part.squares + (double)part.n * d * d;
    }
    add_rows(sums, &place);
    if (place.c >= 0 && place.row == 0)
        take_moments(&pass, &to, place.c, sums);
}

template <typename T, int V> __device__ void sums_of_stretch(const struct batchnorm_pass *pass, struct batchnorm_sums *parts, const T *dy, const T *x, const T *y)
{
    __shared__ struct batchnorm_sums all[V][BATCHNORM_THREADS];
    const int c = own_channel<V>(), channels = pass->channels;
    struct batchnorm_sums own[V] = {};
    float centre[V] = {};
    for (int v = 0; c < channels && v < V; v++)
        centre[v] = pass->mean[c + v];
#pragma unroll 4
    for (size_t row = c < channels ? first_row() : pass->rows; row < pass->rows; row += next_row()) {
        const size_t at = (pass->rows - 1 - row) * (size_t)channels + (size_t)c;
        const several<T, V> d = load<T, V>(dy + at), values = load<T, V>(x + at);
        const unsigned bits = passing<T, V>(pass->passes, y, at);
        for (int v = 0; v < V; v++) {
            const float passed = bits >> v & 1 ? widen(d.at[v]) : 0;
            own[v].d += passed;
            own[v].product = fmaf(passed, widen(values.at[v]) - centre[v], own[v].product);
        }
    }
    merge_rows<struct batchnorm_sums, V>(all, own);
    for (int v = 0; threadIdx.y == 0 && c < channels && v < V; v++)
        parts[(size_t)blockIdx.y * (size_t)channels + (size_t)(c + v)] = all[v][threadIdx.x];
}

__device__ void take_gradients(const struct batchnorm_pass *pass, const struct batchnorm_gradients *to, int c, const double sums[2])
{
    const double n = (double)pass->rows, inverse = (double)pass->inverse[c];
    const struct batchnorm_line line = { pass->mean[c], (float)((double)pass->weight[c] * inverse), (float)(sums[0] / n), (float)(sums[1] * inverse * inverse / n) };
    to->dweight[c] = (float)(sums[1] * inverse) * to->values->inverse_loss_scale;
    to->dbias[c] = (float)sums[0] * to->values->inverse_loss_scale;
    to->lines[c] = line;
}

template <typename T, int V> __global__ void gradients(struct batchnorm_pass pass, struct batchnorm_gradients to, const T *dy, const T *x, const T *y)
{
    sums_of_stretch<T, V>(&pass, to.parts, dy, x, y);
    if (!last_of_tile(to.arrived))
        return;
    const struct place place = place_in_tile<V>(pass.channels);
    double sums[2] = { 0, 0 };
#pragma unroll 8
    for (unsigned k = place.row; place.c >= 0 && k < gridDim.y; k += place.rows) {
        const struct batchnorm_sums part = to.parts[(size_t)k * (size_t)pass.channels + (size_t)place.c];
        sums[0] += (double)part.d;
        sums[1] += (double)part.product;
    }
    add_rows(sums, &place);
    if (place.c >= 0 && place.row == 0)
        take_gradients(&pass, &to, place.c, sums);
}

}

extern "C" cudaError_t cuda_launch_moments(cudaStream_t stream, enum precision precision, const struct batchnorm_pass *pass, const struct batchnorm_moments *to, const void *x)
{
    const struct batchnorm_cut cut = batchnorm_cut_for_sums(pass->rows, pass->channels);
    return for_precision(precision, [=](auto zero) {
        return for_vector(pass->channels, [=](auto vector) {
            using T = decltype(zero);
            return launch(moments<T, decltype(vector)::value>, dim3(cut.tiles, cut.stretches), dim3(cut.across, cut.down), 0, stream, *pass, *to, (const T *)x);
        });
    });
}

extern "C" cudaError_t cuda_launch_batchnorm_sums(cudaStream_t stream, enum precision precision, const struct batchnorm_pass *pass, const struct batchnorm_gradients *to, const void *dy,
                                                  const void *x, const void *y)
{
    const struct batchnorm_cut cut = batchnorm_cut_for_sums(pass->rows, pass->channels);
    return for_precision(precision, [=](auto zero) {
        return for_vector(pass->channels, [=](auto vector) {
            using T = decltype(zero);
            return launch(gradients<T, decltype(vector)::value>, dim3(cut.tiles, cut.stretches), dim3(cut.across, cut.down), 0, stream, *pass, *to, (const T *)dy, (const T *)x,
                          pass->relu ? (const T *)y : NULL);
        });
    });
}
