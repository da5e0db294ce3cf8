/* The convolutions' graphs as cuDNN itself sees them, without a GPU: it is given a description of one. That the graphs are valid, that every pass has a plan in
 * every precision, under every rule and within 256 MiB of workspace, and that a plan comes back from an engine's notes. And, with the library as with its
 * emulation: what misuse is answered with. */
#include "tests/tests.h"

#ifndef HAVE_CUDA

static void without_cuda(void **state)
{
    (void)state;
    test_skip("built without CUDA");
}

int test_cudnn_offers(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(without_cuda) };
    return cmocka_run_group_tests_name("cudnn_offers", tests, NULL, NULL);
}

#else

#include "cuda/cudnn_graph.h"
#include "tests/described_gpu.h"

enum { OFFERS = 64 };
static const size_t workspace_most = (size_t)256 << 20;

struct shape_case { const char *name; int64_t n, c, side, k, size, stride, pad; };

static const struct shape_case cases[] = {
    { "LeNet's first", 64, 1, 28, 20, 5, 1, 0 },       { "LeNet's second", 64, 20, 12, 50, 5, 1, 0 },     { "ResNet-20's first", 128, 3, 32, 16, 3, 1, 1 },
    { "ResNet-20's third stage", 128, 64, 8, 64, 3, 1, 1 }, { "a strided one", 128, 16, 32, 32, 3, 2, 1 }, { "a shortcut", 32, 256, 56, 512, 1, 2, 0 },
    { "ResNet-50's first", 32, 3, 224, 64, 7, 2, 3 },
};

static cudnnBackendDescriptor_t described(const struct described_gpu *gpu)
{
    cudnnBackendDescriptor_t properties;
    assert_int_equal(described_gpu_open(&properties, gpu), CUDNN_STATUS_SUCCESS);
    return properties;
}

static void build(struct cudnn_graph *graph, cudnnBackendDescriptor_t properties, const struct shape_case *s, cudnnDataType_t type, enum cudnn_pass pass)
{
    const int64_t out = (s->side + 2 * s->pad - s->size) / s->stride + 1;
    const struct cudnn_window window = { s->stride, s->pad };
    struct error error = { 0 };
    cudnn_graph_begin(graph, (struct cudnn_target){ .properties = properties });
    const int x = cudnn_graph_tensor(graph, type, (const int64_t[4]){ s->n, s->c, s->side, s->side });
    const int w = cudnn_graph_tensor(graph, type, (const int64_t[4]){ s->k, s->c, s->size, s->size });
    cudnn_graph_convolution(graph, pass, &window, x, w, cudnn_graph_tensor(graph, type, (const int64_t[4]){ s->n, s->k, out, out }));
    if (cudnn_graph_finish(graph, &error))
        fail_msg("%s: %s", s->name, error.text);
}

/* The first engine with a plan within the workspace, heuristics in the order in which the backend asks them; false: none. */
static bool first_plan(struct cudnn_plan *plan, struct cudnn_engine *engine, const struct cudnn_graph *graph, const struct cudnn_rules *rules)
{
    static const cudnnBackendHeurMode_t modes[] = { CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK };
    static struct cudnn_engine engines[OFFERS];
    for (int m = 0; m < 2; m++) {
        const int n = cudnn_graph_engines(graph, modes[m], rules, engines, OFFERS);
        for (int i = 0; i < n; i++) {
            struct error refused = { 0 };
            if (cudnn_plan_open(plan, graph, &engines[i], &refused))
                continue;
            *engine = engines[i];
            if (plan->workspace_bytes <= workspace_most)
                return true;
            cudnn_plan_close(plan);
        }
    }
    return false;
}

static void every_pass_has_a_plan(void **state)
{
    static const cudnnDataType_t types[] = { CUDNN_DATA_FLOAT, CUDNN_DATA_BFLOAT16, CUDNN_DATA_HALF };
    static const struct cudnn_rules rules[] = { { false, false }, { true, false }, { false, true }, { true, true } };
    (void)state;
    cudnnBackendDescriptor_t properties = described(&described_gpus[0]);
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++)
        for (int t = 0; t < 3; t++)
            for (int pass = PASS_FORWARD; pass <= PASS_DATA_ADDED; pass++) {
                struct cudnn_graph graph;
                build(&graph, properties, &cases[c], types[t], (enum cudnn_pass)pass);
                for (int r = 0; r < (types[t] == CUDNN_DATA_FLOAT ? 4 : 2); r++) {
                    struct cudnn_plan plan;
                    struct cudnn_engine engine;
                    if (!first_plan(&plan, &engine, &graph, &rules[r]))
                        fail_msg("%s, pass %d, data type %d, rules %d: cuDNN %zu has no engine", cases[c].name, pass, (int)types[t], r, cudnnGetVersion());
                    cudnn_plan_close(&plan);
                }
                cudnn_graph_release(&graph);
            }
    cudnnBackendDestroyDescriptor(properties);
}

static void engines_come_back_from_text(void **state)
{
    (void)state;
    cudnnBackendDescriptor_t properties = described(&described_gpus[0]);
    struct cudnn_graph graph;
    build(&graph, properties, &cases[3], CUDNN_DATA_BFLOAT16, PASS_FILTER);
    struct cudnn_engine engines[OFFERS], again;
    const int n = cudnn_graph_engines(&graph, CUDNN_HEUR_MODE_A, &(struct cudnn_rules){ .deterministic = true }, engines, OFFERS);
    int with_knobs = 0;
    assert_true(n > 0);
    for (int i = 0; i < n; i++) {
        char text[ENGINE_TEXT];
        struct cudnn_plan plan, second;
        struct error refused = { 0 };
        cudnn_engine_write(&engines[i], text);
        assert_true(cudnn_engine_read(&again, text));
        assert_true(cudnn_engine_same(&engines[i], &again));
        with_knobs += again.n_knobs > 0;
        const bool opens = cudnn_plan_open(&plan, &graph, &engines[i], &refused) == 0;
        assert_int_equal(cudnn_plan_open(&second, &graph, &again, &refused) == 0, opens);
        if (!opens)
            continue;
        assert_int_equal(plan.workspace_bytes, second.workspace_bytes);
        cudnn_plan_close(&plan);
        cudnn_plan_close(&second);
    }
    assert_true(with_knobs > 0);
    cudnn_graph_release(&graph);
    cudnnBackendDestroyDescriptor(properties);
}

static void a_wrong_shape_is_refused(void **state)
{
    (void)state;
    cudnnBackendDescriptor_t properties = described(&described_gpus[0]);
    struct cudnn_graph graph;
    struct error error = { 0 };
    cudnn_graph_begin(&graph, (struct cudnn_target){ .properties = properties });
    const int x = cudnn_graph_tensor(&graph, CUDNN_DATA_FLOAT, (const int64_t[4]){ 4, 8, 6, 6 });
    const int w = cudnn_graph_tensor(&graph, CUDNN_DATA_FLOAT, (const int64_t[4]){ 16, 8, 3, 3 });
    const int y = cudnn_graph_tensor(&graph, CUDNN_DATA_FLOAT, (const int64_t[4]){ 4, 16, 5, 6 });
    cudnn_graph_convolution(&graph, PASS_FORWARD, &(struct cudnn_window){ 1, 1 }, x, w, y);
    assert_int_equal(cudnn_graph_finish(&graph, &error), -1);
    assert_non_null(strstr(error.text, "CUDNN_STATUS_BAD_PARAM"));
    cudnn_graph_release(&graph);
    cudnnBackendDestroyDescriptor(properties);
}

static cudnnBackendDescriptor_t new(cudnnBackendDescriptorType_t type)
{
    cudnnBackendDescriptor_t made;
    assert_int_equal(cudnnBackendCreateDescriptor(type, &made), CUDNN_STATUS_SUCCESS);
    return made;
}

/* A tensor that is not finished, without the attribute `but`. */
static cudnnBackendDescriptor_t tensor_but(int but, int64_t alignment)
{
    const struct { cudnnBackendAttributeName_t name; cudnnBackendAttributeType_t type; int64_t n; const void *values; } attributes[] = {
        { CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &(int64_t){ 7 } },
        { CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &(cudnnDataType_t){ CUDNN_DATA_FLOAT } },
        { CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &alignment },
        { CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, (const int64_t[]){ 2, 8, 6, 6 } },
        { CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, (const int64_t[]){ 288, 1, 48, 8 } },
    };
    cudnnBackendDescriptor_t tensor = new(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++)
        if ((int)attributes[i].name != but)
            assert_int_equal(cudnnBackendSetAttribute(tensor, attributes[i].name, attributes[i].type, attributes[i].n, attributes[i].values), CUDNN_STATUS_SUCCESS);
    return tensor;
}

static cudnnStatus_t finish(cudnnBackendDescriptor_t descriptor)
{
    cudnnStatus_t status = cudnnBackendFinalize(descriptor);
    cudnnBackendDestroyDescriptor(descriptor);
    return status;
}

static void misuse_of_attributes(void **state)
{
    (void)state;
    const int64_t two[] = { 1, 2 };
    const float real = 1;
    int64_t got[2];
    cudnnBackendDescriptor_t tensor = tensor_but(-1, 16);
    assert_int_equal(cudnnBackendSetAttribute(tensor, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, two), CUDNN_STATUS_BAD_PARAM);
    assert_int_equal(cudnnBackendSetAttribute(tensor, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_FLOAT, 1, &real), CUDNN_STATUS_BAD_PARAM_ATTRIBUTE_TYPE);
    assert_int_equal(cudnnBackendSetAttribute(tensor, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 2, two), CUDNN_STATUS_BAD_PARAM);
    assert_int_equal(cudnnBackendSetAttribute(NULL, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, two), CUDNN_STATUS_BAD_PARAM_NULL_POINTER);
    assert_int_equal(cudnnBackendGetAttribute(tensor, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, NULL, got), CUDNN_STATUS_NOT_INITIALIZED);
    assert_int_equal(cudnnBackendFinalize(tensor), CUDNN_STATUS_SUCCESS);
    assert_int_equal(cudnnBackendSetAttribute(tensor, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, two), CUDNN_STATUS_BAD_PARAM);
    assert_int_equal(cudnnBackendGetAttribute(tensor, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_FLOAT, 1, NULL, got), CUDNN_STATUS_BAD_PARAM_ATTRIBUTE_TYPE);
    assert_int_equal(cudnnBackendGetAttribute(tensor, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, NULL, got), CUDNN_STATUS_SUCCESS);
    assert_int_equal(got[0], 7);
    assert_int_equal(finish(tensor), CUDNN_STATUS_BAD_PARAM); /* twice */
}

static void misuse_found_at_the_end(void **state)
{
    (void)state;
    assert_int_equal(finish(tensor_but(-1, 16)), CUDNN_STATUS_SUCCESS);
    assert_int_equal(finish(tensor_but(-1, 3)), CUDNN_STATUS_BAD_PARAM);
    assert_int_equal(finish(tensor_but(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, 16)), CUDNN_STATUS_BAD_PARAM);
    assert_int_equal(finish(tensor_but(CUDNN_ATTR_TENSOR_DIMENSIONS, 16)), CUDNN_STATUS_BAD_PARAM);
    assert_int_equal(finish(tensor_but(CUDNN_ATTR_TENSOR_STRIDES, 16)), CUDNN_STATUS_BAD_PARAM);
    assert_int_equal(finish(new(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR)), CUDNN_STATUS_BAD_PARAM);
    assert_int_equal(finish(new(CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR)), CUDNN_STATUS_BAD_PARAM);
    assert_int_equal(finish(new(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR)), CUDNN_STATUS_BAD_PARAM);
    assert_int_equal(finish(new(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR)), CUDNN_STATUS_BAD_PARAM);
    cudnnBackendDescriptor_t pack = new(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
    assert_int_equal(cudnnBackendSetAttribute(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, 2, (const int64_t[]){ 1, 2 }), CUDNN_STATUS_SUCCESS);
    assert_int_equal(cudnnBackendSetAttribute(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, 1, &(void *){ NULL }), CUDNN_STATUS_SUCCESS);
    assert_int_equal(finish(pack), CUDNN_STATUS_BAD_PARAM);
}

int test_cudnn_offers(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(misuse_of_attributes),        cmocka_unit_test(misuse_found_at_the_end),  cmocka_unit_test(every_pass_has_a_plan),
        cmocka_unit_test(engines_come_back_from_text), cmocka_unit_test(a_wrong_shape_is_refused),
    };
    return cmocka_run_group_tests_name("cudnn_offers", tests, NULL, NULL);
}

#endif
