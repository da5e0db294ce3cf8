/* The frame of every call: faults that are asked for, calls that a capture or a host function forbids, a device that has failed, the last error; and the
 * names of errors. */
#include "tests/emulated/runtime.h"

static _Thread_local cudaError_t last_error;
static atomic_int live[LIVE_KINDS];

cudaError_t emulated_enter(const char *function, enum emulated_call call)
{
    if (emulated_in_host_function)
        return cudaErrorNotPermitted;
    cudaError_t error = (cudaError_t)emulated_fault(function, cudaErrorUnknown);
    if (!error && call == CALL_UNSAFE)
        error = emulated_capture_unsafe();
    if (!error && call != CALL_ALWAYS)
        error = emulated_device_broken(emulated_current());
    return error;
}

cudaError_t emulated_leave(cudaError_t error)
{
    if (error)
        last_error = error;
    return error;
}

/* An error that breaks the device stays. */
static cudaError_t sticky(void) { return emulated_device_broken(emulated_current()); }

cudaError_t cudaPeekAtLastError(void) { return sticky() ? sticky() : last_error; }

cudaError_t cudaGetLastError(void)
{
    cudaError_t error = cudaPeekAtLastError();
    last_error = cudaSuccess;
    return error;
}

static const struct named { cudaError_t error; const char *name, *text; } names[] = {
#define NAMED(error, text) { error, #error, text }
    NAMED(cudaSuccess, "no error"),
    NAMED(cudaErrorInvalidValue, "invalid argument"),
    NAMED(cudaErrorMemoryAllocation, "out of memory"),
    NAMED(cudaErrorInvalidConfiguration, "invalid configuration argument"),
    NAMED(cudaErrorInvalidMemcpyDirection, "invalid copy direction for memcpy"),
    NAMED(cudaErrorInvalidDevicePointer, "invalid device pointer"),
    NAMED(cudaErrorInvalidDevice, "invalid device ordinal"),
    NAMED(cudaErrorNoDevice, "no CUDA-capable device is detected"),
    NAMED(cudaErrorInvalidDeviceFunction, "invalid device function"),
    NAMED(cudaErrorInvalidResourceHandle, "invalid resource handle"),
    NAMED(cudaErrorNotReady, "device not ready"),
    NAMED(cudaErrorIllegalAddress, "an illegal memory access was encountered"),
    NAMED(cudaErrorIllegalState, "the operation cannot be performed in the present state"),
    NAMED(cudaErrorLaunchFailure, "unspecified launch failure"),
    NAMED(cudaErrorAssert, "device-side assert triggered"),
    NAMED(cudaErrorECCUncorrectable, "uncorrectable ECC error encountered"),
    NAMED(cudaErrorPeerAccessUnsupported, "peer access is not supported between these two devices"),
    NAMED(cudaErrorPeerAccessAlreadyEnabled, "peer access is already enabled"),
    NAMED(cudaErrorPeerAccessNotEnabled, "peer access has not been enabled"),
    NAMED(cudaErrorHostMemoryAlreadyRegistered, "part or all of the requested memory range is already mapped"),
    NAMED(cudaErrorNotPermitted, "operation not permitted"),
    NAMED(cudaErrorNotSupported, "operation not supported"),
    NAMED(cudaErrorStreamCaptureUnsupported, "operation not permitted when stream is capturing"),
    NAMED(cudaErrorStreamCaptureInvalidated, "operation failed due to a previous error during capture"),
    NAMED(cudaErrorStreamCaptureMerge, "operation would result in a merge of separate capture sequences"),
    NAMED(cudaErrorStreamCaptureUnmatched, "capture was not ended in the same stream as it began"),
    NAMED(cudaErrorStreamCaptureUnjoined, "capturing stream has unjoined work"),
    NAMED(cudaErrorStreamCaptureIsolation, "dependency created on uncaptured work in another stream"),
    NAMED(cudaErrorStreamCaptureImplicit, "operation would make the legacy stream depend on a capturing blocking stream"),
    NAMED(cudaErrorCapturedEvent, "operation not permitted on an event last recorded in a capturing stream"),
    NAMED(cudaErrorStreamCaptureWrongThread, "attempt to terminate a thread-local capture sequence from another thread"),
    NAMED(cudaErrorInsufficientDriver, "CUDA driver version is insufficient for CUDA runtime version"),
    NAMED(cudaErrorUnknown, "unknown error"),
#undef NAMED
};

static const struct named *named(cudaError_t error)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].error == error)
            return &names[i];
    return NULL;
}

const char *cudaGetErrorName(cudaError_t error) { return named(error) ? named(error)->name : "unrecognized error code"; }
const char *cudaGetErrorString(cudaError_t error) { return named(error) ? named(error)->text : "unrecognized error code"; }

void emulated_count(enum emulated_kind kind, int change) { atomic_fetch_add_explicit(&live[kind], change, memory_order_relaxed); }

struct emulated_live emulated_live(void)
{
    return (struct emulated_live){
        .device_blocks = atomic_load(&live[LIVE_DEVICE_BLOCKS]),
        .host_blocks = atomic_load(&live[LIVE_HOST_BLOCKS]),
        .streams = atomic_load(&live[LIVE_STREAMS]),
        .events = atomic_load(&live[LIVE_EVENTS]),
        .graphs = atomic_load(&live[LIVE_GRAPHS]),
    };
}
