/* A product of two matrices by cuBLASLt, prepared once. Inside cuda/ only.
 *
 * Matrices are named as cuBLAS has them, column by column: D (rows x columns) = A B, A rows x inner, B inner x columns, each stored without gaps, A and B possibly transposed.
 * Sums are fp32. */
#ifndef CUDA_MATMUL_H
#define CUDA_MATMUL_H

#include "nets/backend.h"

#include <cublasLt.h>

struct matmul_shape {
    int rows, columns, inner;
    bool transposed_a, transposed_b;       /* stored inner x rows, columns x inner */
    enum precision operands, result;
    bool bias;                             /* one per row of D, in the result's precision, added before the one rounding */
    bool scaled;                           /* D = factor A B, the factor in the GPU's memory */
    unsigned alignment;                    /* of D, in bytes; A, B and the bias are aligned to 16 */
};

struct matmul {
    int gpu;
    cudaStream_t stream;
    cublasLtHandle_t handle;
    struct matmul_shape shape;
    cublasLtMatmulDesc_t how;
    cublasLtMatrixLayout_t a, b, d;
    bool chosen;                           /* there is an algorithm */
    cublasLtMatmulAlgo_t algorithm;
    size_t workspace_bytes;
    const void *bound_bias;
};

/* What a product is made of; the workspace is aligned to 256. */
struct matmul_data {
    const void *a, *b, *bias;
    void *d, *workspace;
    const float *factor, *zero; /* `scaled`: both in the GPU's memory */
};

/* Without an algorithm where cuBLASLt has none for it. */
int matmul_open(struct matmul *matmul, struct device *device, const struct matmul_shape *shape, struct error *error);
void matmul_close(struct matmul *matmul); /* accepts a zeroed one */
/* For matmul_open: by the notes of an earlier run, else the fastest of what the heuristics offer. */
int matmul_choose(struct matmul *matmul, struct device *device, struct error *error);
int matmul_run(struct matmul *matmul, const struct matmul_data *data, struct error *error);

#endif
