/* See test_kernels.h. */
#include "tests/emulated/test_kernels.h"

#include "cuda/launch.cuh"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

/* Outside the namespace, or the array would be the namespace's. */
static __global__ void reverse(float *values)
{
    extern __shared__ float dynamic_shared[];
    dynamic_shared[threadIdx.x] = values[threadIdx.x];
    __syncthreads();
    values[threadIdx.x] = dynamic_shared[blockDim.x - 1 - threadIdx.x];
}

namespace {

enum { WARP = 32, THREADS = 128 };

__global__ void scale(float *to, const float *from, float factor, int n)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        to[i] = factor * from[i] + 1;
}

__device__ float over_warp(float value)
{
    for (int apart = WARP / 2; apart > 0; apart /= 2)
        value += __shfl_xor_sync(0xffffffff, value, apart);
    return value;
}

__global__ void sum_values(float *sum, const float *values, int n)
{
    __shared__ float sums[WARP];
    float own = 0;
    for (int i = threadIdx.x; i < n; i += blockDim.x)
        own += values[i];
    own = over_warp(own);
    if (threadIdx.x % WARP == 0)
        sums[threadIdx.x / WARP] = own;
    __syncthreads();
    if (threadIdx.x < WARP) {
        own = over_warp(threadIdx.x < blockDim.x / WARP ? sums[threadIdx.x] : 0);
        if (threadIdx.x == 0)
            *sum = own;
    }
}

__global__ void partial_warp(unsigned *words, int lanes)
{
    const int lane = threadIdx.x;
    if (lane >= lanes)
        return;
    const unsigned mask = lanes == WARP ? 0xffffffff : (1u << lanes) - 1;
    const unsigned odd = __ballot_sync(mask, lane % 2);
    words[1 + lane] = __shfl_down_sync(mask, 100u + lane, 1);
    __syncwarp(mask);
    if (lane == 0)
        words[0] = odd;
}

__global__ void stuck(float *values, int turn)
{
    if (threadIdx.x < blockDim.x / 2)
        __syncthreads();
    else if (turn)
        __syncthreads();
    values[threadIdx.x] = 1;
}

__global__ void count(int *counter, float *sum, int n)
{
    if ((int)(blockIdx.x * blockDim.x + threadIdx.x) < n) {
        atomicAdd(counter, 1);
        atomicAdd(sum, 0.5f);
    }
}

__global__ void turn_round(float *values, int unordered)
{
    __shared__ float turned[WARP];
    turned[WARP - 1 - threadIdx.x] = values[threadIdx.x];
    if (!unordered)
        __syncthreads();
    const float own = turned[threadIdx.x];
    __syncthreads(); /* the threads are told apart once they meet */
    values[threadIdx.x] = own;
}

__global__ void nothing() {}

__global__ void round_values(float *bf16, float *fp16, const float *values, int n)
{
    const int i = threadIdx.x;
    if (i < n) {
        bf16[i] = __bfloat162float(__float2bfloat16_rn(values[i]));
        fp16[i] = __half2float(__float2half_rn(values[i]));
    }
}

}

cudaError_t emulated_test_scale(cudaStream_t stream, float *to, const float *from, float factor, int n)
{
    return launch(scale, (n + THREADS - 1) / THREADS, THREADS, 0, stream, to, from, factor, n);
}

cudaError_t emulated_test_reverse(cudaStream_t stream, float *values, int n) { return launch(reverse, 1, n, n * sizeof(float), stream, values); }

cudaError_t emulated_test_sum(cudaStream_t stream, float *sum, const float *values, int n, int threads)
{
    return launch(sum_values, 1, threads, 0, stream, sum, values, n);
}

cudaError_t emulated_test_partial_warp(cudaStream_t stream, unsigned *words, int lanes) { return launch(partial_warp, 1, WARP, 0, stream, words, lanes); }
cudaError_t emulated_test_stuck(cudaStream_t stream, float *values, int turn) { return launch(stuck, 1, WARP, 0, stream, values, turn); }

cudaError_t emulated_test_count(cudaStream_t stream, int *counter, float *sum, int n)
{
    return launch(count, (n + THREADS - 1) / THREADS, THREADS, 0, stream, counter, sum, n);
}

cudaError_t emulated_test_unordered(cudaStream_t stream, float *values, int unordered) { return launch(turn_round, 1, WARP, 0, stream, values, unordered); }
cudaError_t emulated_test_shape(cudaStream_t stream, int blocks, int threads, size_t shared_bytes) { return launch(nothing, blocks, threads, shared_bytes, stream); }
cudaError_t emulated_test_opt_in(int shared_bytes) { return cudaFuncSetAttribute(nothing, cudaFuncAttributeMaxDynamicSharedMemorySize, shared_bytes); }

cudaError_t emulated_test_round(cudaStream_t stream, float *bf16, float *fp16, const float *values, int n)
{
    return launch(round_values, 1, n, 0, stream, bf16, fp16, values, n);
}
