/* Elements of activations as kernels see them: stored as fp32, bf16 or fp16, computed with in fp32; a store rounds to the nearest, of two equally near to the even one, and
 * keeps a NaN. Inside cuda/'s .cu files only. */
#ifndef CUDA_ELEMENT_CUH
#define CUDA_ELEMENT_CUH

#include "cuda/launch.cuh"
#include "nets/backend.h"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

static __device__ inline float widen(float a) { return a; }
static __device__ inline float widen(__nv_bfloat16 a) { return __bfloat162float(a); }
static __device__ inline float widen(__half a) { return __half2float(a); }

static __device__ inline void narrow(float *to, float a) { *to = a; }
static __device__ inline void narrow(__nv_bfloat16 *to, float a) { *to = __float2bfloat16_rn(a); }
static __device__ inline void narrow(__half *to, float a) { *to = __float2half_rn(a); }

/* V neighbours, moved 16 bytes at a time where they fill as many. They begin at a multiple of V elements of a tensor. */
template <typename T, int V> struct alignas(sizeof(T) * V < 16 ? sizeof(T) * V : 16) several { T at[V]; };

template <typename T, int V> static __device__ inline several<T, V> load(const T *from) { return *(const several<T, V> *)from; }
template <typename T, int V> static __device__ inline void store(T *to, const several<T, V> &values) { *(several<T, V> *)to = values; }

/* What ReLU leaves, and whether a gradient passes it, told by its output: a NaN stays a NaN. */
static __device__ inline float relu(float a) { return a < 0 ? 0 : a; }
static __device__ inline bool relu_passes(float y) { return !(y <= 0); }

/* f is called with an element of that precision's type. */
template <typename F> static cudaError_t for_precision(enum precision precision, F f)
{
    switch (precision) {
    case PRECISION_BF16: return f(__nv_bfloat16());
    case PRECISION_FP16: return f(__half());
    default: return f(float());
    }
}

static inline unsigned blocks_for(size_t n, size_t threads) { return (unsigned)((n + threads - 1) / threads); }

#endif
