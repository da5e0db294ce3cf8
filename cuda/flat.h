/* Launchers of the kernels over flat vectors, and of the one that writes a step's values. C and CUDA; inside cuda/ only. */
#ifndef CUDA_FLAT_H
#define CUDA_FLAT_H

#include "cuda/values.h"
#include "nets/backend.h"

#include <cuda_runtime_api.h>

enum { FLAT_GRADIENTS = 64, FLAT_BLOCK = 1024, FLAT_PARTS = 16 }; /* most gradients of a pass; the blocks and partial sums of square_sum */

/* How a pass goes over its n elements: `head` one by one, then fours up to where fewer are left, then those. From the first four on every vector is aligned to 16. */
struct flat_span { size_t n, head, fours; unsigned blocks; };

/* Passed to kernels by value: the pointers of `gradients`, and what is the same for every element, rounded as the CPU rounds it. */
struct flat_sum { const float *gradients[FLAT_GRADIENTS]; int k; float inv_k; };
struct flat_compensation { struct compensation compensation; float rest; };    /* 1 - decay */
struct flat_ahead { float rate, v, w; };                                       /* P = W' - rate * (v * V + w * W') */
struct flat_sgd { struct sgd_pass pass; struct flat_sum sum; struct flat_compensation compensation; struct flat_ahead ahead; };
struct flat_local { struct local_pass pass; struct flat_compensation compensation; };
struct flat_predict { float *l; const float *p, *g; float c; };
struct flat_average { float *average; const float *values; float rate; };

#ifdef __cplusplus
extern "C" {
#endif

cudaError_t cuda_launch_sgd(cudaStream_t stream, const struct flat_span *span, const struct flat_sgd *pass);
cudaError_t cuda_launch_forecast(cudaStream_t stream, const struct flat_span *span, const struct flat_sgd *pass);
cudaError_t cuda_launch_local(cudaStream_t stream, const struct flat_span *span, const struct flat_local *pass);
cudaError_t cuda_launch_predict(cudaStream_t stream, const struct flat_span *span, const struct flat_predict *pass);
cudaError_t cuda_launch_average(cudaStream_t stream, const struct flat_span *span, const struct flat_average *pass);

/* Of the blocks of FLAT_BLOCK elements that begin below n, each one's sum of squares. */
cudaError_t cuda_launch_square_sums(cudaStream_t stream, const struct flat_sum *sum, size_t n, double *block_sums);

cudaError_t cuda_launch_values(cudaStream_t stream, struct step_values *to, const struct step_values *values);

#ifdef __cplusplus
}
#endif

#endif
