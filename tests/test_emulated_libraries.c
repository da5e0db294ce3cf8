/* The emulated cuDNN, cuBLASLt and NCCL against sums in doubles: they stand for the real libraries in the tests of the CUDA backend. */
#include "tests/tests.h"

#ifndef EMULATED_CUDA

static void with_cuda_itself(void **state)
{
    (void)state;
    test_skip("for VARIANT=emulated");
}

int test_emulated_libraries(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(with_cuda_itself) };
    return cmocka_run_group_tests_name("emulated_libraries", tests, NULL, NULL);
}

#else

#include "cuda/cudnn_graph.h"
#include "tests/emulated/emulated.h"
#include "tests/emulated/emulated_number.h"

#include <cublasLt.h>
#include <math.h>
#include <nccl.h>
#include <stdlib.h>

/* A vector on the device and what it holds, as floats. */
struct vector { enum number number; int64_t n; float *values; void *data; };

static float draw(uint64_t at) { return (float)((double)(at * 2654435761u % 2048) / 1024 - 1); }

static struct vector vector_new(int64_t n, enum number number, uint64_t seed)
{
    struct vector vector = { number, n, malloc((size_t)n * sizeof(float)), NULL };
    char *narrow = malloc((size_t)n * 4);
    assert_int_equal(cudaMalloc(&vector.data, (size_t)n * 4), cudaSuccess);
    for (int64_t i = 0; i < n; i++) {
        vector.values[i] = number_round(draw(seed + (uint64_t)i * 7919), number);
        number_store(narrow, i, vector.values[i], number);
    }
    assert_int_equal(cudaMemcpy(vector.data, narrow, (size_t)n * number_bytes(number), cudaMemcpyHostToDevice), cudaSuccess);
    assert_int_equal(cudaDeviceSynchronize(), cudaSuccess); /* streams that do not block do not wait for the copy */
    free(narrow);
    return vector;
}

static void vector_read(struct vector *vector)
{
    char *narrow = malloc((size_t)vector->n * 4);
    assert_int_equal(cudaDeviceSynchronize(), cudaSuccess);
    assert_int_equal(cudaMemcpy(narrow, vector->data, (size_t)vector->n * number_bytes(vector->number), cudaMemcpyDeviceToHost), cudaSuccess);
    for (int64_t i = 0; i < vector->n; i++)
        vector->values[i] = number_load(narrow, i, vector->number);
    free(narrow);
}

static void vector_free(struct vector *vector)
{
    cudaFree(vector->data);
    free(vector->values);
}

static void close_to(const struct vector *got, const double *want, double tolerance, const char *what)
{
    double largest = 0, worst = 0;
    for (int64_t i = 0; i < got->n; i++) {
        largest = fmax(largest, fabs(want[i]));
        worst = fmax(worst, fabs(got->values[i] - want[i]));
    }
    if (!(worst <= tolerance * largest))
        fail_msg("%s: differs by %g of %g", what, worst, largest);
}

/* ---- convolutions ---- */

struct conv_case { int64_t n, c, h, w, k, size, stride, pad; };

static const struct conv_case conv_cases[] = { { 2, 3, 7, 6, 5, 3, 1, 1 }, { 3, 8, 9, 9, 4, 3, 2, 1 }, { 1, 4, 5, 8, 6, 1, 2, 0 }, { 2, 2, 12, 11, 3, 5, 1, 0 } };

struct conv_data { struct vector x, w, y; int64_t p, q; };

static struct conv_data conv_data(const struct conv_case *s, enum number number)
{
    const int64_t p = (s->h + 2 * s->pad - s->size) / s->stride + 1, q = (s->w + 2 * s->pad - s->size) / s->stride + 1;
    const struct vector x = vector_new(s->n * s->c * s->h * s->w, number, 1), w = vector_new(s->k * s->c * s->size * s->size, number, 2);
    return (struct conv_data){ x, w, vector_new(s->n * s->k * p * q, number, 3), p, q };
}

/* Adds every product of the convolution to where the pass wants it. */
static void reference(const struct conv_case *s, const struct conv_data *data, enum cudnn_pass pass, double *to)
{
    for (int64_t i = 0; i < s->n * data->p * data->q * s->k; i++) {
        const int64_t k = i % s->k, q = i / s->k % data->q, p = i / s->k / data->q % data->p, n = i / s->k / data->q / data->p;
        for (int64_t j = 0; j < s->size * s->size * s->c; j++) {
            const int64_t c = j % s->c, h = p * s->stride - s->pad + j / s->c / s->size, w = q * s->stride - s->pad + j / s->c % s->size;
            if (h < 0 || h >= s->h || w < 0 || w >= s->w)
                continue;
            const int64_t x_at = ((n * s->h + h) * s->w + w) * s->c + c, w_at = k * s->size * s->size * s->c + j;
            if (pass == PASS_FORWARD)
                to[i] += (double)data->x.values[x_at] * data->w.values[w_at];
            else if (pass == PASS_DATA || pass == PASS_DATA_ADDED)
                to[x_at] += (double)data->y.values[i] * data->w.values[w_at];
            else
                to[w_at] += (double)data->y.values[i] * data->x.values[x_at];
        }
    }
}

static const cudnnDataType_t data_types[] = { [NUMBER_FP32] = CUDNN_DATA_FLOAT, [NUMBER_BF16] = CUDNN_DATA_BFLOAT16, [NUMBER_FP16] = CUDNN_DATA_HALF };

static void graph_of(struct cudnn_graph *graph, cudnnHandle_t handle, const struct conv_case *s, const struct conv_data *data, enum cudnn_pass pass)
{
    struct error error = { 0 };
    const cudnnDataType_t type = data_types[data->x.number];
    cudnn_graph_begin(graph, (struct cudnn_target){ .handle = handle });
    const int x = cudnn_graph_tensor(graph, type, (const int64_t[4]){ s->n, s->c, s->h, s->w });
    const int w = cudnn_graph_tensor(graph, type, (const int64_t[4]){ s->k, s->c, s->size, s->size });
    const int y = cudnn_graph_tensor(graph, type, (const int64_t[4]){ s->n, s->k, data->p, data->q });
    cudnn_graph_convolution(graph, pass, &(struct cudnn_window){ s->stride, s->pad }, x, w, y);
    if (cudnn_graph_finish(graph, &error))
        fail_msg("%s", error.text);
}

static void run_engine(const struct cudnn_graph *graph, const struct cudnn_engine *engine, struct conv_data *data)
{
    struct cudnn_plan plan;
    struct error error = { 0 };
    void *workspace;
    assert_int_equal(cudnn_plan_open(&plan, graph, engine, &error), 0);
    assert_int_equal(cudaMalloc(&workspace, plan.workspace_bytes + 1), cudaSuccess);
    if (cudnn_plan_run(&plan, (void *const[]){ data->x.data, data->w.data, data->y.data }, workspace, &error))
        fail_msg("%s", error.text);
    assert_int_equal(cudaDeviceSynchronize(), cudaSuccess);
    cudaFree(workspace);
    cudnn_plan_close(&plan);
}

static void convolutions(void **state)
{
    static const double rounding[] = { [NUMBER_FP32] = 2e-6, [NUMBER_BF16] = 0x1p-8, [NUMBER_FP16] = 0x1p-11 };
    cudnnHandle_t handle;
    (void)state;
    assert_int_equal(cudnnCreate(&handle), CUDNN_STATUS_SUCCESS);
    for (size_t c = 0; c < sizeof conv_cases / sizeof *conv_cases; c++)
        for (int number = NUMBER_FP32; number <= NUMBER_FP16; number++)
            for (int pass = PASS_FORWARD; pass <= PASS_DATA_ADDED; pass++) {
                struct conv_data data = conv_data(&conv_cases[c], (enum number)number);
                struct vector *out = pass == PASS_FORWARD ? &data.y : pass == PASS_FILTER ? &data.w : &data.x;
                double *want = calloc((size_t)out->n, sizeof *want);
                struct cudnn_graph graph;
                struct cudnn_engine engines[16];
                graph_of(&graph, handle, &conv_cases[c], &data, (enum cudnn_pass)pass);
                for (int64_t i = 0; pass == PASS_DATA_ADDED && i < out->n; i++)
                    want[i] = out->values[i];
                reference(&conv_cases[c], &data, (enum cudnn_pass)pass, want);
                assert_int_equal(cudnn_graph_engines(&graph, CUDNN_HEUR_MODE_A, &(struct cudnn_rules){ true, true }, engines, 16), 1);
                run_engine(&graph, &engines[0], &data);
                vector_read(out);
                close_to(out, want, rounding[number], "convolution");
                free(want);
                cudnn_graph_release(&graph);
                vector_free(&data.x), vector_free(&data.w), vector_free(&data.y);
            }
    cudnnDestroy(handle);
}

/* An engine that is not allowed shows: TF32 by its error, the one that is not deterministic by its bits. */
static void engines_differ(void **state)
{
    const struct conv_case s = { 8, 8, 9, 9, 4, 3, 1, 1 };
    struct conv_data data = conv_data(&s, NUMBER_FP32);
    cudnnHandle_t handle;
    struct cudnn_graph graph;
    struct cudnn_engine engines[16];
    float *exact = malloc((size_t)data.w.n * sizeof *exact), *first = malloc((size_t)data.w.n * sizeof *first);
    double tf32 = 0;
    (void)state;
    for (int64_t i = 0; i < data.x.n; i++)
        data.x.values[i] = 1 + 0x1p-12f * (float)(i % 7);
    assert_int_equal(cudaMemcpy(data.x.data, data.x.values, (size_t)data.x.n * sizeof(float), cudaMemcpyHostToDevice), cudaSuccess);
    assert_int_equal(cudnnCreate(&handle), CUDNN_STATUS_SUCCESS);
    graph_of(&graph, handle, &s, &data, PASS_FILTER);
    assert_int_equal(cudnn_graph_engines(&graph, CUDNN_HEUR_MODE_A, &(struct cudnn_rules){ false, false }, engines, 16), 5);
    struct cudnn_plan absent;
    struct error refused = { 0 };
    assert_int_equal(cudnn_plan_open(&absent, &graph, &engines[0], &refused), -1);
    run_engine(&graph, &engines[4], &data);
    vector_read(&data.w);
    memcpy(exact, data.w.values, (size_t)data.w.n * sizeof *exact);
    run_engine(&graph, &engines[1], &data);
    vector_read(&data.w);
    for (int64_t i = 0; i < data.w.n; i++)
        tf32 = fmax(tf32, fabs((double)data.w.values[i] - exact[i]));
    assert_true(tf32 > 1e-5);
    run_engine(&graph, &engines[3], &data);
    vector_read(&data.w);
    memcpy(first, data.w.values, (size_t)data.w.n * sizeof *first);
    run_engine(&graph, &engines[3], &data);
    vector_read(&data.w);
    assert_memory_not_equal(first, data.w.values, (size_t)data.w.n * sizeof *first);
    cudnn_graph_release(&graph);
    cudnnDestroy(handle);
    free(exact), free(first);
    vector_free(&data.x), vector_free(&data.w), vector_free(&data.y);
}

/* ---- products ---- */

struct product_case { int m, n, k; bool a_transposed, b_transposed, relu; enum number in, out; };

static void one_product(cublasLtHandle_t handle, const struct product_case *s)
{
    static const cudaDataType_t types[] = { [NUMBER_FP32] = CUDA_R_32F, [NUMBER_BF16] = CUDA_R_16BF, [NUMBER_FP16] = CUDA_R_16F };
    const int a_rows = s->a_transposed ? s->k : s->m, b_rows = s->b_transposed ? s->n : s->k;
    struct vector a = vector_new((int64_t)s->m * s->k, s->in, 4), b = vector_new((int64_t)s->n * s->k, s->in, 5);
    struct vector d = vector_new((int64_t)s->m * s->n, s->out, 6), bias = vector_new(s->m, s->out, 7);
    double *want = malloc((size_t)(s->m * s->n) * sizeof *want);
    cublasLtMatmulDesc_t desc;
    cublasLtMatrixLayout_t a_layout, b_layout, d_layout;
    const int32_t transposed = CUBLAS_OP_T;
    const uint32_t epilogue = s->relu ? CUBLASLT_EPILOGUE_RELU_BIAS : CUBLASLT_EPILOGUE_BIAS;
    const float one = 1, zero = 0;
    assert_int_equal(cublasLtMatmulDescCreate(&desc, CUBLAS_COMPUTE_32F, CUDA_R_32F), 0);
    if (s->a_transposed)
        assert_int_equal(cublasLtMatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_TRANSA, &transposed, sizeof transposed), 0);
    if (s->b_transposed)
        assert_int_equal(cublasLtMatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_TRANSB, &transposed, sizeof transposed), 0);
    assert_int_equal(cublasLtMatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue), 0);
    assert_int_equal(cublasLtMatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias.data, sizeof bias.data), 0);
    assert_int_equal(cublasLtMatrixLayoutCreate(&a_layout, types[s->in], (uint64_t)a_rows, (uint64_t)(s->m * s->k / a_rows), a_rows), 0);
    assert_int_equal(cublasLtMatrixLayoutCreate(&b_layout, types[s->in], (uint64_t)b_rows, (uint64_t)(s->n * s->k / b_rows), b_rows), 0);
    assert_int_equal(cublasLtMatrixLayoutCreate(&d_layout, types[s->out], (uint64_t)s->m, (uint64_t)s->n, s->m), 0);
    assert_int_equal(cublasLtMatmul(handle, desc, &one, a.data, a_layout, b.data, b_layout, &zero, d.data, d_layout, d.data, d_layout, NULL, NULL, 0, NULL), 0);
    for (int i = 0; i < s->m * s->n; i++) {
        const int row = i % s->m, col = i / s->m;
        want[i] = bias.values[row];
        for (int k = 0; k < s->k; k++)
            want[i] += (double)a.values[s->a_transposed ? row * s->k + k : k * s->m + row] * b.values[s->b_transposed ? k * s->n + col : col * s->k + k];
        want[i] = s->relu && want[i] < 0 ? 0 : want[i];
    }
    vector_read(&d);
    close_to(&d, want, s->out == NUMBER_FP32 ? 2e-6 : 0x1p-8, "product");
    free(want);
    cublasLtMatrixLayoutDestroy(a_layout), cublasLtMatrixLayoutDestroy(b_layout), cublasLtMatrixLayoutDestroy(d_layout);
    cublasLtMatmulDescDestroy(desc);
    vector_free(&a), vector_free(&b), vector_free(&d), vector_free(&bias);
}

static void products(void **state)
{
    cublasLtHandle_t handle;
    (void)state;
    assert_int_equal(cublasLtCreate(&handle), 0);
    for (int i = 0; i < 24; i++) {
        const enum number in = (enum number)(i % 3), out = i & 8 ? in : NUMBER_FP32;
        one_product(handle, &(struct product_case){ 3 + i, 29 - i, 5 + 3 * i % 17, i & 1, i & 2, i & 4, in, out });
    }
    cublasLtDestroy(handle);
}

/* ---- collectives ---- */

enum { RANKS = 2, FLOATS = 1000 };

struct gpus { cudaStream_t streams[RANKS]; struct vector vectors[RANKS]; ncclComm_t comms[RANKS]; };

static void gpus_open(struct gpus *gpus)
{
    for (int r = 0; r < RANKS; r++) {
        assert_int_equal(cudaSetDevice(r), cudaSuccess);
        assert_int_equal(cudaStreamCreateWithFlags(&gpus->streams[r], cudaStreamNonBlocking), cudaSuccess);
        gpus->vectors[r] = vector_new(FLOATS, NUMBER_FP32, 20 + (uint64_t)r);
    }
    assert_int_equal(ncclCommInitAll(gpus->comms, RANKS, NULL), ncclSuccess);
}

static void gpus_close(struct gpus *gpus)
{
    for (int r = 0; r < RANKS; r++) {
        assert_int_equal(cudaSetDevice(r), cudaSuccess);
        cudaStreamDestroy(gpus->streams[r]);
        vector_free(&gpus->vectors[r]);
    }
    assert_int_equal(cudaSetDevice(0), cudaSuccess);
}

static void sum_all(struct gpus *gpus, size_t last_n)
{
    assert_int_equal(ncclGroupStart(), ncclSuccess);
    for (int r = 0; r < RANKS; r++) {
        void *data = gpus->vectors[r].data;
        assert_int_equal(ncclAllReduce(data, data, r == RANKS - 1 ? last_n : FLOATS, ncclFloat, ncclSum, gpus->comms[r], gpus->streams[r]), ncclSuccess);
    }
    assert_int_equal(ncclGroupEnd(), ncclSuccess);
}

static void collectives(void **state)
{
    struct gpus gpus;
    double want[FLOATS] = { 0 };
    int count;
    (void)state;
    if (cudaGetDeviceCount(&count) != cudaSuccess || count < RANKS)
        test_skip("one emulated GPU");
    gpus_open(&gpus);
    for (int r = 0; r < RANKS; r++)
        for (int i = 0; i < FLOATS; i++)
            want[i] += gpus.vectors[r].values[i];
    sum_all(&gpus, FLOATS);
    for (int r = 0; r < RANKS; r++) {
        assert_int_equal(cudaSetDevice(r), cudaSuccess);
        vector_read(&gpus.vectors[r]);
        close_to(&gpus.vectors[r], want, 1e-6, "sum");
    }
    for (int r = 0; r < RANKS; r++)
        assert_int_equal(ncclCommDestroy(gpus.comms[r]), ncclSuccess);
    gpus_close(&gpus);
}

static void abort_all(struct gpus *gpus)
{
    assert_int_equal(cudaStreamQuery(gpus->streams[0]), cudaErrorNotReady);
    for (int r = 0; r < RANKS; r++)
        assert_int_equal(ncclCommAbort(gpus->comms[r]), ncclSuccess);
    for (int r = 0; r < RANKS; r++)
        assert_int_equal(cudaStreamSynchronize(gpus->streams[r]), cudaSuccess);
}

static void collectives_that_cannot_end(void **state)
{
    struct gpus gpus;
    ncclComm_t twice[2];
    int count;
    (void)state;
    if (cudaGetDeviceCount(&count) != cudaSuccess || count < RANKS)
        test_skip("one emulated GPU");
    assert_int_equal(ncclCommInitAll(twice, 2, (const int[]){ 1, 1 }), ncclInvalidUsage);
    gpus_open(&gpus);
    assert_int_equal(ncclAllReduce(gpus.vectors[0].data, gpus.vectors[0].data, FLOATS, ncclFloat, ncclSum, gpus.comms[0], gpus.streams[0]), ncclInvalidUsage);
    sum_all(&gpus, FLOATS / 2);
    for (ncclResult_t found = ncclSuccess; found == ncclSuccess;)
        assert_int_equal(ncclCommGetAsyncError(gpus.comms[0], &found), ncclSuccess);
    abort_all(&gpus);
    gpus_close(&gpus);
}

static void a_rank_that_stays_away(void **state)
{
    struct gpus gpus;
    ncclResult_t found = ncclSuccess;
    int count;
    (void)state;
    if (cudaGetDeviceCount(&count) != cudaSuccess || count < RANKS)
        test_skip("one emulated GPU");
    gpus_open(&gpus);
    emulated_fail("nccl part", 2, 0);
    sum_all(&gpus, FLOATS);
    while (emulated_calls("nccl part") < 2)
        assert_int_equal(ncclCommGetAsyncError(gpus.comms[0], &found), ncclSuccess);
    assert_int_equal(found, ncclSuccess); /* nobody knows, as with a lost GPU */
    abort_all(&gpus);
    gpus_close(&gpus);
}

int test_emulated_libraries(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(convolutions), cmocka_unit_test(engines_differ), cmocka_unit_test(products), cmocka_unit_test(collectives),
        cmocka_unit_test(collectives_that_cannot_end), cmocka_unit_test(a_rank_that_stays_away),
    };
    return cmocka_run_group_tests_name("emulated_libraries", tests, NULL, NULL);
}

#endif
