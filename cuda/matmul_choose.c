/* Which algorithm a product is computed with: see matmul.h. An algorithm is cuBLASLt's own 64 bytes, which mean the same in every run of one version: so they go into the
 * notes. */
#include "cuda/matmul.h"

#include "base/sizes.h"
#include "base/text.h"
#include "cuda/choices.h"
#include "cuda/device.h"
#include "cuda/fastest.h"
#include "cuda/op.h"
#include "cuda/settings.h"
#include "cuda/status.h"

#include <stdio.h>

enum { CANDIDATES = 8, ALIGNMENT = 256, WORDS = sizeof(cublasLtMatmulAlgo_t) / sizeof(uint64_t) };

static int check(const struct matmul *matmul, cublasStatus_t status, struct error *error)
{
    return cuda_status_cublas(matmul->gpu, status, "choosing a product's algorithm", error);
}

/* Partial sums are added in fp32, so that D is rounded once. */
static int prefer(struct matmul *matmul, cublasLtMatmulPreference_t preference, struct error *error)
{
    const uint64_t workspace = cuda_settings()->workspace_bytes;
    const uint32_t reductions = CUBLASLT_REDUCTION_SCHEME_NONE | CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE, operands = 16, result = matmul->shape.alignment;
    const struct { cublasLtMatmulPreferenceAttributes_t attribute; const void *value; size_t bytes; } wishes[] = {
        { CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace, sizeof workspace },
        { CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &reductions, sizeof reductions },
        { CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &operands, sizeof operands },
        { CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, &operands, sizeof operands },
        { CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, &result, sizeof result },
        { CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, &result, sizeof result },
    };
    for (size_t i = 0; i < sizeof wishes / sizeof *wishes; i++)
        if (check(matmul, cublasLtMatmulPreferenceSetAttribute(preference, wishes[i].attribute, wishes[i].value, wishes[i].bytes), error))
            return -1;
    return 0;
}

struct candidates {
    struct matmul *matmul;
    int n;
    cublasLtMatmulHeuristicResult_t offers[CANDIDATES];
    struct matmul_data data; /* to measure with */
};

static int collect(struct candidates *candidates, int most, struct error *error)
{
    struct matmul *matmul = candidates->matmul;
    cublasLtMatmulPreference_t preference;
    cublasLtMatmulHeuristicResult_t offers[CANDIDATES];
    int n = 0;
    if (check(matmul, cublasLtMatmulPreferenceCreate(&preference), error))
        return -1;
    int result = prefer(matmul, preference, error);
    if (result == 0) {
        cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(matmul->handle, matmul->how, matmul->a, matmul->b, matmul->d, matmul->d, preference, most, offers, &n);
        if (status != CUBLAS_STATUS_NOT_SUPPORTED)
            result = check(matmul, status, error);
        else
            n = 0;
    }
    cublasLtMatmulPreferenceDestroy(preference);
    for (int i = 0; i < n; i++)
        if (offers[i].state == CUBLAS_STATUS_SUCCESS)
            candidates->offers[candidates->n++] = offers[i];
    return result;
}

static void take(struct matmul *matmul, const cublasLtMatmulHeuristicResult_t *offer)
{
    matmul->algorithm = offer->algo;
    matmul->workspace_bytes = offer->workspaceSize;
    matmul->chosen = true;
}

static int run(void *context, int i, struct error *error)
{
    struct candidates *candidates = context;
    take(candidates->matmul, &candidates->offers[i]);
    return matmul_run(candidates->matmul, &candidates->data, error);
}

/* On zeros, in memory of its own. */
static int measure(struct candidates *candidates, int *fastest, struct device *device, struct error *error)
{
    const struct matmul_shape *shape = &candidates->matmul->shape;
    const size_t m = (size_t)shape->rows, n = (size_t)shape->columns, k = (size_t)shape->inner;
    const size_t a = round_up(m * k * cuda_element_bytes(shape->operands), ALIGNMENT), b = round_up(n * k * cuda_element_bytes(shape->operands), ALIGNMENT);
    const size_t d = round_up(m * n * cuda_element_bytes(shape->result), ALIGNMENT), bias = round_up(m * sizeof(float), ALIGNMENT);
    static const float one = 1;
    size_t workspace = 0;
    void *block;
    for (int i = 0; i < candidates->n; i++)
        workspace = size_max(workspace, candidates->offers[i].workspaceSize);
    if (cuda_allocate(device, &block, a + b + d + bias + ALIGNMENT + workspace, "measuring products", error))
        return -1;
    char *at = block;
    candidates->data = (struct matmul_data){ .a = at, .b = at + a, .d = at + a + b, .bias = at + a + b + d, .zero = (const float *)(const void *)(at + a + b + d) };
    at += a + b + d + bias;
    candidates->data.factor = (const float *)(const void *)at;
    candidates->data.workspace = at + ALIGNMENT;
    cuda_upload(device, at, &one, sizeof one);
    int result = cuda_fastest(device, candidates->n, run, candidates, fastest, error);
    cuda_release(device, block);
    return result;
}

static void write_algorithm(char value[CHOICE_VALUE], const cublasLtMatmulAlgo_t *algorithm)
{
    struct text text;
    text_begin(&text, value, CHOICE_VALUE);
    for (int i = 0; i < WORDS; i++)
        text_add(&text, "%s%016llx", i ? " " : "", (unsigned long long)algorithm->data[i]);
}

/* Only if cuBLASLt agrees that it computes this product within the workspace that is allowed. */
static bool read_algorithm(struct matmul *matmul, const char *value)
{
    cublasLtMatmulHeuristicResult_t found;
    cublasLtMatmulAlgo_t algorithm;
    int used = 0;
    for (int i = 0; i < WORDS; i++, value += used) {
        unsigned long long word;
        if (sscanf(value, "%16llx%n", &word, &used) != 1)
            return false;
        algorithm.data[i] = word;
    }
    if (*value || cublasLtMatmulAlgoCheck(matmul->handle, matmul->how, matmul->a, matmul->b, matmul->d, matmul->d, &algorithm, &found) != CUBLAS_STATUS_SUCCESS ||
        found.state != CUBLAS_STATUS_SUCCESS || found.workspaceSize > cuda_settings()->workspace_bytes)
        return false;
    found.algo = algorithm;
    take(matmul, &found);
    return true;
}

static void write_key(char key[CHOICE_KEY], const struct matmul_shape *shape)
{
    const struct cuda_settings *settings = cuda_settings();
    snprintf(key, CHOICE_KEY, "product %d%s x %d%s x %d, %s to %s%s%s, aligned to %u, %s%sworkspace %zu", shape->rows, shape->transposed_a ? "t" : "", shape->inner,
             shape->transposed_b ? "t" : "", shape->columns, precision_name(shape->operands), precision_name(shape->result), shape->bias ? " with bias" : "",
             shape->scaled ? " scaled" : "", shape->alignment, settings->deterministic ? "deterministic " : "", settings->tf32 ? "tf32 " : "", settings->workspace_bytes);
}

static int choose_by_notes(struct candidates *candidates, struct device *device, struct error *error)
{
    struct matmul *matmul = candidates->matmul;
    char machine[CHOICE_MACHINE], key[CHOICE_KEY], value[CHOICE_VALUE];
    int fastest;
    if (choices_machine(machine, device, error))
        return -1;
    write_key(key, &matmul->shape);
    bool noted = choices_find(machine, key, value);
    if (noted && read_algorithm(matmul, value))
        return 0;
    if (collect(candidates, CANDIDATES, error))
        return -1;
    if (candidates->n == 0)
        return 0;
    if (measure(candidates, &fastest, device, error))
        return -1;
    take(matmul, &candidates->offers[fastest]);
    /* Another process may have chosen meanwhile: its choice is the one that later runs will read. */
    if (!noted && choices_find(machine, key, value) && read_algorithm(matmul, value))
        return 0;
    write_algorithm(value, &matmul->algorithm);
    choices_keep(machine, key, value);
    return 0;
}

int matmul_choose(struct matmul *matmul, struct device *device, struct error *error)
{
    struct candidates candidates = { .matmul = matmul };
    int result;
    if (cuda_settings()->measure) {
        choices_lock();
        result = choose_by_notes(&candidates, device, error);
        choices_unlock();
    } else {
        result = collect(&candidates, 1, error);
        if (candidates.n)
            take(matmul, &candidates.offers[0]);
    }
    return result;
}
