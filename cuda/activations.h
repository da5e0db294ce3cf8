/* The launchers of kernels over activations: NHWC, n the number of elements. Pointers are the device's memory. They enqueue and return what the launch did. Inside cuda/ only;
 * C and CUDA. */
#ifndef CUDA_ACTIVATIONS_H
#define CUDA_ACTIVATIONS_H

#include "cuda/values.h"
#include "nets/backend.h"

#include <cuda_runtime_api.h>

#ifdef __cplusplus
extern "C" {
#endif

static inline size_t cuda_elements(const struct tensor *tensor) { return (size_t)tensor->batch * shape_count(tensor->shape); }

/* ---- elementwise.cu ---- */

cudaError_t cuda_launch_relu(cudaStream_t stream, enum precision precision, size_t n, void *y, const void *x);
cudaError_t cuda_launch_add(cudaStream_t stream, enum precision precision, size_t n, void *y, const void *a, const void *b);      /* y may be a or b */
cudaError_t cuda_launch_add_relu(cudaStream_t stream, enum precision precision, size_t n, void *y, const void *a, const void *b); /* the same */
/* Where y, what ReLU left, is positive, dy, else 0: to dx, and to `also` where that is not NULL; either may be dy. */
cudaError_t cuda_launch_relu_back(cudaStream_t stream, enum precision precision, size_t n, void *dx, void *also, const void *y, const void *dy);

/* ---- channels.cu: what moves elements and computes nothing ---- */

/* `width` channels beginning at channel `from_at` of `from`, which has from_channels, to those at `at` of `to`. */
struct channel_move { int to_channels, at, from_channels, from_at, width; };
cudaError_t cuda_launch_channels(cudaStream_t stream, enum precision precision, size_t rows, void *to, const void *from, const struct channel_move *move);

struct shortcut_move { int batch, stride, front; struct shape in, out; }; /* front: channels of zeros before the input's own */
cudaError_t cuda_launch_shortcut(cudaStream_t stream, enum precision precision, void *y, const void *x, const struct shortcut_move *move);
cudaError_t cuda_launch_shortcut_back(cudaStream_t stream, enum precision precision, void *dx, const void *dy, const struct shortcut_move *move);

/* Between activations and fp32 [B][C][H][W]. */
cudaError_t cuda_launch_to_nchw(cudaStream_t stream, enum precision precision, int batch, struct shape shape, float *nchw, const void *nhwc);
cudaError_t cuda_launch_from_nchw(cudaStream_t stream, enum precision precision, int batch, struct shape shape, void *nhwc, const float *nchw);

/* ---- input.cu ---- */

/* Augmented only where `index` is not NULL. */
cudaError_t cuda_launch_input(cudaStream_t stream, enum precision precision, int batch, void *y, const uint8_t *pixels, const int64_t *index, const struct step_values *values,
                              const struct input_args *args);

/* ---- dropout.cu ---- */

struct dropout_pass { int batch; struct shape shape; uint64_t purpose; float p; };
/* Forward and, drawing the same numbers again, backward; to may be from. */
cudaError_t cuda_launch_dropout(cudaStream_t stream, enum precision precision, void *to, const void *from, const int64_t *index, const struct step_values *values,
                                const struct dropout_pass *pass);

/* ---- lrn.cu ---- */

/* base: [n] floats, what the power is taken of; NULL: not kept. */
cudaError_t cuda_launch_lrn(cudaStream_t stream, enum precision precision, size_t n, int channels, void *y, float *base, const void *x, const struct lrn_args *args);
cudaError_t cuda_launch_lrn_back(cudaStream_t stream, enum precision precision, size_t n, int channels, void *dx, const void *dy, const void *x, const float *base,
                                 const struct lrn_args *args);

/* ---- pool.cu ---- */

/* height x width: of a window. */
struct pool_pass { int batch; struct shape in, out; int height, width, stride, pad; };

/* Bytes in which a place of a window is kept. */
static inline size_t cuda_pool_kept(const struct pool_pass *pass) { return (size_t)pass->height * (size_t)pass->width <= 256 ? sizeof(uint8_t) : sizeof(uint32_t); }

/* kept: one for each element of y, which backward reads; NULL: nothing is kept. */
cudaError_t cuda_launch_maxima(cudaStream_t stream, enum precision precision, const struct pool_pass *pass, void *y, void *kept, const void *x);
cudaError_t cuda_launch_maxima_back(cudaStream_t stream, enum precision precision, const struct pool_pass *pass, void *dx, const void *dy, const void *kept);
cudaError_t cuda_launch_averages(cudaStream_t stream, enum precision precision, const struct pool_pass *pass, void *y, const void *x);
cudaError_t cuda_launch_averages_back(cudaStream_t stream, enum precision precision, const struct pool_pass *pass, void *dx, const void *dy);

/* ---- loss.cu ---- */

struct sample_loss { double norm, entropy; int before; }; /* log of the sum of exponentials; classes that stand before the label */
struct loss_pass { int batch, classes; float smoothing; };
cudaError_t cuda_launch_loss(cudaStream_t stream, enum precision precision, struct sample_loss *samples, struct step_result *result, const void *logits, const int32_t *labels,
                             const struct step_values *values, const struct loss_pass *pass);
cudaError_t cuda_launch_loss_back(cudaStream_t stream, enum precision precision, void *gradient, const struct sample_loss *samples, const void *logits, const int32_t *labels,
                                  const struct step_values *values, const struct loss_pass *pass);

#ifdef __cplusplus
}
#endif

#endif
