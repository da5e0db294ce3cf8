/* See matmul.h. */
#include "cuda/matmul.h"

#include "cuda/device.h"
#include "cuda/settings.h"
#include "cuda/status.h"

static cudaDataType_t element_type(enum precision precision)
{
    switch (precision) {
    case PRECISION_BF16: return CUDA_R_16BF;
    case PRECISION_FP16: return CUDA_R_16F;
    default: return CUDA_R_32F;
    }
}

static int check(const struct matmul *matmul, cublasStatus_t status, const char *doing, struct error *error)
{
    return cuda_status_cublas(matmul->gpu, status, doing, error);
}

static int set(struct matmul *matmul, cublasLtMatmulDescAttributes_t attribute, const void *value, size_t bytes, struct error *error)
{
    return check(matmul, cublasLtMatmulDescSetAttribute(matmul->how, attribute, value, bytes), "describing a product", error);
}

static int set_bias(struct matmul *matmul, const void *bias, struct error *error)
{
    matmul->bound_bias = bias;
    return set(matmul, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof bias, error);
}

static int describe_how(struct matmul *matmul, struct error *error)
{
    const struct matmul_shape *shape = &matmul->shape;
    const bool tf32 = shape->operands == PRECISION_FP32 && cuda_settings()->tf32;
    const int32_t a = shape->transposed_a ? CUBLAS_OP_T : CUBLAS_OP_N, b = shape->transposed_b ? CUBLAS_OP_T : CUBLAS_OP_N, pointers = CUBLASLT_POINTER_MODE_DEVICE;
    const uint32_t epilogue = CUBLASLT_EPILOGUE_BIAS;
    const int32_t bias_type = element_type(shape->result);
    if (check(matmul, cublasLtMatmulDescCreate(&matmul->how, tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F, CUDA_R_32F), "describing a product", error) ||
        set(matmul, CUBLASLT_MATMUL_DESC_TRANSA, &a, sizeof a, error) || set(matmul, CUBLASLT_MATMUL_DESC_TRANSB, &b, sizeof b, error))
        return -1;
    if (shape->scaled && set(matmul, CUBLASLT_MATMUL_DESC_POINTER_MODE, &pointers, sizeof pointers, error))
        return -1;
    if (!shape->bias)
        return 0;
    /* The heuristics go by the pointer's alignment. */
    if (set(matmul, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue, error) || set(matmul, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, &bias_type, sizeof bias_type, error))
        return -1;
    return set_bias(matmul, (const void *)(uintptr_t)16, error);
}

static int describe_matrix(struct matmul *matmul, cublasLtMatrixLayout_t *layout, enum precision precision, int rows, int columns, struct error *error)
{
    return check(matmul, cublasLtMatrixLayoutCreate(layout, element_type(precision), (uint64_t)rows, (uint64_t)columns, rows), "describing a matrix", error);
}

static int describe(struct matmul *matmul, struct error *error)
{
    const struct matmul_shape *shape = &matmul->shape;
    const int m = shape->rows, n = shape->columns, k = shape->inner;
    return describe_how(matmul, error) || describe_matrix(matmul, &matmul->a, shape->operands, shape->transposed_a ? k : m, shape->transposed_a ? m : k, error) ||
                   describe_matrix(matmul, &matmul->b, shape->operands, shape->transposed_b ? n : k, shape->transposed_b ? k : n, error) ||
                   describe_matrix(matmul, &matmul->d, shape->result, m, n, error)
               ? -1
               : 0;
}

int matmul_open(struct matmul *matmul, struct device *device, const struct matmul_shape *shape, struct error *error)
{
    *matmul = (struct matmul){ .gpu = device->ordinal, .stream = device->stream, .shape = *shape };
    if (cuda_cublas(device, &matmul->handle, error) == 0 && describe(matmul, error) == 0 && matmul_choose(matmul, device, error) == 0)
        return 0;
    matmul_close(matmul);
    return -1;
}

void matmul_close(struct matmul *matmul)
{
    cublasLtMatrixLayout_t *layouts[] = { &matmul->a, &matmul->b, &matmul->d };
    for (int i = 0; i < 3; i++)
        if (*layouts[i])
            cublasLtMatrixLayoutDestroy(*layouts[i]);
    if (matmul->how)
        cublasLtMatmulDescDestroy(matmul->how);
    *matmul = (struct matmul){ .how = NULL };
}

int matmul_run(struct matmul *matmul, const struct matmul_data *data, struct error *error)
{
    static const float one = 1, zero = 0;
    if (matmul->shape.bias && data->bias != matmul->bound_bias && set_bias(matmul, data->bias, error))
        return -1;
    const float *alpha = matmul->shape.scaled ? data->factor : &one, *beta = matmul->shape.scaled ? data->zero : &zero;
    cublasStatus_t status = cublasLtMatmul(matmul->handle, matmul->how, alpha, data->a, matmul->a, data->b, matmul->b, beta, data->d, matmul->d, data->d, matmul->d, &matmul->algorithm,
                                           data->workspace, matmul->workspace_bytes, matmul->stream);
    return check(matmul, status, "a product", error);
}
