/* Softmax with cross entropy: a warp to a sample, then one block that sums the samples in an order that depends on nothing.
 *
 * What is summed over classes is a float's exponential, in doubles, as on the CPU. */
#include "cuda/activations.h"
#include "cuda/element.cuh"

namespace {

enum { WARP = 32, THREADS = 256, SAMPLES = THREADS / WARP };

template <typename V, typename F> static __device__ V over_warp(V value, F both)
{
    for (int apart = WARP / 2; apart > 0; apart /= 2)
        value = both(value, __shfl_xor_sync(0xffffffffu, value, apart));
    return value;
}

static __device__ double target_of(const struct loss_pass *pass, int c, int label)
{
    return (double)pass->smoothing / pass->classes + (c == label ? 1 - (double)pass->smoothing : 0);
}

/* A NaN is no maximum, but the sum is NaN then. */
template <typename T> static __device__ double log_sum_exp(const T *logits, int classes, int lane)
{
    float most = -INFINITY;
    for (int c = lane; c < classes; c += WARP)
        most = widen(logits[c]) > most ? widen(logits[c]) : most;
    most = over_warp(most, [](float a, float b) { return b > a ? b : a; });
    double sum = 0;
    for (int c = lane; c < classes; c += WARP)
        sum += (double)expf(widen(logits[c]) - most);
    return (double)most + log(over_warp(sum, [](double a, double b) { return a + b; }));
}

/* Of equals the first stands before the others; with any NaN, all before the label. */
template <typename T> static __device__ int classes_before(const T *logits, int classes, int label, int lane)
{
    const float own = widen(logits[label]);
    int before = 0;
    for (int c = lane; c < classes; c += WARP) {
        const float other = widen(logits[c]);
        before += isnan(other) ? classes : other > own || (other == own && c < label);
    }
    before = over_warp(before, [](int a, int b) { return a + b; });
    return before < classes ? before : classes;
}

template <typename T> __global__ void each_sample(struct sample_loss *samples, const T *batch, const int32_t *labels, const struct step_values *values, struct loss_pass pass)
{
    const int lane = threadIdx.x % WARP, b = blockIdx.x * SAMPLES + threadIdx.x / WARP;
    if (b >= values->n)
        return;
    const T *logits = batch + (size_t)b * (size_t)pass.classes;
    const double norm = log_sum_exp(logits, pass.classes, lane);
    double entropy = 0;
    for (int c = lane; c < pass.classes; c += WARP) {
        const double target = target_of(&pass, c, labels[b]);
        entropy -= target > 0 ? target * ((double)widen(logits[c]) - norm) : 0;
    }
    entropy = over_warp(entropy, [](double a, double b) { return a + b; });
    const int before = classes_before(logits, pass.classes, labels[b], lane);
    if (lane == 0) {
        samples[b].norm = norm;
        samples[b].entropy = entropy;
        samples[b].before = before;
    }
}

static __device__ void add_result(struct step_result *to, const struct step_result *more)
{
    to->loss_sum += more->loss_sum;
    to->correct += more->correct;
    to->correct5 += more->correct5;
}

__global__ void sum_samples(struct step_result *result, const struct sample_loss *samples, const struct step_values *values, int classes)
{
    __shared__ struct step_result sums[THREADS];
    struct step_result sum = { 0, 0, 0 };
    for (int b = threadIdx.x; b < values->n; b += THREADS) {
        sum.loss_sum += samples[b].entropy;
        sum.correct += samples[b].before < 1;
        sum.correct5 += samples[b].before < 5 && samples[b].before < classes;
    }
    sums[threadIdx.x] = sum;
    for (unsigned half = THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half)
            add_result(&sums[threadIdx.x], &sums[threadIdx.x + half]);
    }
    if (threadIdx.x == 0)
        *result = sums[0];
}

template <typename T> __global__ void spread_back(T *gradient, const struct sample_loss *samples, const T *logits, const int32_t *labels, const struct step_values *values, struct loss_pass pass)
{
    const size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    const int b = (int)(i / (size_t)pass.classes), c = (int)(i % (size_t)pass.classes);
    if (b >= pass.batch)
        return;
    double slope = 0;
    if (b < values->n)
        slope = ((double)expf((float)((double)widen(logits[i]) - samples[b].norm)) - target_of(&pass, c, labels[b])) / pass.batch;
    narrow(&gradient[i], (float)slope * values->loss_scale);
}

}

extern "C" cudaError_t cuda_launch_loss(cudaStream_t stream, enum precision precision, struct sample_loss *samples, struct step_result *result, const void *logits,
                                        const int32_t *labels, const struct step_values *values, const struct loss_pass *pass)
{
    const cudaError_t status = for_precision(precision, [=](auto zero) {
        using T = decltype(zero);
        return launch(each_sample<T>, blocks_for((size_t)pass->batch, SAMPLES), THREADS, 0, stream, samples, (const T *)logits, labels, values, *pass);
    });
    return status != cudaSuccess ? status : launch(sum_samples, 1, THREADS, 0, stream, result, (const struct sample_loss *)samples, values, pass->classes);
}

extern "C" cudaError_t cuda_launch_loss_back(cudaStream_t stream, enum precision precision, void *gradient, const struct sample_loss *samples, const void *logits,
                                             const int32_t *labels, const struct step_values *values, const struct loss_pass *pass)
{
    return for_precision(precision, [=](auto zero) {
        using T = decltype(zero);
        return launch(spread_back<T>, blocks_for((size_t)pass->batch * (size_t)pass->classes, THREADS), THREADS, 0, stream, (T *)gradient, samples, (const T *)logits, labels, values, *pass);
    });
}
