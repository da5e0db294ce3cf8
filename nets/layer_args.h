/* What each family of layers is told: the arguments of its paper, and what the plan fused onto it. Zero is the default everywhere.
 * These are also what a backend's operation is prepared from. */
#ifndef NETS_LAYER_ARGS_H
#define NETS_LAYER_ARGS_H

#include <stdbool.h>

/* Crop, flip and cutout as data/augment.h says, drawn by (seed, epoch, sample number). Zero: none. */
struct input_augment { int crop_pad, cutout; bool flip; unsigned char fill[4]; };

/* The batch as the loader left it: 8-bit planes. What comes out is (pixel/255 - mean[c]) / std[c]. Backends whose input operation augments do it in training plans; for
 * the others the loader does, and `augment` is zero. */
struct input_args { int c, h, w; float mean[4], std[4]; struct input_augment augment; };

enum pool_kind { POOL_MAX, POOL_AVERAGE }; /* the average counts no padding, so that a padded border is no darker */

struct pool_args {
    enum pool_kind kind;
    int size, stride, pad; /* size 0 in a pooling node: the whole plane (global) */
};

/* How many windows fit along one side. */
static inline int windows(int in, int size, int stride, int pad) { return (in + 2 * pad - size) / stride + 1; }

/* Cross-correlation. */
struct conv_args {
    int filters, size, stride, pad;
    bool no_bias;
    bool he; /* how weights start: normal, variance 2/fan in, biases 0 (He et al., arXiv 1502.01852, eq. 10); otherwise as PyTorch's */
    /* fused onto it by the plan, applied in this order */
    bool relu;
    struct pool_args pool; /* size 0: none */
};

/* Input flattened in C, H, W order. */
struct linear_args { int outputs; bool no_bias; bool relu; /* fused */ };

/* Per channel over N, H, W (Ioffe and Szegedy, arXiv 1502.03167). Running statistics as PyTorch's: r += momentum (s - r), variance unbiased. */
struct batchnorm_args {
    float epsilon, momentum;
    bool zero; /* weights start at 0, not 1 */
    /* fused onto it by the plan, applied in this order */
    bool add; /* the second input */
    bool relu;
};

struct add_args { bool relu; /* fused */ };

/* A residual connection without parameters where the shape changes: every stride-th row and column, zeros for the channels that are new. */
struct shortcut_args { int channels, stride; };

/* How many planes of zeros stand before the input's own. */
static inline int shortcut_front(int in, int out) { return (out - in) / 2; }

/* Zeroes with probability p, scales what is kept by 1/(1-p); nothing in evaluation (Srivastava et al. 2014). `id`: the layer's number in the random counter. */
struct dropout_args { float p; unsigned id; };

/* Across channels (Krizhevsky et al. 2012, as PyTorch computes it): x / (k + alpha/size * sum of squares over size channels)^beta. size is odd. */
struct lrn_args { int size; float alpha, beta, k; };

/* Softmax with cross entropy against (1 - s) one-hot + s/classes (Szegedy et al., arXiv 1512.00567). */
struct loss_args { float smoothing; };

union layer_args {
    struct input_args input;
    struct conv_args conv;
    struct pool_args pool;
    struct linear_args linear;
    struct batchnorm_args batchnorm;
    struct add_args add;
    struct shortcut_args shortcut;
    struct dropout_args dropout;
    struct lrn_args lrn;
    struct loss_args loss;
};

#endif
