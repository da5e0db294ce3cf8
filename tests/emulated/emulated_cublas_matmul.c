/* The emulated cuBLASLt: heuristics and products of column-major or row-major matrices of fp32, bf16 and fp16, with sums in fp32 and the epilogues BIAS, RELU,
 * BGRADA and BGRADB.
 *
 * Layouts must fit the operation, an algorithm only runs what it was offered for, and what the heuristics were promised about alignment must hold. Heuristics offer two
 * algorithms, the first with a workspace where one is allowed. */
#include "tests/emulated/emulated_cublas.h"
#include "tests/emulated/emulated_number.h"

#include <stdbool.h>
#include <stdlib.h>

enum { WORKSPACE = 4096 + 16 };

/* What lies in a cublasLtMatmulAlgo_t. */
struct algorithm {
    uint32_t seal, with_workspace;
    uint64_t problem; /* for which it was offered */
    uint32_t alignment[4];
};
enum { SEAL = 0x6c74616c };
_Static_assert(sizeof(struct algorithm) <= sizeof(cublasLtMatmulAlgo_t), "an algorithm fits");

static bool number_of(uint32_t type, enum number *number)
{
    *number = type == CUDA_R_32F ? NUMBER_FP32 : type == CUDA_R_16BF ? NUMBER_BF16 : NUMBER_FP16;
    return type == CUDA_R_32F || type == CUDA_R_16BF || type == CUDA_R_16F;
}

static uint64_t rows_of(const struct matrix_layout *layout, int32_t transposed) { return transposed == CUBLAS_OP_N ? layout->rows : layout->cols; }
static uint64_t cols_of(const struct matrix_layout *layout, int32_t transposed) { return transposed == CUBLAS_OP_N ? layout->cols : layout->rows; }

static cublasStatus_t check_layout(const struct matrix_layout *layout, char name)
{
    enum number number;
    if (!number_of(layout->type, &number) || (layout->order != CUBLASLT_ORDER_COL && layout->order != CUBLASLT_ORDER_ROW) || layout->batch != 1)
        return blas_refuse(CUBLAS_STATUS_NOT_SUPPORTED, "%c: type %u, order %d, batch %d are not emulated", name, layout->type, layout->order, layout->batch);
    const uint64_t run = layout->order == CUBLASLT_ORDER_COL ? layout->rows : layout->cols;
    if (!layout->rows || !layout->cols || layout->ld < (int64_t)run)
        return blas_refuse(CUBLAS_STATUS_INVALID_VALUE, "%c: %llu x %llu with a leading dimension of %lld", name, (unsigned long long)layout->rows,
                           (unsigned long long)layout->cols, (long long)layout->ld);
    return CUBLAS_STATUS_SUCCESS;
}

static bool wants_bias(uint32_t epilogue)
{
    return epilogue == CUBLASLT_EPILOGUE_BIAS || epilogue == CUBLASLT_EPILOGUE_RELU_BIAS || epilogue == CUBLASLT_EPILOGUE_BGRADA || epilogue == CUBLASLT_EPILOGUE_BGRADB;
}

/* Types, shapes and epilogue; layouts are A, B, C, D. */
static cublasStatus_t check_problem(const struct matmul_desc *desc, const struct matrix_layout *const layouts[4])
{
    const bool fast = desc->compute == CUBLAS_COMPUTE_32F_FAST_TF32;
    for (int m = 0; m < 4; m++) {
        cublasStatus_t status = check_layout(layouts[m], "ABCD"[m]);
        if (status)
            return status;
    }
    const struct matrix_layout *a = layouts[0], *b = layouts[1], *c = layouts[2], *d = layouts[3];
    if ((desc->compute != CUBLAS_COMPUTE_32F && desc->compute != CUBLAS_COMPUTE_32F_PEDANTIC && !fast) || desc->scale != CUDA_R_32F)
        return blas_refuse(CUBLAS_STATUS_NOT_SUPPORTED, "compute type %d with scale type %d is not emulated", desc->compute, desc->scale);
    if (desc->pointers != CUBLASLT_POINTER_MODE_HOST && desc->pointers != CUBLASLT_POINTER_MODE_DEVICE)
        return blas_refuse(CUBLAS_STATUS_NOT_SUPPORTED, "pointer mode %d is not emulated", desc->pointers);
    if ((desc->trans_a != CUBLAS_OP_N && desc->trans_a != CUBLAS_OP_T) || (desc->trans_b != CUBLAS_OP_N && desc->trans_b != CUBLAS_OP_T))
        return blas_refuse(CUBLAS_STATUS_INVALID_VALUE, "operations %d and %d", desc->trans_a, desc->trans_b);
    if (a->type != b->type || c->type != d->type || (d->type != a->type && d->type != CUDA_R_32F) || (fast && a->type != CUDA_R_32F))
        return blas_refuse(CUBLAS_STATUS_NOT_SUPPORTED, "types %u x %u + %u to %u, compute type %d", a->type, b->type, c->type, d->type, desc->compute);
    if (c->rows != d->rows || c->cols != d->cols || c->order != d->order || rows_of(a, desc->trans_a) != d->rows || cols_of(b, desc->trans_b) != d->cols ||
        cols_of(a, desc->trans_a) != rows_of(b, desc->trans_b))
        return blas_refuse(CUBLAS_STATUS_INVALID_VALUE, "op(A) is %llu x %llu, op(B) %llu x %llu, C %llu x %llu, D %llu x %llu",
                           (unsigned long long)rows_of(a, desc->trans_a), (unsigned long long)cols_of(a, desc->trans_a), (unsigned long long)rows_of(b, desc->trans_b),
                           (unsigned long long)cols_of(b, desc->trans_b), (unsigned long long)c->rows, (unsigned long long)c->cols,
                           (unsigned long long)d->rows, (unsigned long long)d->cols);
    if (!wants_bias(desc->epilogue) && desc->epilogue != CUBLASLT_EPILOGUE_DEFAULT && desc->epilogue != CUBLASLT_EPILOGUE_RELU)
        return blas_refuse(CUBLAS_STATUS_NOT_SUPPORTED, "epilogue %u is not emulated", desc->epilogue);
    if (wants_bias(desc->epilogue) && desc->bias_type != -1 && desc->bias_type != (int32_t)d->type)
        return blas_refuse(CUBLAS_STATUS_NOT_SUPPORTED, "a bias of type %d with D of type %u", desc->bias_type, d->type);
    if (wants_bias(desc->epilogue) && d->order != CUBLASLT_ORDER_COL)
        return blas_refuse(CUBLAS_STATUS_NOT_SUPPORTED, "an epilogue with bias on a row-major D is not emulated");
    return CUBLAS_STATUS_SUCCESS;
}

static uint64_t mixed(uint64_t sum, uint64_t value) { return (sum ^ value) * UINT64_C(0x100000001b3); }

/* A sum over all that an algorithm is offered for. */
static uint64_t problem_of(const struct matmul_desc *desc, const struct matrix_layout *const layouts[4])
{
    uint64_t sum = mixed(mixed(mixed((uint64_t)desc->compute, (uint64_t)desc->trans_a), (uint64_t)desc->trans_b), desc->epilogue);
    for (int m = 0; m < 4; m++)
        sum = mixed(mixed(mixed(mixed(mixed(sum, layouts[m]->type), (uint64_t)layouts[m]->order), layouts[m]->rows), layouts[m]->cols), (uint64_t)layouts[m]->ld);
    return sum;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d, cublasLtMatmulPreference_t preference_handle, int requested,
                                              cublasLtMatmulHeuristicResult_t results[], int *returned)
{
    const struct matrix_layout *const layouts[4] = { (void *)a, (void *)b, (void *)c, (void *)d };
    const struct preference *preference = (void *)preference_handle;
    int fault = emulated_fault("cublasLtMatmulAlgoGetHeuristic", CUBLAS_STATUS_NOT_SUPPORTED);
    *returned = 0;
    if (fault)
        return blas_refuse((cublasStatus_t)fault, "cublasLtMatmulAlgoGetHeuristic: as asked for");
    if (!handle || requested < 1)
        return blas_refuse(CUBLAS_STATUS_INVALID_VALUE, "cublasLtMatmulAlgoGetHeuristic: no handle, or no algorithm is wanted");
    cublasStatus_t status = check_problem((void *)desc, layouts);
    for (int with_workspace = preference->workspace >= WORKSPACE; !status && with_workspace >= 0 && *returned < requested; with_workspace--) {
        struct algorithm algorithm = { .seal = SEAL, .with_workspace = (uint32_t)with_workspace, .problem = problem_of((void *)desc, layouts) };
        memcpy(algorithm.alignment, preference->alignment, sizeof algorithm.alignment);
        cublasLtMatmulHeuristicResult_t *to = &results[(*returned)++];
        *to = (cublasLtMatmulHeuristicResult_t){ .workspaceSize = with_workspace ? WORKSPACE : 0, .state = CUBLAS_STATUS_SUCCESS, .wavesCount = 1 };
        memcpy(&to->algo, &algorithm, sizeof algorithm);
    }
    return status;
}

cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c,
                                       cublasLtMatrixLayout_t d, const cublasLtMatmulAlgo_t *algo, cublasLtMatmulHeuristicResult_t *result)
{
    const struct matrix_layout *const layouts[4] = { (void *)a, (void *)b, (void *)c, (void *)d };
    struct algorithm algorithm;
    if (!handle || !algo || !result)
        return blas_refuse(CUBLAS_STATUS_INVALID_VALUE, "cublasLtMatmulAlgoCheck: something is NULL");
    cublasStatus_t status = check_problem((void *)desc, layouts);
    memcpy(&algorithm, algo, sizeof algorithm);
    if (!status && (algorithm.seal != SEAL || algorithm.with_workspace > 1 || algorithm.problem != problem_of((void *)desc, layouts)))
        status = CUBLAS_STATUS_NOT_SUPPORTED;
    *result = (cublasLtMatmulHeuristicResult_t){ .algo = *algo, .workspaceSize = !status && algorithm.with_workspace ? WORKSPACE : 0, .state = status, .wavesCount = 1 };
    return status;
}

/* One product, as it lies in the stream. */
struct product {
    struct matmul_desc desc;
    struct matrix_layout a, b, c, d;
    const void *in_a, *in_b, *in_c;
    void *out, *workspace;
    size_t workspace_bytes;
    float alpha, beta;
    const float *device_alpha, *device_beta; /* in their place with CUBLASLT_POINTER_MODE_DEVICE: read when it runs */
};

static int64_t place(const struct matrix_layout *layout, uint64_t row, uint64_t col)
{
    return layout->order == CUBLASLT_ORDER_COL ? (int64_t)col * layout->ld + (int64_t)row : (int64_t)row * layout->ld + (int64_t)col;
}

static float element(const struct matrix_layout *layout, const void *data, uint64_t row, uint64_t col)
{
    enum number number;
    number_of(layout->type, &number);
    return number_load(data, place(layout, row, col), number);
}

/* op(matrix), dense by rows */
static float *dense(const struct matrix_layout *layout, const void *data, int32_t transposed, bool tf32)
{
    const uint64_t rows = rows_of(layout, transposed), cols = cols_of(layout, transposed);
    float *to = malloc(rows * cols * sizeof *to);
    if (!to)
        abort();
    for (uint64_t row = 0; row < rows; row++)
        for (uint64_t col = 0; col < cols; col++) {
            const float value = transposed == CUBLAS_OP_N ? element(layout, data, row, col) : element(layout, data, col, row);
            to[row * cols + col] = tf32 ? number_tf32(value) : value;
        }
    return to;
}

static void bias_gradient(const struct product *product, const float *a, const float *b, enum number number)
{
    const uint64_t m = product->d.rows, n = product->d.cols, k = cols_of(&product->a, product->desc.trans_a);
    const bool of_a = product->desc.epilogue == CUBLASLT_EPILOGUE_BGRADA;
    for (uint64_t i = 0; i < (of_a ? m : n); i++) {
        float sum = 0;
        for (uint64_t j = 0; j < k; j++)
            sum += of_a ? a[i * k + j] : b[j * n + i];
        number_store(product->desc.bias, (int64_t)i, sum, number);
    }
}

static void multiply(void *context)
{
    const struct product *product = context;
    const struct matmul_desc *desc = &product->desc;
    const bool tf32 = desc->compute == CUBLAS_COMPUTE_32F_FAST_TF32, relu = desc->epilogue == CUBLASLT_EPILOGUE_RELU || desc->epilogue == CUBLASLT_EPILOGUE_RELU_BIAS;
    const bool bias = desc->epilogue == CUBLASLT_EPILOGUE_BIAS || desc->epilogue == CUBLASLT_EPILOGUE_RELU_BIAS;
    const uint64_t m = product->d.rows, n = product->d.cols, k = cols_of(&product->a, desc->trans_a);
    const float alpha = product->device_alpha ? *product->device_alpha : product->alpha, beta = product->device_beta ? *product->device_beta : product->beta;
    float *a = dense(&product->a, product->in_a, desc->trans_a, tf32), *b = dense(&product->b, product->in_b, desc->trans_b, tf32), *row = malloc(n * sizeof *row);
    enum number number;
    number_of(product->d.type, &number);
    if (!row)
        abort();
    if (product->workspace_bytes)
        memset(product->workspace, 0xff, product->workspace_bytes);
    for (uint64_t i = 0; i < m; i++) {
        memset(row, 0, n * sizeof *row);
        for (uint64_t l = 0; l < k; l++)
            for (uint64_t j = 0; j < n; j++)
                row[j] += a[i * k + l] * b[l * n + j];
        for (uint64_t j = 0; j < n; j++) {
            float value = alpha * row[j];
            if (beta != 0)
                value += beta * element(&product->c, product->in_c, i, j);
            if (bias)
                value += number_load(desc->bias, (int64_t)i, number);
            if (relu && value < 0)
                value = 0;
            number_store(product->out, place(&product->d, i, j), value, number);
        }
    }
    if (wants_bias(desc->epilogue) && !bias)
        bias_gradient(product, a, b, number);
    free(a);
    free(b);
    free(row);
}

static size_t layout_bytes(const struct matrix_layout *layout)
{
    enum number number;
    number_of(layout->type, &number);
    const uint64_t run = layout->order == CUBLASLT_ORDER_COL ? layout->rows : layout->cols, runs = layout->order == CUBLASLT_ORDER_COL ? layout->cols : layout->rows;
    return ((size_t)(runs - 1) * (size_t)layout->ld + run) * number_bytes(number);
}

/* That they are the device's, and that what the heuristics were promised of them holds. */
static cublasStatus_t check_matrices(const struct product *product, const struct algorithm *algorithm, cudaStream_t stream)
{
    const struct matrix_layout *const layouts[4] = { &product->a, &product->b, &product->c, &product->d };
    const void *const data[4] = { product->in_a, product->in_b, product->in_c, product->out };
    for (int m = 0; m < 4; m++) {
        if (!data[m] || !emulated_reaches(stream, data[m], layout_bytes(layouts[m])))
            return blas_refuse(CUBLAS_STATUS_EXECUTION_FAILED, "%c: %zu bytes at %p are not the device's", "ABCD"[m], layout_bytes(layouts[m]), data[m]);
        if (algorithm && (uintptr_t)data[m] % algorithm->alignment[m])
            return blas_refuse(CUBLAS_STATUS_INVALID_VALUE, "%c at %p: the heuristics were promised an alignment to %u", "ABCD"[m], data[m], algorithm->alignment[m]);
    }
    if (product->in_c == product->out && product->c.ld != product->d.ld)
        return blas_refuse(CUBLAS_STATUS_INVALID_VALUE, "C is D, with another layout");
    return CUBLAS_STATUS_SUCCESS;
}

static cublasStatus_t check_bias(const struct product *product, cudaStream_t stream)
{
    enum number number;
    number_of(product->d.type, &number);
    const size_t n = product->desc.epilogue == CUBLASLT_EPILOGUE_BGRADB ? product->d.cols : product->d.rows;
    if (wants_bias(product->desc.epilogue) && (!product->desc.bias || !emulated_reaches(stream, product->desc.bias, n * number_bytes(number))))
        return blas_refuse(CUBLAS_STATUS_INVALID_VALUE, "a bias of %zu numbers at %p is not the device's", n, product->desc.bias);
    return CUBLAS_STATUS_SUCCESS;
}

static cublasStatus_t take_factors(struct product *product, const float *alpha, const float *beta, cudaStream_t stream)
{
    if (product->desc.pointers == CUBLASLT_POINTER_MODE_HOST) {
        product->alpha = *alpha;
        product->beta = *beta;
        return CUBLAS_STATUS_SUCCESS;
    }
    product->device_alpha = alpha;
    product->device_beta = beta;
    if (!emulated_reaches(stream, alpha, sizeof *alpha) || !emulated_reaches(stream, beta, sizeof *beta))
        return blas_refuse(CUBLAS_STATUS_EXECUTION_FAILED, "alpha at %p or beta at %p is not the device's", (const void *)alpha, (const void *)beta);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, const void *alpha, const void *a, cublasLtMatrixLayout_t a_layout, const void *b,
                              cublasLtMatrixLayout_t b_layout, const void *beta, const void *c, cublasLtMatrixLayout_t c_layout, void *d, cublasLtMatrixLayout_t d_layout,
                              const cublasLtMatmulAlgo_t *algo, void *workspace, size_t workspace_bytes, cudaStream_t stream)
{
    const struct matrix_layout *const layouts[4] = { (void *)a_layout, (void *)b_layout, (void *)c_layout, (void *)d_layout };
    struct algorithm algorithm;
    int device = -1, fault = emulated_fault("cublasLtMatmul", CUBLAS_STATUS_EXECUTION_FAILED);
    if (fault)
        return blas_refuse((cublasStatus_t)fault, "cublasLtMatmul: as asked for");
    if (!handle || !desc || !alpha || !beta || !layouts[0] || !layouts[1] || !layouts[2] || !layouts[3])
        return blas_refuse(CUBLAS_STATUS_INVALID_VALUE, "cublasLtMatmul: something is NULL");
    if (cudaGetDevice(&device) != cudaSuccess || device != handle->device)
        return blas_refuse(CUBLAS_STATUS_INVALID_VALUE, "cublasLtMatmul: device %d is current, the handle's is %d", device, handle->device);
    cublasStatus_t status = check_problem((void *)desc, layouts);
    if (status)
        return status;
    struct product product = { *(struct matmul_desc *)(void *)desc, *layouts[0], *layouts[1], *layouts[2], *layouts[3], a, b, c, d, workspace, 0, 0, 0, NULL, NULL };
    if ((status = take_factors(&product, alpha, beta, stream)))
        return status;
    if (algo) {
        memcpy(&algorithm, algo, sizeof algorithm);
        if (algorithm.seal != SEAL || algorithm.problem != problem_of((void *)desc, layouts))
            return blas_refuse(CUBLAS_STATUS_INVALID_VALUE, "cublasLtMatmul: the heuristics have not offered this algorithm for this product");
        product.workspace_bytes = algorithm.with_workspace ? WORKSPACE : 0;
    }
    if (product.workspace_bytes > workspace_bytes ||
        (product.workspace_bytes && ((uintptr_t)workspace % 16 || !emulated_reaches(stream, workspace, product.workspace_bytes))))
        return blas_refuse(CUBLAS_STATUS_INVALID_VALUE, "cublasLtMatmul: wants %zu bytes of workspace, aligned to 16, got %zu at %p", product.workspace_bytes,
                           workspace_bytes, workspace);
    if ((status = check_matrices(&product, algo ? &algorithm : NULL, stream)) || (status = check_bias(&product, stream)))
        return status;
    return emulated_enqueue(stream, multiply, &product, sizeof product) ? CUBLAS_STATUS_EXECUTION_FAILED : CUBLAS_STATUS_SUCCESS;
}
