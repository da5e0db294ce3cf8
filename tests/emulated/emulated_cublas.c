/* The emulated cuBLASLt: handles, descriptors and layouts. Attributes must have the documented size. */
#include "tests/emulated/emulated_cublas.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

cublasStatus_t blas_refuse(cublasStatus_t status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "emulated cuBLASLt: %s: ", cublasLtGetStatusName(status));
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    return status;
}

const char *cublasLtGetStatusName(cublasStatus_t status)
{
    switch ((int)status) {
    case CUBLAS_STATUS_SUCCESS: return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_NOT_INITIALIZED: return "CUBLAS_STATUS_NOT_INITIALIZED";
    case CUBLAS_STATUS_ALLOC_FAILED: return "CUBLAS_STATUS_ALLOC_FAILED";
    case CUBLAS_STATUS_INVALID_VALUE: return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_ARCH_MISMATCH: return "CUBLAS_STATUS_ARCH_MISMATCH";
    case CUBLAS_STATUS_EXECUTION_FAILED: return "CUBLAS_STATUS_EXECUTION_FAILED";
    case CUBLAS_STATUS_INTERNAL_ERROR: return "CUBLAS_STATUS_INTERNAL_ERROR";
    case CUBLAS_STATUS_NOT_SUPPORTED: return "CUBLAS_STATUS_NOT_SUPPORTED";
    default: return "CUBLAS_STATUS_UNKNOWN";
    }
}

const char *cublasLtGetStatusString(cublasStatus_t status)
{
    switch ((int)status) {
    case CUBLAS_STATUS_SUCCESS: return "success";
    case CUBLAS_STATUS_NOT_INITIALIZED: return "not initialized";
    case CUBLAS_STATUS_ALLOC_FAILED: return "no memory";
    case CUBLAS_STATUS_INVALID_VALUE: return "a value that cannot be";
    case CUBLAS_STATUS_NOT_SUPPORTED: return "not supported";
    case CUBLAS_STATUS_EXECUTION_FAILED: return "the device failed";
    default: return "unknown";
    }
}
size_t cublasLtGetVersion(void) { return CUBLAS_VERSION; }

static int new_object(void **object, size_t bytes, const char *function)
{
    int fault = emulated_fault(function, CUBLAS_STATUS_ALLOC_FAILED);
    *object = fault ? NULL : calloc(1, bytes);
    return fault ? fault : *object ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_ALLOC_FAILED;
}

cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle)
{
    void *object;
    int device, status = new_object(&object, sizeof **handle, "cublasLtCreate");
    if (status)
        return blas_refuse((cublasStatus_t)status, "cublasLtCreate: as asked for");
    if (cudaGetDevice(&device) != cudaSuccess) {
        free(object);
        return blas_refuse(CUBLAS_STATUS_NOT_INITIALIZED, "cublasLtCreate: no device");
    }
    *handle = object;
    (*handle)->device = device;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle)
{
    free(handle);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *to, cublasComputeType_t compute, cudaDataType_t scale)
{
    void *object;
    int status = new_object(&object, sizeof(struct matmul_desc), "cublasLtMatmulDescCreate");
    if (status)
        return blas_refuse((cublasStatus_t)status, "cublasLtMatmulDescCreate: as asked for");
    *(struct matmul_desc *)object = (struct matmul_desc){ .compute = compute, .scale = scale, .bias_type = -1, .epilogue = CUBLASLT_EPILOGUE_DEFAULT };
    *to = object;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t desc)
{
    free(desc);
    return CUBLAS_STATUS_SUCCESS;
}

static cublasStatus_t set(void *to, size_t bytes, const void *from, size_t given, const char *what, int attribute)
{
    if (!from || given != bytes)
        return blas_refuse(CUBLAS_STATUS_INVALID_VALUE, "%s: attribute %d has %zu bytes, not %zu", what, attribute, bytes, given);
    memcpy(to, from, bytes);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t handle, cublasLtMatmulDescAttributes_t attribute, const void *from, size_t bytes)
{
    struct matmul_desc *desc = (void *)handle;
    switch ((int)attribute) {
    case CUBLASLT_MATMUL_DESC_COMPUTE_TYPE: return set(&desc->compute, sizeof desc->compute, from, bytes, "matmul descriptor", (int)attribute);
    case CUBLASLT_MATMUL_DESC_SCALE_TYPE: return set(&desc->scale, sizeof desc->scale, from, bytes, "matmul descriptor", (int)attribute);
    case CUBLASLT_MATMUL_DESC_POINTER_MODE: return set(&desc->pointers, sizeof desc->pointers, from, bytes, "matmul descriptor", (int)attribute);
    case CUBLASLT_MATMUL_DESC_TRANSA: return set(&desc->trans_a, sizeof desc->trans_a, from, bytes, "matmul descriptor", (int)attribute);
    case CUBLASLT_MATMUL_DESC_TRANSB: return set(&desc->trans_b, sizeof desc->trans_b, from, bytes, "matmul descriptor", (int)attribute);
    case CUBLASLT_MATMUL_DESC_EPILOGUE: return set(&desc->epilogue, sizeof desc->epilogue, from, bytes, "matmul descriptor", (int)attribute);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER: return set(&desc->bias, sizeof desc->bias, from, bytes, "matmul descriptor", (int)attribute);
    case CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE: return set(&desc->bias_type, sizeof desc->bias_type, from, bytes, "matmul descriptor", (int)attribute);
    default: return blas_refuse(CUBLAS_STATUS_NOT_SUPPORTED, "matmul descriptor: attribute %d is not emulated", (int)attribute);
    }
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *to, cudaDataType type, uint64_t rows, uint64_t cols, int64_t ld)
{
    void *object;
    int status = new_object(&object, sizeof(struct matrix_layout), "cublasLtMatrixLayoutCreate");
    if (status)
        return blas_refuse((cublasStatus_t)status, "cublasLtMatrixLayoutCreate: as asked for");
    *(struct matrix_layout *)object = (struct matrix_layout){ .type = type, .order = CUBLASLT_ORDER_COL, .batch = 1, .rows = rows, .cols = cols, .ld = ld };
    *to = object;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout)
{
    free(layout);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t handle, cublasLtMatrixLayoutAttribute_t attribute, const void *from, size_t bytes)
{
    struct matrix_layout *layout = (void *)handle;
    switch ((int)attribute) {
    case CUBLASLT_MATRIX_LAYOUT_TYPE: return set(&layout->type, sizeof layout->type, from, bytes, "matrix layout", (int)attribute);
    case CUBLASLT_MATRIX_LAYOUT_ORDER: return set(&layout->order, sizeof layout->order, from, bytes, "matrix layout", (int)attribute);
    case CUBLASLT_MATRIX_LAYOUT_ROWS: return set(&layout->rows, sizeof layout->rows, from, bytes, "matrix layout", (int)attribute);
    case CUBLASLT_MATRIX_LAYOUT_COLS: return set(&layout->cols, sizeof layout->cols, from, bytes, "matrix layout", (int)attribute);
    case CUBLASLT_MATRIX_LAYOUT_LD: return set(&layout->ld, sizeof layout->ld, from, bytes, "matrix layout", (int)attribute);
    case CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT: return set(&layout->batch, sizeof layout->batch, from, bytes, "matrix layout", (int)attribute);
    default: return blas_refuse(CUBLAS_STATUS_NOT_SUPPORTED, "matrix layout: attribute %d is not emulated", (int)attribute);
    }
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *to)
{
    void *object;
    int status = new_object(&object, sizeof(struct preference), "cublasLtMatmulPreferenceCreate");
    if (status)
        return blas_refuse((cublasStatus_t)status, "cublasLtMatmulPreferenceCreate: as asked for");
    *(struct preference *)object = (struct preference){ 0, { 256, 256, 256, 256 } };
    *to = object;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference)
{
    free(preference);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t handle, cublasLtMatmulPreferenceAttributes_t attribute, const void *from, size_t bytes)
{
    struct preference *preference = (void *)handle;
    const int matrix = (int)attribute - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES;
    uint32_t mask;
    if (attribute == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES)
        return set(&preference->workspace, sizeof preference->workspace, from, bytes, "preference", (int)attribute);
    if (matrix >= 0 && matrix < 4)
        return set(&preference->alignment[matrix], sizeof preference->alignment[matrix], from, bytes, "preference", (int)attribute);
    if (attribute == CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK || attribute == CUBLASLT_MATMUL_PREF_SEARCH_MODE)
        return set(&mask, sizeof mask, from, bytes, "preference", (int)attribute);
    return blas_refuse(CUBLAS_STATUS_NOT_SUPPORTED, "preference: attribute %d is not emulated", (int)attribute);
}
