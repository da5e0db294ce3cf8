/* cuBLASLt, opened when it is first called: loading it takes a tenth of a second, which no command that multiplies nothing on a GPU should wait for. These are the library's functions
 * that this program calls, by their names; each goes on to the one in the library. Nothing else links it.
 *
 * Where it cannot be opened its version is 0 and everything else fails. Any thread. */
#include <cublasLt.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#define TEXT(x) #x
#define NAMED(major) "libcublasLt.so." TEXT(major)

enum { NOT_THERE = CUBLAS_STATUS_NOT_INITIALIZED };

static struct {
    pthread_once_t once;
    void *library; /* stays open; NULL: it could not be opened */
    __typeof__(cublasLtCreate) *create;
    __typeof__(cublasLtDestroy) *destroy;
    __typeof__(cublasLtGetStatusName) *status_name;
    __typeof__(cublasLtGetStatusString) *status_string;
    __typeof__(cublasLtGetVersion) *version;
    __typeof__(cublasLtMatmul) *matmul;
    __typeof__(cublasLtMatmulAlgoCheck) *algo_check;
    __typeof__(cublasLtMatmulAlgoGetHeuristic) *heuristic;
    __typeof__(cublasLtMatmulDescCreate) *desc_create;
    __typeof__(cublasLtMatmulDescDestroy) *desc_destroy;
    __typeof__(cublasLtMatmulDescSetAttribute) *desc_set;
    __typeof__(cublasLtMatmulPreferenceCreate) *preference_create;
    __typeof__(cublasLtMatmulPreferenceDestroy) *preference_destroy;
    __typeof__(cublasLtMatmulPreferenceSetAttribute) *preference_set;
    __typeof__(cublasLtMatrixLayoutCreate) *layout_create;
    __typeof__(cublasLtMatrixLayoutDestroy) *layout_destroy;
} cublas = { .once = PTHREAD_ONCE_INIT }; /* written once, by `open` */

static bool find(void *function, const char *name)
{
    void *address = dlsym(cublas.library, name);
    memcpy(function, &address, sizeof address);
    return address != NULL;
}

static void open(void)
{
    cublas.library = dlopen(NAMED(CUBLAS_VER_MAJOR), RTLD_NOW | RTLD_LOCAL);
    bool all = cublas.library && find(&cublas.create, "cublasLtCreate") && find(&cublas.destroy, "cublasLtDestroy") && find(&cublas.status_name, "cublasLtGetStatusName") &&
               find(&cublas.status_string, "cublasLtGetStatusString") && find(&cublas.version, "cublasLtGetVersion") && find(&cublas.matmul, "cublasLtMatmul") &&
               find(&cublas.algo_check, "cublasLtMatmulAlgoCheck") && find(&cublas.heuristic, "cublasLtMatmulAlgoGetHeuristic") &&
               find(&cublas.desc_create, "cublasLtMatmulDescCreate") && find(&cublas.desc_destroy, "cublasLtMatmulDescDestroy") &&
               find(&cublas.desc_set, "cublasLtMatmulDescSetAttribute") && find(&cublas.preference_create, "cublasLtMatmulPreferenceCreate") &&
               find(&cublas.preference_destroy, "cublasLtMatmulPreferenceDestroy") && find(&cublas.preference_set, "cublasLtMatmulPreferenceSetAttribute") &&
               find(&cublas.layout_create, "cublasLtMatrixLayoutCreate") && find(&cublas.layout_destroy, "cublasLtMatrixLayoutDestroy");
    if (!all)
        cublas.library = NULL;
}

static bool is_open(void)
{
    pthread_once(&cublas.once, open);
    return cublas.library != NULL;
}

cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle) { return is_open() ? cublas.create(handle) : NOT_THERE; }
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) { return is_open() ? cublas.destroy(handle) : NOT_THERE; }
const char *cublasLtGetStatusName(cublasStatus_t status) { return is_open() ? cublas.status_name(status) : "CUBLAS_STATUS_NOT_INITIALIZED"; }
const char *cublasLtGetStatusString(cublasStatus_t status) { return is_open() ? cublas.status_string(status) : "the library cannot be opened"; }
size_t cublasLtGetVersion(void) { return is_open() ? cublas.version() : 0; }

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t how, const void *alpha, const void *a, cublasLtMatrixLayout_t of_a, const void *b, cublasLtMatrixLayout_t of_b,
                              const void *beta, const void *c, cublasLtMatrixLayout_t of_c, void *d, cublasLtMatrixLayout_t of_d, const cublasLtMatmulAlgo_t *algorithm, void *workspace,
                              size_t bytes, cudaStream_t stream)
{
    return is_open() ? cublas.matmul(handle, how, alpha, a, of_a, b, of_b, beta, c, of_c, d, of_d, algorithm, workspace, bytes, stream) : NOT_THERE;
}

cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t handle, cublasLtMatmulDesc_t how, cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c,
                                       cublasLtMatrixLayout_t d, const cublasLtMatmulAlgo_t *algorithm, cublasLtMatmulHeuristicResult_t *result)
{
    return is_open() ? cublas.algo_check(handle, how, a, b, c, d, algorithm, result) : NOT_THERE;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t how, cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c,
                                              cublasLtMatrixLayout_t d, cublasLtMatmulPreference_t preference, int most, cublasLtMatmulHeuristicResult_t *results, int *n)
{
    return is_open() ? cublas.heuristic(handle, how, a, b, c, d, preference, most, results, n) : NOT_THERE;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *how, cublasComputeType_t computes, cudaDataType_t scales) { return is_open() ? cublas.desc_create(how, computes, scales) : NOT_THERE; }
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t how) { return is_open() ? cublas.desc_destroy(how) : NOT_THERE; }

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t how, cublasLtMatmulDescAttributes_t attribute, const void *value, size_t bytes)
{
    return is_open() ? cublas.desc_set(how, attribute, value, bytes) : NOT_THERE;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *preference) { return is_open() ? cublas.preference_create(preference) : NOT_THERE; }
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) { return is_open() ? cublas.preference_destroy(preference) : NOT_THERE; }

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference, cublasLtMatmulPreferenceAttributes_t attribute, const void *value, size_t bytes)
{
    return is_open() ? cublas.preference_set(preference, attribute, value, bytes) : NOT_THERE;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *layout, cudaDataType type, uint64_t rows, uint64_t columns, int64_t lead)
{
    return is_open() ? cublas.layout_create(layout, type, rows, columns, lead) : NOT_THERE;
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) { return is_open() ? cublas.layout_destroy(layout) : NOT_THERE; }
