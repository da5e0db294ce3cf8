/* See filters.h. */
#include "cuda/element.cuh"
#include "cuda/filters.h"

namespace {

enum { THREADS = 256, LANES = 32, LINES = THREADS / LANES, CHUNKS_MOST = 256, CHUNK_LEAST = 4 * LINES, PACK_BLOCK = 4 * THREADS };

/* Where packed element i lies in the canonical layout. */
static __device__ inline size_t canonical(size_t i, struct filter_shape shape)
{
    const size_t c = i % (size_t)shape.c, place = i / (size_t)shape.c, s = place % (size_t)shape.s, r = place / (size_t)shape.s % (size_t)shape.r,
                 k = place / (size_t)shape.s / (size_t)shape.r;
    return ((k * (size_t)shape.c + c) * (size_t)shape.r + r) * (size_t)shape.s + s;
}

/* Whose first block is the last that is not behind this one. */
static __device__ inline int pack_of_block(const struct filter_packs &packs)
{
    int from = 0;
    for (int n = packs.n, half; n > 1; n -= half) {
        half = n / 2;
        if (packs.rows[from + half].first_block <= blockIdx.x)
            from += half;
    }
    return from;
}

template <typename T> __global__ void pack(const struct filter_packs packs)
{
    const struct filter_pack &own = packs.rows[pack_of_block(packs)];
    const size_t n = (size_t)own.shape.k * (size_t)own.shape.c * (size_t)own.shape.r * (size_t)own.shape.s, first = (size_t)(blockIdx.x - own.first_block) * PACK_BLOCK;
    T *packed = (T *)own.packed;
    for (size_t i = first + threadIdx.x; i < n && i < first + PACK_BLOCK; i += THREADS)
        narrow(&packed[i], own.weights[canonical(i, own.shape)]);
}

template <typename T> __global__ void unpack(float *gradient, const T *packed, struct filter_shape shape, size_t n, const float *factor)
{
    const size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        gradient[canonical(i, shape)] = widen(packed[i]) * *factor;
}

/* A tensor is allocated in multiples of 16 bytes, so the last values may run over its end. */
template <typename T> __global__ void add_bias(T *y, size_t n, int channels, const float *bias, bool clip)
{
    constexpr int V = 16 / sizeof(T);
    const size_t i = ((size_t)blockIdx.x * blockDim.x + threadIdx.x) * V;
    if (i >= n)
        return;
    several<T, V> values = load<T, V>(y + i);
    int c = (int)(i % (size_t)channels);
    for (int v = 0; v < V; v++) {
        float a = widen(values.at[v]);
        if (bias)
            a += bias[c];
        c = c + 1 == channels ? 0 : c + 1;
        narrow(&values.at[v], clip ? relu(a) : a);
    }
    store<T, V>(y + i, values);
}

/* A block sums a chunk of the rows for 32 channels: 8 lines of threads take the rows in turn, then their sums are added in order. */
template <typename T> __global__ void sum_chunks(float *sums, T *dy, const T *y, size_t rows, size_t chunk, int channels)
{
    __shared__ float lines[LINES][LANES];
    const int lane = (int)(threadIdx.x % LANES), line = (int)(threadIdx.x / LANES), c = (int)blockIdx.y * LANES + lane;
    const size_t begin = blockIdx.x * chunk, end = begin + chunk < rows ? begin + chunk : rows;
    float sum = 0;
    if (c < channels)
        for (size_t row = begin + (size_t)line; row < end; row += LINES) {
            const size_t i = row * (size_t)channels + (size_t)c;
            float d = widen(dy[i]);
            if (y && !relu_passes(widen(y[i]))) {
                d = 0;
                narrow(&dy[i], d);
            }
            sum += d;
        }
    lines[line][lane] = sum;
    __syncthreads();
    if (line > 0 || c >= channels)
        return;
    for (int other = 1; other < LINES; other++)
        sum += lines[other][lane];
    sums[(size_t)blockIdx.x * (size_t)channels + (size_t)c] = sum;
}

__global__ void sum_up(float *dbias, const float *sums, int chunks, int channels, const float *factor)
{
    const int c = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (c >= channels)
        return;
    float sum = 0;
    for (int chunk = 0; chunk < chunks; chunk++)
        sum += sums[(size_t)chunk * (size_t)channels + (size_t)c];
    dbias[c] = sum * *factor;
}

size_t chunk_of(size_t rows)
{
    const size_t chunk = (rows + CHUNKS_MOST - 1) / CHUNKS_MOST, least = CHUNK_LEAST;
    return chunk < least ? least : chunk;
}

unsigned chunks_of(size_t rows) { return blocks_for(rows, chunk_of(rows)); }

}

extern "C" cudaError_t cuda_launch_pack(cudaStream_t stream, enum precision precision, struct filter_packs *packs)
{
    unsigned blocks = 0;
    for (int i = 0; i < packs->n; i++) {
        packs->rows[i].first_block = blocks;
        blocks += blocks_for(filter_count(packs->rows[i].shape), PACK_BLOCK);
    }
    return for_precision(precision, [=](auto zero) { return launch(pack<decltype(zero)>, blocks, THREADS, 0, stream, *packs); });
}

extern "C" cudaError_t cuda_launch_unpack(cudaStream_t stream, enum precision precision, float *gradient, const void *packed, struct filter_shape shape, const float *factor)
{
    const size_t n = filter_count(shape);
    return for_precision(precision, [=](auto zero) {
        using T = decltype(zero);
        return launch(unpack<T>, blocks_for(n, THREADS), THREADS, 0, stream, gradient, (const T *)packed, shape, n, factor);
    });
}

extern "C" cudaError_t cuda_launch_bias(cudaStream_t stream, enum precision precision, void *y, size_t rows, int channels, const float *bias, bool relu)
{
    const size_t n = rows * (size_t)channels;
    return for_precision(precision, [=](auto zero) {
        using T = decltype(zero);
        return launch(add_bias<T>, blocks_for(n, THREADS * (16 / sizeof(T))), THREADS, 0, stream, (T *)y, n, channels, bias, relu);
    });
}

extern "C" size_t cuda_bias_sums_bytes(size_t rows, int channels) { return chunks_of(rows) * (size_t)channels * sizeof(float); }

extern "C" cudaError_t cuda_launch_bias_back(cudaStream_t stream, enum precision precision, float *dbias, void *dy, const void *y, size_t rows, int channels, float *sums,
                                             const float *factor)
{
    const dim3 grid(chunks_of(rows), blocks_for((size_t)channels, LANES));
    cudaError_t status = for_precision(precision, [=](auto zero) {
        using T = decltype(zero);
        return launch(sum_chunks<T>, grid, THREADS, 0, stream, sums, (T *)dy, (const T *)y, rows, chunk_of(rows), channels);
    });
    return status ? status : launch(sum_up, blocks_for((size_t)channels, THREADS), THREADS, 0, stream, dbias, (const float *)sums, (int)grid.x, channels, factor);
}
