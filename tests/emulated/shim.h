/* Given to g++ by -include ahead of a .cu file: what CUDA C++ has that C++ has not. A kernel becomes an ordinary function, a variable in shared memory one of the running thread, since a
 * block runs on one. Dynamic shared memory is `extern __shared__ T dynamic_shared[];` in a kernel that stands in no namespace. */
#ifndef TESTS_EMULATED_SHIM_H
#define TESTS_EMULATED_SHIM_H

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <math.h>
#include <string.h>

#include <tuple>
#include <type_traits>
#include <utility>

#include "tests/emulated/kernel.h"

#undef __global__
#undef __device__
#undef __host__
#undef __shared__
#undef __constant__
#undef __launch_bounds__
#define __global__
#define __device__
#define __host__
#define __shared__ thread_local
#define __constant__
#define __launch_bounds__(...)

enum : int { warpSize = EMULATED_WARP };

/* ---- launches: as nvcc's own templates beside the functions of C ---- */

template <class... P> struct emulated_call {
    void (*kernel)(P...);
    std::tuple<P...> values;
    static void run(void *context)
    {
        auto *call = static_cast<emulated_call *>(context);
        std::apply(call->kernel, call->values);
    }
};

template <class... P, size_t... I>
cudaError_t emulated_start(void (*kernel)(P...), dim3 grid, dim3 block, void **arguments, size_t shared_bytes, cudaStream_t stream, std::index_sequence<I...>)
{
    static_assert((std::is_trivially_copyable_v<P> && ...), "parameters of kernels are copied as bytes");
    const emulated_call<P...> call = { kernel, { *static_cast<std::remove_const_t<P> *>(arguments[I])... } };
    const emulated_parameter parameters[] = { { arguments[I], sizeof(P), std::is_pointer_v<P> }..., {} };
    return emulated_launch((const void *)kernel, grid, block, shared_bytes, stream, emulated_call<P...>::run, &call, sizeof call, parameters, (int)sizeof...(P));
}

template <class... P>
cudaError_t cudaLaunchKernel(void (*kernel)(P...), dim3 grid, dim3 block, void **arguments, size_t shared_bytes = 0, cudaStream_t stream = 0)
{
    return emulated_start(kernel, grid, block, arguments, shared_bytes, stream, std::index_sequence_for<P...>());
}

template <class... P> cudaError_t cudaFuncSetAttribute(void (*kernel)(P...), cudaFuncAttribute attribute, int value)
{
    return cudaFuncSetAttribute((const void *)kernel, attribute, value);
}

/* ---- meetings of threads ---- */

static inline void __syncthreads(int line = __builtin_LINE()) { emulated_barrier(0, line); }
static inline int __syncthreads_count(int predicate, int line = __builtin_LINE()) { return emulated_barrier(predicate, line); }
static inline int __syncthreads_or(int predicate, int line = __builtin_LINE()) { return emulated_barrier(predicate, line) != 0; }
static inline int __syncthreads_and(int predicate, int line = __builtin_LINE()) { return emulated_barrier(!predicate, line) == 0; }
static inline void __syncwarp(unsigned mask = 0xffffffff, int line = __builtin_LINE()) { emulated_warp(mask, line); }
static inline unsigned __ballot_sync(unsigned mask, int predicate, int line = __builtin_LINE()) { return emulated_ballot(mask, predicate, line); }
static inline int __any_sync(unsigned mask, int predicate, int line = __builtin_LINE()) { return emulated_ballot(mask, predicate, line) != 0; }
static inline int __all_sync(unsigned mask, int predicate, int line = __builtin_LINE()) { return emulated_ballot(mask, !predicate, line) == 0; }

static inline int emulated_lane(void) { return (int)((threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z)) % EMULATED_WARP); }

template <class T> T emulated_exchange(unsigned mask, T value, int source, int line)
{
    static_assert(sizeof(T) <= sizeof(uint64_t), "a shuffle moves up to 8 bytes");
    uint64_t word = 0;
    memcpy(&word, &value, sizeof value);
    word = emulated_shuffle(mask, word, source, line);
    memcpy(&value, &word, sizeof value);
    return value;
}

/* Lanes are taken within groups of `width`, a power of two; where the source would be outside, a lane keeps its own value. */
template <class T> T __shfl_sync(unsigned mask, T value, int source, int width = 32, int line = __builtin_LINE())
{
    const int first = emulated_lane() & ~(width - 1);
    return emulated_exchange(mask, value, first + (source & (width - 1)), line);
}

template <class T> T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32, int line = __builtin_LINE())
{
    const int lane = emulated_lane(), source = lane ^ bits, end = (lane & ~(width - 1)) + width;
    return emulated_exchange(mask, value, source < end ? source : lane, line);
}

template <class T> T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, int line = __builtin_LINE())
{
    const int lane = emulated_lane(), source = lane + (int)delta, end = (lane & ~(width - 1)) + width;
    return emulated_exchange(mask, value, source < end ? source : lane, line);
}

template <class T> T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, int line = __builtin_LINE())
{
    const int lane = emulated_lane(), source = lane - (int)delta, first = lane & ~(width - 1);
    return emulated_exchange(mask, value, source >= first ? source : lane, line);
}

/* ---- memory ---- */

template <class T> T __ldg(const T *address) { return *address; }
static inline void __threadfence(void) {}
static inline void __threadfence_block(void) {}

template <class T> std::enable_if_t<std::is_integral_v<T>, T> atomicAdd(T *address, T value) { return __atomic_fetch_add(address, value, __ATOMIC_RELAXED); }

template <class T> std::enable_if_t<std::is_floating_point_v<T>, T> atomicAdd(T *address, T value)
{
    T seen, sum;
    __atomic_load(address, &seen, __ATOMIC_RELAXED);
    do
        sum = seen + value;
    while (!__atomic_compare_exchange(address, &seen, &sum, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return seen;
}

/* f(old) takes the place of what is there, unless it is the same. */
template <class T, class F> T emulated_replace(T *address, F f)
{
    T seen = __atomic_load_n(address, __ATOMIC_RELAXED);
    while (f(seen) != seen && !__atomic_compare_exchange_n(address, &seen, f(seen), false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
    return seen;
}

template <class T> T atomicMax(T *address, T value) { return emulated_replace(address, [=](T old) { return old < value ? value : old; }); }
template <class T> T atomicMin(T *address, T value) { return emulated_replace(address, [=](T old) { return value < old ? value : old; }); }
template <class T> T atomicOr(T *address, T value) { return __atomic_fetch_or(address, value, __ATOMIC_RELAXED); }
template <class T> T atomicAnd(T *address, T value) { return __atomic_fetch_and(address, value, __ATOMIC_RELAXED); }
template <class T> T atomicExch(T *address, T value)
{
    T before;
    __atomic_exchange(address, &value, &before, __ATOMIC_RELAXED);
    return before;
}
template <class T> T atomicCAS(T *address, T compare, T value)
{
    __atomic_compare_exchange_n(address, &compare, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
    return compare;
}

/* ---- arithmetic ---- */

template <class T> std::enable_if_t<std::is_integral_v<T>, T> max(T a, T b) { return a < b ? b : a; }
template <class T> std::enable_if_t<std::is_integral_v<T>, T> min(T a, T b) { return b < a ? b : a; }
static inline float max(float a, float b) { return fmaxf(a, b); }
static inline float min(float a, float b) { return fminf(a, b); }
static inline double max(double a, double b) { return fmax(a, b); }
static inline double min(double a, double b) { return fmin(a, b); }

static inline float rsqrtf(float a) { return (float)(1 / sqrt((double)a)); }
static inline double rsqrt(double a) { return 1 / sqrt(a); }
/* glibc keeps these names for itself */
#define __expf expf
#define __logf logf
#define __powf powf
static inline float __fdividef(float a, float b) { return a / b; }
static inline float __frcp_rn(float a) { return 1 / a; }
static inline float __fsqrt_rn(float a) { return sqrtf(a); }
static inline float __saturatef(float a) { return a > 0 ? a < 1 ? a : 1 : 0; }

static inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)((uint64_t)a * b >> 32); }
static inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) { return (unsigned long long)((unsigned __int128)a * b >> 64); }
static inline int __popc(unsigned a) { return __builtin_popcount(a); }
static inline int __popcll(unsigned long long a) { return __builtin_popcountll(a); }
static inline int __clz(int a) { return a ? __builtin_clz((unsigned)a) : 32; }
static inline int __ffs(int a) { return __builtin_ffs(a); }

template <class To, class From> To emulated_bits(From from)
{
    static_assert(sizeof(To) == sizeof(From), "the same bits");
    To to;
    memcpy(&to, &from, sizeof to);
    return to;
}

static inline int __float_as_int(float a) { return emulated_bits<int>(a); }
static inline unsigned __float_as_uint(float a) { return emulated_bits<unsigned>(a); }
static inline float __int_as_float(int a) { return emulated_bits<float>(a); }
static inline float __uint_as_float(unsigned a) { return emulated_bits<float>(a); }
static inline long long __double_as_longlong(double a) { return emulated_bits<long long>(a); }
static inline double __longlong_as_double(long long a) { return emulated_bits<double>(a); }

#endif
