/* Kernels for the tests of the emulation itself (tests/test_emulated.c). */
#ifndef TESTS_EMULATED_TEST_KERNELS_H
#define TESTS_EMULATED_TEST_KERNELS_H

#include <cuda_runtime_api.h>

#ifdef __cplusplus
extern "C" {
#endif

/* to = factor * from + 1, n of them */
cudaError_t emulated_test_scale(cudaStream_t stream, float *to, const float *from, float factor, int n);
/* One block: values in the opposite order, in place, through dynamic shared memory. */
cudaError_t emulated_test_reverse(cudaStream_t stream, float *values, int n);
/* One block of `threads`, a multiple of 32: the sum of n values by shuffles within warps and shared memory between them. */
cudaError_t emulated_test_sum(cudaStream_t stream, float *sum, const float *values, int n, int threads);
/* One warp, of which lanes up to `lanes` take part: what __ballot_sync says of odd lanes, and each lane's neighbour above by __shfl_down_sync, to 1 + 32 words. */
cudaError_t emulated_test_partial_warp(cudaStream_t stream, unsigned *words, int lanes);
/* Half of the threads leave before the barrier; with `turn` they wait at another one. */
cudaError_t emulated_test_stuck(cudaStream_t stream, float *values, int turn);
/* Each of n threads adds 1 to the counter and 0.5 to the sum. */
cudaError_t emulated_test_count(cudaStream_t stream, int *counter, float *sum, int n);
/* A warp turns its values round through shared memory; with `unordered`, without the barrier between. */
cudaError_t emulated_test_unordered(cudaStream_t stream, float *values, int unordered);
cudaError_t emulated_test_shape(cudaStream_t stream, int blocks, int threads, size_t shared_bytes);
/* From now on emulated_test_shape may ask for so much. */
cudaError_t emulated_test_opt_in(int shared_bytes);
/* bf16 and fp16 nearest to each value, and back. */
cudaError_t emulated_test_round(cudaStream_t stream, float *bf16, float *fp16, const float *values, int n);

#ifdef __cplusplus
}
#endif

#endif
