/* The kernels of batch normalization. An activation is a matrix, rows of channels: a block's threads lie on neighbouring vectors of channels, a tile, and on a few rows; blocks side
 * by side have the tiles of the same rows, and stretches of rows are taken in turn. Where the number of channels is a multiple of 8, a vector is 8 channels. Tiles are narrow, at
 * least 64 bytes of a row: one block puts together what all stretches of a tile have, and there are the fewer of them, the more tiles. How it is cut depends on the shape alone, so
 * sums have the same bits on any GPU. Inside cuda/ only; C and CUDA. */
#ifndef CUDA_BATCHNORM_H
#define CUDA_BATCHNORM_H

#include "cuda/activations.h"

enum { BATCHNORM_VECTOR = 8, BATCHNORM_TILE = 8, BATCHNORM_THREADS = 256, BATCHNORM_STRETCHES = 512 };

/* across x down threads in a block, tiles x stretches blocks in a grid. */
struct batchnorm_cut { unsigned across, down, tiles, stretches; };

static inline int batchnorm_vector(int channels) { return channels % BATCHNORM_VECTOR == 0 ? BATCHNORM_VECTOR : 1; }

/* At least `least` rows to a thread where there are so many, about `blocks` blocks. */
static inline struct batchnorm_cut batchnorm_cut(size_t rows, int channels, unsigned least, unsigned blocks)
{
    const unsigned vector = (unsigned)batchnorm_vector(channels), vectors = (unsigned)channels / vector, widest = vector == 1 ? 32 : BATCHNORM_TILE;
    struct batchnorm_cut cut;
    cut.across = vectors < widest ? vectors : widest;
    cut.down = BATCHNORM_THREADS / cut.across;
    cut.tiles = (vectors + cut.across - 1) / cut.across;
    const size_t enough = (rows + (size_t)least * cut.down - 1) / ((size_t)least * cut.down);
    const unsigned most = blocks / cut.tiles > 0 ? blocks / cut.tiles : 1;
    cut.stretches = enough < most ? (unsigned)enough : most;
    return cut;
}

static inline struct batchnorm_cut batchnorm_cut_for_sums(size_t rows, int channels) { return batchnorm_cut(rows, channels, 4, BATCHNORM_STRETCHES); }

/* What both directions know. */
struct batchnorm_pass {
    size_t rows;
    int channels;
    float epsilon, momentum;
    bool relu;
    const float *weight, *bias;
    float *mean, *inverse; /* [channels]: kept by forward; inverse: 1/sqrt(variance + epsilon) */
    uint8_t *passes;       /* a bit an element: whether ReLU passes it; NULL: nothing is kept, and backward reads y */
};

/* Of some rows of one channel: how many, their mean, the sum of squared deviations from it. */
struct batchnorm_spread { float n, mean, squares; };
/* The same, backward: the sums of d, the gradient behind ReLU, and of d (x - mean). */
struct batchnorm_sums { float d, product; };
/* dx = scale (d - mean_d - (x - mean) slope) */
struct batchnorm_line { float mean, scale, mean_d, slope; };

/* Both reductions: parts: [stretches][channels]; arrived: [tiles], 0 between launches. */
struct batchnorm_moments {
    struct batchnorm_spread *parts;
    unsigned *arrived;
    float *running_mean, *running_variance; /* moved */
};

struct batchnorm_gradients {
    struct batchnorm_sums *parts;
    unsigned *arrived;
    struct batchnorm_line *lines; /* [channels]: for the pass behind it */
    float *dweight, *dbias;
    const struct step_values *values;
};

#ifdef __cplusplus
extern "C" {
#endif

/* The pass's mean and inverse, from x. */
cudaError_t cuda_launch_moments(cudaStream_t stream, enum precision precision, const struct batchnorm_pass *pass, const struct batchnorm_moments *to, const void *x);
/* Mean and inverse from the running statistics. */
cudaError_t cuda_launch_running(cudaStream_t stream, const struct batchnorm_pass *pass, const float *running_mean, const float *running_variance);
/* y = weight (x - mean) inverse + bias, then + residual (NULL: none), then ReLU. */
cudaError_t cuda_launch_normalize(cudaStream_t stream, enum precision precision, const struct batchnorm_pass *pass, void *y, const void *x, const void *residual);

cudaError_t cuda_launch_batchnorm_sums(cudaStream_t stream, enum precision precision, const struct batchnorm_pass *pass, const struct batchnorm_gradients *to, const void *dy,
                                       const void *x, const void *y);
/* dx, and d itself to dresidual, each where it is not NULL; either may be dy. */
cudaError_t cuda_launch_batchnorm_back(cudaStream_t stream, enum precision precision, const struct batchnorm_pass *pass, void *dx, void *dresidual, const void *dy, const void *x,
                                       const void *y, const struct batchnorm_line *lines);

#ifdef __cplusplus
}
#endif

#endif
