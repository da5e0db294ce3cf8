/* What is known of GPUs before one is opened, and what the statuses of CUDA and its libraries become. */
#include "tests/tests.h"

#ifdef HAVE_CUDA

#include "base/error.h"
#include "cuda/cuda.h"
#include "cuda/status.h"
#include "tests/gpu.h"
#ifdef EMULATED_CUDA
#include "tests/emulated/emulated.h"
#endif

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void assert_says(const struct error *error, const char *words)
{
    if (error->code != EXIT_DEVICE || !strstr(error->text, words))
        fail_msg("want exit code %d and \"%s\", got %d and \"%s\"", EXIT_DEVICE, words, error->code, error->text);
}

static void success_is_none(void **state)
{
    struct error error = { 0 };
    (void)state;
    assert_int_equal(cuda_status(0, cudaSuccess, "x", &error), 0);
    assert_int_equal(cuda_status_cudnn(0, CUDNN_STATUS_SUCCESS, "x", &error), 0);
    assert_int_equal(cuda_status_cublas(0, CUBLAS_STATUS_SUCCESS, "x", &error), 0);
#ifdef HAVE_NCCL
    assert_int_equal(cuda_status_nccl(0, ncclSuccess, "x", &error), 0);
#endif
    assert_int_equal(error.code, 0);
    assert_string_equal(error.text, "");
}

static void a_line_says_where_what_and_what_to_do(void **state)
{
    static const struct { cudaError_t status; const char *words; } rows[] = {
        { cudaErrorNoDevice, "CUDA_VISIBLE_DEVICES" },
        { cudaErrorInvalidDevice, "onestep info lists the GPUs" },
        { cudaErrorNoKernelImageForDevice, "make CUDA_ARCH=N" },
        { cudaErrorMemoryAllocation, "a smaller [data] batch" },
        { cudaErrorSystemDriverMismatch, "a reboot" },
        { cudaErrorOperatingSystem, "/dev/nvidia*" },
        { cudaErrorIllegalAddress, "compute-sanitizer" },
        { cudaErrorStreamCaptureInvalidated, "[cuda] graphs = false" },
        { cudaErrorECCUncorrectable, "nvidia-smi -q -d ECC" },
        { cudaErrorInvalidValue, "cudaErrorInvalidValue" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct error error = { 0 };
        assert_int_equal(cuda_status(2, rows[i].status, "layer3.0.conv1, backward", &error), -1);
        assert_says(&error, "cuda:2: layer3.0.conv1, backward: ");
        assert_says(&error, rows[i].words);
        assert_says(&error, cudaGetErrorString(rows[i].status));
        assert_null(strchr(error.text, '\n'));
    }
}

static void a_lost_context_is_said_to_be_lost(void **state)
{
    static const cudaError_t lost[] = { cudaErrorIllegalAddress, cudaErrorLaunchFailure, cudaErrorECCUncorrectable, cudaErrorMisalignedAddress, cudaErrorAssert, cudaErrorUnknown };
    static const cudaError_t mendable[] = { cudaSuccess, cudaErrorMemoryAllocation, cudaErrorInvalidValue, cudaErrorNotReady, cudaErrorPeerAccessAlreadyEnabled };
    (void)state;
    for (size_t i = 0; i < sizeof lost / sizeof *lost; i++) {
        struct error error = { 0 };
        assert_true(cuda_is_lost(lost[i]));
        cuda_status(0, lost[i], "computing", &error);
        assert_says(&error, "the last checkpoint stays");
    }
    for (size_t i = 0; i < sizeof mendable / sizeof *mendable; i++) {
        struct error error = { 0 };
        assert_false(cuda_is_lost(mendable[i]));
        cuda_status(0, mendable[i], "computing", &error);
        assert_null(strstr(error.text, "checkpoint"));
    }
}

static void libraries_have_their_own_words(void **state)
{
    struct error dnn = { 0 }, parts = { 0 }, product = { 0 };
    (void)state;
    assert_int_equal(cuda_status_cudnn(1, CUDNN_STATUS_EXECUTION_FAILED, "conv1, forward", &dnn), -1);
    assert_says(&dnn, "cuda:1: conv1, forward: cuDNN: ");
    assert_int_equal(cuda_status_cudnn(-1, CUDNN_STATUS_SUBLIBRARY_LOADING_FAILED, "opening it", &parts), -1);
    assert_says(&parts, "cuda: opening it: cuDNN: ");
    assert_says(&parts, "of one version, in one folder");
    assert_int_equal(cuda_status_cublas(1, CUBLAS_STATUS_EXECUTION_FAILED, "fc, forward", &product), -1);
    assert_says(&product, "cuda:1: fc, forward: cuBLAS: ");
#ifdef HAVE_NCCL
    struct error sum = { 0 };
    assert_int_equal(cuda_status_nccl(-1, ncclInvalidUsage, "opening it", &sum), -1);
    assert_says(&sum, "cuda: opening it: NCCL: ");
    assert_says(&sum, "a GPU of its own");
#endif
}

static void the_first_failure_is_kept(void **state)
{
    struct error error = { 0 };
    (void)state;
    cuda_status(0, cudaErrorInvalidValue, "first", &error);
    assert_int_equal(cuda_status(1, cudaErrorIllegalAddress, "second", &error), -1);
    assert_says(&error, "cuda:0: first: ");
}

static void no_room_says_how_much_was_wanted_and_by_whom(void **state)
{
    struct error large = { 0 }, small = { 0 };
    (void)state;
    assert_int_equal(cuda_out_of_memory(0, (size_t)1288490189, "layer3.0.conv1", &large), -1);
    assert_says(&large, "cuda:0: out of memory for layer3.0.conv1: want 1.2 GiB");
    assert_says(&large, "a smaller [data] batch");
    cuda_out_of_memory(0, (size_t)3 << 19, "fc", &small);
    assert_says(&small, "for fc: want 1.5 MiB");
}

static void without_gpus_there_is_a_reason(void **state)
{
    struct error why = { 0 };
    char versions[256];
    int n = cuda_gpus(&why);
    (void)state;
    assert_non_null(getenv("CUDA_DEVICE_MAX_CONNECTIONS"));
    assert_true(n == 0 ? why.code == EXIT_DEVICE && *why.text : n > 0 && why.code == 0);
    cuda_versions(versions, sizeof versions);
    assert_non_null(strstr(versions, "CUDA "));
    assert_non_null(strstr(versions, "cuDNN 9."));
    assert_non_null(strstr(versions, n ? "the driver serves" : "driver"));
}

static void gpus_are_described(void **state)
{
    struct error error = { 0 };
    (void)state;
    gpu_or_skip();
    int n = cuda_gpus(&error);
    for (int i = 0; i < n; i++) {
        struct gpu gpu;
        if (cuda_gpu_read(&gpu, i, &error))
            fail_msg("%s", error.text);
        assert_true(*gpu.name && gpu.processors > 0 && gpu.capability >= 70);
        assert_true(gpu.free_bytes > 0 && gpu.free_bytes <= gpu.memory_bytes);
        assert_false(cuda_peer_offered(i, i));
        assert_false(cuda_peer_works(i, i));
    }
    struct gpu none;
    assert_int_equal(cuda_gpu_read(&none, n, &error), -1);
    assert_says(&error, "onestep info lists the GPUs");
    assert_false(cuda_peer_works(0, n));
    assert_false(cuda_peer_works(-1, 0));
}

#ifdef EMULATED_CUDA

static void a_driver_that_is_too_old(void **state)
{
    struct error why = { 0 };
    (void)state;
    emulated_fail("cudaGetDeviceCount", 1, cudaErrorInsufficientDriver);
    assert_int_equal(cuda_gpus(&why), 0);
    assert_says(&why, "the driver serves CUDA up to 13.0, this build wants 13.0: update the driver");
    assert_int_equal(cudaGetLastError(), cudaSuccess);
}

static void a_gpu_that_cannot_be_asked(void **state)
{
    struct gpu gpu;
    struct error error = { 0 };
    (void)state;
    gpu_or_skip();
    emulated_fail("cudaMemGetInfo", 1, cudaErrorECCUncorrectable);
    assert_int_equal(cuda_gpu_read(&gpu, 0, &error), -1);
    assert_says(&error, "cuda:0: asking for its memory: ");
    cudaGetLastError();
}

static void measuring_gives_back_what_it_takes(void **state)
{
    struct error error = { 0 };
    struct emulated_live before, after;
    double bandwidth;
    (void)state;
    gpu_or_skip();
    if (cuda_gpus(&error) < 2)
        test_skip("one GPU");
    before = emulated_live();
    if (cuda_measure_pair(&bandwidth, 0, 1, &error))
        fail_msg("%s", error.text);
    assert_true(bandwidth > 0);
    emulated_fail("cudaMalloc", 2, cudaErrorMemoryAllocation);
    assert_int_equal(cuda_measure_pair(&bandwidth, 0, 1, &error), -1);
    assert_says(&error, "cuda:1: out of memory for measuring copies: want 64 MiB");
    after = emulated_live();
    assert_memory_equal(&before, &after, sizeof before);
}

#endif

int test_gpus(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(success_is_none),
        cmocka_unit_test(a_line_says_where_what_and_what_to_do),
        cmocka_unit_test(a_lost_context_is_said_to_be_lost),
        cmocka_unit_test(libraries_have_their_own_words),
        cmocka_unit_test(the_first_failure_is_kept),
        cmocka_unit_test(no_room_says_how_much_was_wanted_and_by_whom),
        cmocka_unit_test(without_gpus_there_is_a_reason),
        cmocka_unit_test(gpus_are_described),
#ifdef EMULATED_CUDA
        cmocka_unit_test(a_driver_that_is_too_old),
        cmocka_unit_test(a_gpu_that_cannot_be_asked),
        cmocka_unit_test(measuring_gives_back_what_it_takes),
#endif
    };
    return cmocka_run_group_tests_name("gpus", tests, NULL, NULL);
}

#else

static void not_here(void **state)
{
    (void)state;
    test_skip("this build has no CUDA backend");
}

int test_gpus(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(not_here) };
    return cmocka_run_group_tests_name("gpus", tests, NULL, NULL);
}

#endif
