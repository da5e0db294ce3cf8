/* Kernels around convolutions and products: weights and their gradients between the canonical layout and cuDNN's, biases, ReLU. C and CUDA; inside cuda/ only.
 *
 * `factor` lies in the GPU's memory: step_values.inverse_loss_scale. Every sum is made in one order, whatever the GPU. */
#ifndef CUDA_FILTERS_H
#define CUDA_FILTERS_H

#include "nets/backend.h"

#include <cuda_runtime_api.h>

#ifdef __cplusplus
extern "C" {
#endif

/* K filters over C channels of R x S: canonical [K][C][R][S] in fp32, packed [K][R][S][C] in the plan's precision, or fp32. */
struct filter_shape { int k, c, r, s; };

static inline size_t filter_count(struct filter_shape shape) { return (size_t)shape.k * (size_t)shape.c * (size_t)shape.r * (size_t)shape.s; }

/* One of the filters that a launch packs. */
struct filter_pack { void *packed; const float *weights; struct filter_shape shape; unsigned first_block; /* the launcher's */ };
enum { FILTER_PACKS = 64 };
struct filter_packs { int n; struct filter_pack rows[FILTER_PACKS]; };

cudaError_t cuda_launch_pack(cudaStream_t stream, enum precision precision, struct filter_packs *packs); /* n > 0 */
cudaError_t cuda_launch_unpack(cudaStream_t stream, enum precision precision, float *gradient, const void *packed, struct filter_shape shape, const float *factor);

/* [rows][channels], in place: plus bias (NULL: none), then ReLU. */
cudaError_t cuda_launch_bias(cudaStream_t stream, enum precision precision, void *y, size_t rows, int channels, const float *bias, bool relu);

/* dbias = factor * the sum of dy over its rows. With y (NULL: no ReLU) dy becomes zero first where ReLU let nothing pass. */
cudaError_t cuda_launch_bias_back(cudaStream_t stream, enum precision precision, float *dbias, void *dy, const void *y, size_t rows, int channels, float *sums,
                                  const float *factor);
size_t cuda_bias_sums_bytes(size_t rows, int channels); /* of `sums` */

#ifdef __cplusplus
}
#endif

#endif
