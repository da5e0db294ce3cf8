/* Dropout draws its numbers anew in both directions, so it keeps nothing. Four elements that are neighbours in C, H, W order share a block of random words: they go to one
 * thread, wherever they lie in memory. */
#include "cuda/activations.h"
#include "cuda/element.cuh"
#include "nets/dropout_draw.h"

namespace {

enum { THREADS = 256, QUAD = 4 };

/* What is dropped is 0 even where it was a NaN. */
template <typename T> __global__ void drop(T *to, const T *from, const int64_t *index, const struct step_values *values, struct dropout_pass pass)
{
    const size_t count = (size_t)pass.shape.c * (size_t)pass.shape.h * (size_t)pass.shape.w, plane = (size_t)pass.shape.h * (size_t)pass.shape.w, quads = (count + QUAD - 1) / QUAD;
    const size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x, b = i / quads, first = i % quads * QUAD;
    if (b >= (size_t)pass.batch)
        return;
    const float kept = 1 / (1 - pass.p);
    const struct philox_block words = dropout_words(dropout_key_of(values->seed, pass.purpose, values->epoch), index[b], i % quads);
    for (size_t e = first; e < first + QUAD && e < count; e++) {
        const size_t at = b * count + e % plane * (size_t)pass.shape.c + e / plane;
        narrow(&to[at], dropout_keeps(words.word[e - first], pass.p) ? widen(from[at]) * kept : 0.0f);
    }
}

}

extern "C" cudaError_t cuda_launch_dropout(cudaStream_t stream, enum precision precision, void *to, const void *from, const int64_t *index, const struct step_values *values,
                                           const struct dropout_pass *pass)
{
    const size_t quads = (shape_count(pass->shape) + QUAD - 1) / QUAD;
    return for_precision(precision, [=](auto zero) {
        using T = decltype(zero);
        return launch(drop<T>, blocks_for((size_t)pass->batch * quads, THREADS), THREADS, 0, stream, (T *)to, (const T *)from, index, values, *pass);
    });
}
