/* The emulated cuBLASLt, as its own files see it. */
#ifndef TESTS_EMULATED_CUBLAS_H
#define TESTS_EMULATED_CUBLAS_H

#include "tests/emulated/emulated.h"

#include <cublasLt.h>

#include <stdint.h>

struct cublasLtContext { int device; };

struct matmul_desc {
    int32_t compute, scale, trans_a, trans_b, bias_type, pointers;
    uint32_t epilogue;
    void *bias;
};

struct matrix_layout {
    uint32_t type;
    int32_t order, batch;
    uint64_t rows, cols;
    int64_t ld;
};

struct preference { uint64_t workspace; uint32_t alignment[4]; };

/* One line on stderr; returns the status. */
cublasStatus_t blas_refuse(cublasStatus_t status, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
