/* See status.h. */
#include "cuda/status.h"

#include "base/error.h"
#include "base/text.h"

#include <stdio.h>

enum { LINE = 640 };

struct advice { cudaError_t status; const char *words; };

static const char sanitizer[] = "compute-sanitizer finds the place", captures[] = "[cuda] graphs = false runs without captures";

static const struct advice lost[] = {
    { cudaErrorIllegalAddress, sanitizer },
    { cudaErrorMisalignedAddress, sanitizer },
    { cudaErrorInvalidAddressSpace, sanitizer },
    { cudaErrorInvalidPc, sanitizer },
    { cudaErrorIllegalInstruction, sanitizer },
    { cudaErrorHardwareStackError, sanitizer },
    { cudaErrorLaunchFailure, "compute-sanitizer finds the place, dmesg shows the driver's Xid" },
    { cudaErrorAssert, sanitizer },
    { cudaErrorLaunchTimeout, "a display runs on this GPU, and its watchdog ended the kernel: take another" },
    { cudaErrorECCUncorrectable, "the GPU's memory is damaged: nvidia-smi -q -d ECC,ROW_REMAPPER" },
    { cudaErrorNvlinkUncorrectable, "a link between GPUs is damaged: nvidia-smi nvlink -e" },
    { cudaErrorContained, "the GPU's memory is damaged: nvidia-smi -q -d ECC,ROW_REMAPPER" },
    { cudaErrorExternalDevice, "another device on the bus failed: dmesg" },
    { cudaErrorMpsClientTerminated, "the MPS server ended this process's work" },
    { cudaErrorContextIsDestroyed, NULL },
    { cudaErrorUnknown, "dmesg shows the driver's Xid" },
};

static const struct advice mendable[] = {
    { cudaErrorNoDevice, "nvidia-smi lists what the driver sees; CUDA_VISIBLE_DEVICES may hide it, and this user must be able to read and write /dev/nvidia*" },
    { cudaErrorInvalidDevice, "onestep info lists the GPUs" },
    { cudaErrorDevicesUnavailable, "another process has it for itself (nvidia-smi -q -d COMPUTE)" },
    { cudaErrorOperatingSystem, "this user must be able to read and write /dev/nvidia*" },
    { cudaErrorNoKernelImageForDevice, "this build has no code for this GPU: make CUDA_ARCH=N with its compute capability, 90 for 9.0" },
    { cudaErrorUnsupportedPtxVersion, "the driver is older than the compiler: update it, or make CUDA_ARCH=N with the GPU's compute capability, 90 for 9.0" },
    { cudaErrorSystemDriverMismatch, "the driver's module and its library are of different versions: a reboot loads the new module" },
    { cudaErrorSystemNotReady, "the GPUs' switch is not started: systemctl start nvidia-fabricmanager" },
    { cudaErrorCompatNotSupportedOnDevice, "CUDA's compatibility package does not serve this GPU: update the driver" },
    { cudaErrorStreamCaptureUnsupported, captures },
    { cudaErrorStreamCaptureInvalidated, captures },
    { cudaErrorStreamCaptureUnjoined, captures },
    { cudaErrorStreamCaptureIsolation, captures },
    { cudaErrorStreamCaptureImplicit, captures },
    { cudaErrorCapturedEvent, captures },
    { cudaErrorMemoryAllocation, "the GPU's memory is full: a smaller [data] batch, or fewer workers on this GPU, want less" },
};

static const struct advice *find(const struct advice *rows, size_t n, cudaError_t status)
{
    for (size_t i = 0; i < n; i++)
        if (rows[i].status == status)
            return &rows[i];
    return NULL;
}

bool cuda_is_lost(cudaError_t status) { return find(lost, sizeof lost / sizeof *lost, status) != NULL; }

static void begin(struct text *text, char *line, int gpu, const char *doing)
{
    text_begin(text, line, LINE);
    if (gpu >= 0)
        text_add(text, "cuda:%d: %s: ", gpu, doing);
    else
        text_add(text, "cuda: %s%s", doing ? doing : "", doing ? ": " : "");
}

/* CUDA's runtime calls the lack of a driver an old one. */
static void add_driver(struct text *text)
{
    int driver = 0, runtime = 0;
    if (cudaDriverGetVersion(&driver) || driver == 0) {
        text_add(text, "there is no NVIDIA driver");
    } else {
        cudaRuntimeGetVersion(&runtime);
        text_add(text, "the driver serves CUDA up to %d.%d, this build wants %d.%d: update the driver", driver / 1000, driver % 1000 / 10, runtime / 1000, runtime % 1000 / 10);
    }
}

static void add_advice(struct text *text, cudaError_t status)
{
    const struct advice *advice = find(lost, sizeof lost / sizeof *lost, status);
    if (advice) {
        text_add(text, "; the GPU's context is lost and this process cannot go on, the last checkpoint stays");
    } else {
        advice = find(mendable, sizeof mendable / sizeof *mendable, status);
    }
    if (advice && advice->words)
        text_add(text, "; %s", advice->words);
}

int cuda_status(int gpu, cudaError_t status, const char *doing, struct error *error)
{
    char line[LINE];
    struct text text;
    if (status == cudaSuccess)
        return 0;
    begin(&text, line, gpu, doing);
    if (status == cudaErrorInsufficientDriver) {
        add_driver(&text);
    } else {
        text_add(&text, "%s (%s)", cudaGetErrorString(status), cudaGetErrorName(status));
        add_advice(&text, status);
    }
    return fail(error, EXIT_DEVICE, "%s", line);
}

/* Behind a library's own words: if the GPU itself has failed, why. */
static int fail_library(int gpu, struct text *text, struct error *error)
{
    cudaError_t beneath = cudaPeekAtLastError();
    if (gpu >= 0 && beneath != cudaSuccess) {
        text_add(text, "; beneath it: %s (%s)", cudaGetErrorString(beneath), cudaGetErrorName(beneath));
        add_advice(text, beneath);
    }
    return fail(error, EXIT_DEVICE, "%s", text->start);
}

static const char *advice_cudnn(cudnnStatus_t status)
{
    switch ((int)status) {
    case CUDNN_STATUS_NOT_INITIALIZED:
        return "; no room is left for its handle, or the driver is too old for it: onestep info prints both";
    case CUDNN_STATUS_SUBLIBRARY_VERSION_MISMATCH:
    case CUDNN_STATUS_SUBLIBRARY_LOADING_FAILED:
    case CUDNN_STATUS_NOT_SUPPORTED_SUBLIBRARY_UNAVAILABLE:
        return "; its parts (libcudnn_*.so) must be of one version, in one folder: make CUDNN_ROOT=FOLDER";
    case CUDNN_STATUS_NOT_SUPPORTED_RUNTIME_PREREQUISITE_MISSING:
    case CUDNN_STATUS_INTERNAL_ERROR_COMPILATION_FAILED:
        return "; it wants libnvrtc beside it or in LD_LIBRARY_PATH";
    case CUDNN_STATUS_NOT_SUPPORTED_INCOMPATIBLE_CUDA_DRIVER:
        return "; update the driver";
    case CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED:
        return "; the GPU's memory is full: a smaller [data] batch, or fewer workers on this GPU, want less";
    default:
        return "";
    }
}

int cuda_status_cudnn(int gpu, cudnnStatus_t status, const char *doing, struct error *error)
{
    char line[LINE], detail[256] = "";
    struct text text;
    if (status == CUDNN_STATUS_SUCCESS)
        return 0;
    cudnnGetLastErrorString(detail, sizeof detail);
    detail[sizeof detail - 1] = 0;
    for (char *c = detail; *c; c++)
        if (*c == '\n')
            *c = ' ';
    begin(&text, line, gpu, doing);
    text_add(&text, "cuDNN: %s%s%s%s", cudnnGetErrorString(status), *detail ? ": " : "", detail, advice_cudnn(status));
    return fail_library(gpu, &text, error);
}

int cuda_status_cublas(int gpu, cublasStatus_t status, const char *doing, struct error *error)
{
    char line[LINE];
    struct text text;
    if (status == CUBLAS_STATUS_SUCCESS)
        return 0;
    begin(&text, line, gpu, doing);
    text_add(&text, "cuBLAS: %s (%s)%s", cublasLtGetStatusString(status), cublasLtGetStatusName(status),
             status == CUBLAS_STATUS_ALLOC_FAILED || status == CUBLAS_STATUS_NOT_INITIALIZED ? "; the GPU's memory may be full: a smaller [data] batch, or fewer workers on this GPU, want less" : "");
    return fail_library(gpu, &text, error);
}

#ifdef HAVE_NCCL
int cuda_status_nccl(int gpu, ncclResult_t status, const char *doing, struct error *error)
{
    char line[LINE];
    struct text text;
    const char *advice = "";
    if (status == ncclSuccess)
        return 0;
    if (status == ncclUnhandledCudaError || status == ncclSystemError)
        advice = "; NCCL_DEBUG=WARN shows more; in a container it wants shared memory (--ipc=host or --shm-size)";
    else if (status == ncclInvalidUsage)
        advice = "; NCCL wants each worker on a GPU of its own";
    begin(&text, line, gpu, doing);
    text_add(&text, "NCCL: %s%s", ncclGetErrorString(status), advice);
    return fail_library(gpu, &text, error);
}
#endif

static void add_bytes(struct text *text, size_t bytes)
{
    double mib = (double)bytes / (1 << 20);
    if (mib < 1000)
        text_add(text, "%.*f MiB", mib < 10 ? 1 : 0, mib);
    else
        text_add(text, "%.1f GiB", mib / 1024);
}

int cuda_out_of_memory(int gpu, size_t bytes, const char *what, struct error *error)
{
    char line[LINE];
    struct text text;
    size_t available = 0, total = 0;
    text_begin(&text, line, sizeof line);
    text_add(&text, "cuda:%d: out of memory for %s: want ", gpu, what);
    add_bytes(&text, bytes);
    if (cudaMemGetInfo(&available, &total) == cudaSuccess) {
        text_add(&text, ", ");
        add_bytes(&text, available);
        text_add(&text, " free of ");
        add_bytes(&text, total);
    }
    cudaGetLastError(); /* a refused allocation loses nothing: later calls shall not see it */
    text_add(&text, "; a smaller [data] batch, or fewer workers on this GPU, want less");
    return fail(error, EXIT_DEVICE, "%s", line);
}
