/* What the kernels of batch normalization share: which rows and channels a thread has, where ReLU passes, and sums over the rows of a block and over the blocks. */
#ifndef CUDA_COLUMNS_CUH
#define CUDA_COLUMNS_CUH

#include "cuda/batchnorm.h"
#include "cuda/element.cuh"

#include <type_traits>

/* The first of a thread's channels; not below `channels`: it has none. */
template <int V> static __device__ inline int own_channel() { return (int)(blockIdx.x * blockDim.x + threadIdx.x) * V; }

static __device__ inline size_t first_row() { return (size_t)blockIdx.y * blockDim.y + threadIdx.y; }
static __device__ inline size_t next_row() { return (size_t)gridDim.y * blockDim.y; }

/* Which of the elements from `at` on ReLU passes, a bit each. y: NULL where there is no ReLU. */
template <typename T, int V> static __device__ inline unsigned passing(const uint8_t *passes, const T *y, size_t at)
{
    if (V == BATCHNORM_VECTOR)
        return passes ? passes[at / V] : 0xff;
    return !y || relu_passes(widen(y[at]));
}

/* Merges what the threads of one column have, in an order that depends on the block's shape alone; the topmost has it all then. */
template <typename S, int V> static __device__ inline void merge_rows(S (*all)[BATCHNORM_THREADS], const S *own)
{
    const unsigned thread = threadIdx.y * blockDim.x + threadIdx.x;
    for (int v = 0; v < V; v++)
        all[v][thread] = own[v];
    for (unsigned n = blockDim.y, half; n > 1; n = half) {
        half = (n + 1) / 2;
        __syncthreads();
        if (threadIdx.y + half < n)
            for (int v = 0; v < V; v++)
                all[v][thread] = merged(all[v][thread], all[v][thread + half * blockDim.x]);
    }
}

/* Whether this block is the last of its tile to get here: it sees then what all of them have written. */
static __device__ inline bool last_of_tile(unsigned *arrived)
{
    __shared__ bool last;
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0 && threadIdx.y == 0) {
        last = atomicAdd(&arrived[blockIdx.x], 1u) == gridDim.y - 1;
        if (last)
            arrived[blockIdx.x] = 0;
    }
    __syncthreads();
    __threadfence();
    return last;
}

/* The block's threads laid over its tile's channels, as many rows of them as there is room for; what is left over has no channel. */
struct place { int c; unsigned row, rows, width; };

template <int V> static __device__ inline struct place place_in_tile(int channels)
{
    const unsigned thread = threadIdx.y * blockDim.x + threadIdx.x, width = blockDim.x * V;
    struct place place = { (int)(blockIdx.x * width + thread % width), thread / width, blockDim.y / V, width };
    if (place.row >= place.rows || place.c >= channels)
        place.c = -1;
    return place;
}

/* Two doubles of each thread added up over its channel's rows, in their order; the first row's have it all. */
static __device__ inline void add_rows(double sums[2], const struct place *place)
{
    __shared__ double all[2][BATCHNORM_THREADS];
    const unsigned thread = threadIdx.y * blockDim.x + threadIdx.x;
    for (int i = 0; i < 2; i++)
        all[i][thread] = sums[i];
    __syncthreads();
    for (unsigned row = 1; place->row == 0 && row < place->rows; row++)
        for (int i = 0; i < 2; i++)
            sums[i] += all[i][thread + row * place->width];
}

/* f is called with the vector's size as a type's. */
template <typename F> static cudaError_t for_vector(int channels, F f)
{
    if (batchnorm_vector(channels) == BATCHNORM_VECTOR)
        return f(std::integral_constant<int, BATCHNORM_VECTOR>());
    return f(std::integral_constant<int, 1>());
}

#endif
