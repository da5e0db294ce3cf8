/* Emulated GPUs: how many there are, what they say of themselves, which may reach which, and whether they still work. */
#include "tests/emulated/runtime.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct gpu {
    size_t bytes;
    _Atomic size_t used;
    atomic_int broken;                /* a cudaError_t */
    atomic_bool sees[EMULATED_GPUS];  /* peers that have been enabled */
    pthread_rwlock_t lock;            /* of the streams */
    struct CUstream_st *streams;
    struct CUstream_st *_Atomic legacy;
    pthread_mutex_t opening;          /* of the legacy one */
} gpus[EMULATED_GPUS];

static int n_gpus;
static atomic_int peers;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static _Thread_local int current;

static long from_environment(const char *name, long least, long most, long otherwise)
{
    const char *value = getenv(name);
    if (!value)
        return otherwise;
    char *end;
    long number = strtol(value, &end, 10);
    if (end == value || *end || number < least || number > most) {
        fprintf(stderr, "%s: want %ld..%ld, got \"%s\"\n", name, least, most, value);
        exit(2);
    }
    return number;
}

static void start(void)
{
    n_gpus = (int)from_environment("ONESTEP_EMULATED_GPUS", 0, EMULATED_GPUS, 2);
    emulated_delay((int)from_environment("ONESTEP_EMULATED_DELAY", 0, 1000000, 0));
    const char *mode = getenv("ONESTEP_EMULATED_PEERS");
    if (mode && strcmp(mode, "none") && strcmp(mode, "broken")) {
        fprintf(stderr, "ONESTEP_EMULATED_PEERS: want none or broken, got \"%s\"\n", mode);
        exit(2);
    }
    atomic_store(&peers, !mode ? EMULATED_PEERS : strcmp(mode, "none") ? EMULATED_PEERS_BROKEN : EMULATED_PEERS_NONE);
    for (int i = 0; i < EMULATED_GPUS; i++) {
        gpus[i].bytes = (size_t)from_environment("ONESTEP_EMULATED_MEMORY", 1, 1 << 20, 1024) << 20;
        pthread_rwlock_init(&gpus[i].lock, NULL);
        pthread_mutex_init(&gpus[i].opening, NULL);
    }
}

int emulated_gpus(void)
{
    pthread_once(&once, start);
    return n_gpus;
}

int emulated_current(void)
{
    pthread_once(&once, start);
    return current;
}

void emulated_peers(enum emulated_peers mode)
{
    emulated_gpus();
    atomic_store(&peers, mode);
    for (int i = 0; i < EMULATED_GPUS; i++)
        for (int k = 0; k < EMULATED_GPUS; k++)
            atomic_store(&gpus[i].sees[k], false);
}

bool emulated_corrupts(void) { return atomic_load_explicit(&peers, memory_order_relaxed) == EMULATED_PEERS_BROKEN; }

bool emulated_device_sees(int device, int peer)
{
    return device == peer || atomic_load_explicit(&gpus[device].sees[peer], memory_order_relaxed);
}

/* ---- failed devices ---- */

cudaError_t emulated_device_broken(int device) { return (cudaError_t)atomic_load_explicit(&gpus[device].broken, memory_order_relaxed); }

void emulated_break(cudaError_t error, const char *format, ...)
{
    struct CUstream_st *stream = emulated_stream_running();
    int device = stream ? stream->device : emulated_current();
    char text[512];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    fprintf(stderr, "emulated GPU %d: %s\n", device, text);
    atomic_store_explicit(&gpus[device].broken, error, memory_order_relaxed);
}

void emulated_mend(void)
{
    for (int i = 0; i < EMULATED_GPUS; i++)
        atomic_store(&gpus[i].broken, cudaSuccess);
    cudaGetLastError();
}

/* ---- streams and memory of a device ---- */

void emulated_device_add(struct CUstream_st *stream)
{
    struct gpu *gpu = &gpus[stream->device];
    pthread_rwlock_wrlock(&gpu->lock);
    stream->next = gpu->streams;
    gpu->streams = stream;
    pthread_rwlock_unlock(&gpu->lock);
}

void emulated_device_remove(struct CUstream_st *stream)
{
    struct gpu *gpu = &gpus[stream->device];
    pthread_rwlock_wrlock(&gpu->lock);
    struct CUstream_st **at = &gpu->streams;
    while (*at != stream)
        at = &(*at)->next;
    *at = stream->next;
    pthread_rwlock_unlock(&gpu->lock);
}

void emulated_device_each(int device, void (*visit)(struct CUstream_st *stream, void *context), void *context)
{
    pthread_rwlock_rdlock(&gpus[device].lock);
    for (struct CUstream_st *stream = gpus[device].streams; stream; stream = stream->next)
        visit(stream, context);
    pthread_rwlock_unlock(&gpus[device].lock);
}

/* It lives as long as the process. */
struct CUstream_st *emulated_device_legacy(int device, bool open)
{
    struct gpu *gpu = &gpus[device];
    struct CUstream_st *stream = atomic_load_explicit(&gpu->legacy, memory_order_acquire);
    if (stream || !open)
        return stream;
    pthread_mutex_lock(&gpu->opening);
    stream = atomic_load(&gpu->legacy);
    if (!stream && (stream = emulated_stream_open(device, true, true, 0))) {
        pthread_detach(stream->thread);
        atomic_store_explicit(&gpu->legacy, stream, memory_order_release);
    }
    pthread_mutex_unlock(&gpu->opening);
    return stream;
}

static void drain(struct CUstream_st *stream, void *none)
{
    (void)none;
    if (!stream->legacy)
        emulated_stream_drain(stream);
}

void emulated_device_drain(int device)
{
    emulated_device_each(device, drain, NULL);
    if (emulated_device_legacy(device, false))
        emulated_stream_drain(emulated_device_legacy(device, false));
}

bool emulated_device_take(int device, size_t bytes)
{
    struct gpu *gpu = &gpus[device];
    if (bytes > gpu->bytes || atomic_fetch_add_explicit(&gpu->used, bytes, memory_order_relaxed) <= gpu->bytes - bytes)
        return bytes <= gpu->bytes;
    emulated_device_give(device, bytes);
    return false;
}

void emulated_device_give(int device, size_t bytes) { atomic_fetch_sub_explicit(&gpus[device].used, bytes, memory_order_relaxed); }

/* ---- what the runtime offers ---- */

static bool is_device(int device) { return device >= 0 && device < emulated_gpus(); }

cudaError_t cudaGetDeviceCount(int *count)
{
    cudaError_t error = emulated_enter(__func__, CALL_ALWAYS);
    *count = error ? 0 : emulated_gpus();
    return emulated_leave(error ? error : *count ? cudaSuccess : cudaErrorNoDevice);
}

cudaError_t cudaSetDevice(int device)
{
    cudaError_t error = emulated_enter(__func__, CALL_ALWAYS);
    if (!error && !is_device(device))
        error = cudaErrorInvalidDevice;
    if (!error)
        current = device;
    return emulated_leave(error);
}

cudaError_t cudaGetDevice(int *device)
{
    cudaError_t error = emulated_enter(__func__, CALL_ALWAYS);
    if (!error && !emulated_gpus())
        error = cudaErrorNoDevice;
    *device = current;
    return emulated_leave(error);
}

cudaError_t cudaDeviceSynchronize(void)
{
    cudaError_t error = emulated_enter(__func__, CALL_UNSAFE);
    if (!error && emulated_capture_on(current, false))
        error = cudaErrorStreamCaptureUnsupported;
    if (!error) {
        emulated_device_drain(current);
        error = emulated_device_broken(current);
    }
    return emulated_leave(error);
}

cudaError_t cudaMemGetInfo(size_t *available, size_t *total)
{
    cudaError_t error = emulated_enter(__func__, CALL_SAFE);
    struct gpu *gpu = &gpus[current];
    *total = gpu->bytes;
    *available = gpu->bytes - atomic_load_explicit(&gpu->used, memory_order_relaxed);
    return emulated_leave(error);
}

cudaError_t cudaDeviceCanAccessPeer(int *can, int device, int peer)
{
    cudaError_t error = emulated_enter(__func__, CALL_ALWAYS);
    if (!error && (!is_device(device) || !is_device(peer)))
        error = cudaErrorInvalidDevice;
    *can = !error && device != peer && atomic_load(&peers) != EMULATED_PEERS_NONE;
    return emulated_leave(error);
}

cudaError_t cudaDeviceEnablePeerAccess(int peer, unsigned flags)
{
    cudaError_t error = emulated_enter(__func__, CALL_SAFE);
    if (!error && (!is_device(peer) || peer == current))
        error = cudaErrorInvalidDevice;
    if (!error && flags)
        error = cudaErrorInvalidValue;
    if (!error && atomic_load(&peers) == EMULATED_PEERS_NONE)
        error = cudaErrorPeerAccessUnsupported;
    if (!error && atomic_exchange(&gpus[current].sees[peer], true))
        error = cudaErrorPeerAccessAlreadyEnabled;
    return emulated_leave(error);
}

cudaError_t cudaDeviceDisablePeerAccess(int peer)
{
    cudaError_t error = emulated_enter(__func__, CALL_SAFE);
    if (!error && !is_device(peer))
        error = cudaErrorInvalidDevice;
    if (!error && !atomic_exchange(&gpus[current].sees[peer], false))
        error = cudaErrorPeerAccessNotEnabled;
    return emulated_leave(error);
}

cudaError_t cudaDeviceGetStreamPriorityRange(int *least, int *greatest)
{
    cudaError_t error = emulated_enter(__func__, CALL_SAFE);
    if (least)
        *least = 0;
    if (greatest)
        *greatest = -5;
    return emulated_leave(error);
}

cudaError_t cudaDriverGetVersion(int *version)
{
    cudaError_t error = emulated_enter(__func__, CALL_ALWAYS);
    *version = CUDART_VERSION;
    return emulated_leave(error);
}

cudaError_t cudaRuntimeGetVersion(int *version)
{
    cudaError_t error = emulated_enter(__func__, CALL_ALWAYS);
    *version = CUDART_VERSION;
    return emulated_leave(error);
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *properties, int device)
{
    cudaError_t error = emulated_enter(__func__, CALL_SAFE);
    if (!error && !is_device(device))
        error = cudaErrorInvalidDevice;
    if (error)
        return emulated_leave(error);
    *properties = (struct cudaDeviceProp){
        .name = "Emulated GPU", .totalGlobalMem = gpus[device].bytes, .major = 9, .minor = 0, .multiProcessorCount = 132, .warpSize = 32,
        .sharedMemPerBlock = 48 << 10, .sharedMemPerBlockOptin = 227 << 10, .sharedMemPerMultiprocessor = 228 << 10, .reservedSharedMemPerBlock = 1 << 10,
        .maxThreadsPerBlock = 1024, .maxThreadsDim = { 1024, 1024, 64 }, .maxGridSize = { 2147483647, 65535, 65535 },
        .maxThreadsPerMultiProcessor = 2048, .maxBlocksPerMultiProcessor = 32, .regsPerBlock = 65536, .regsPerMultiprocessor = 65536,
        .l2CacheSize = 50 << 20, .memoryBusWidth = 5120, .totalConstMem = 64 << 10, .memPitch = 2147483647, .asyncEngineCount = 3,
        .unifiedAddressing = 1, .canMapHostMemory = 1, .concurrentKernels = 1, .streamPrioritiesSupported = 1, .hostRegisterSupported = 1, .pciBusID = device + 1,
    };
    properties->uuid.bytes[0] = (char)(device + 1);
    return emulated_leave(cudaSuccess);
}

cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr attribute, int device)
{
    cudaError_t error = emulated_enter(__func__, CALL_SAFE);
    if (!error && !is_device(device))
        error = cudaErrorInvalidDevice;
    if (error)
        return emulated_leave(error);
    switch ((int)attribute) {
    case cudaDevAttrMultiProcessorCount: *value = 132; break;
    case cudaDevAttrComputeCapabilityMajor: *value = 9; break;
    case cudaDevAttrComputeCapabilityMinor: *value = 0; break;
    case cudaDevAttrWarpSize: *value = 32; break;
    case cudaDevAttrMaxThreadsPerBlock: *value = 1024; break;
    case cudaDevAttrMaxThreadsPerMultiProcessor: *value = 2048; break;
    case cudaDevAttrMaxSharedMemoryPerBlock: *value = 48 << 10; break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = 227 << 10; break;
    case cudaDevAttrL2CacheSize: *value = 50 << 20; break;
    case cudaDevAttrClockRate: *value = 1980000; break;
    case cudaDevAttrMemoryClockRate: *value = 2619000; break;
    case cudaDevAttrGlobalMemoryBusWidth: *value = 5120; break;
    case cudaDevAttrPciBusId: *value = device + 1; break;
    case cudaDevAttrUnifiedAddressing: *value = 1; break;
    case cudaDevAttrConcurrentKernels: *value = 1; break;
    case cudaDevAttrStreamPrioritiesSupported: *value = 1; break;
    case cudaDevAttrAsyncEngineCount: *value = 3; break;
    default: error = cudaErrorNotSupported; break;
    }
    return emulated_leave(error);
}

cudaError_t cudaDeviceGetPCIBusId(char *text, int bytes, int device)
{
    cudaError_t error = emulated_enter(__func__, CALL_SAFE);
    if (!error && !is_device(device))
        error = cudaErrorInvalidDevice;
    if (!error && (bytes <= 0 || snprintf(text, (size_t)bytes, "0000:%02X:00.0", device + 1) >= bytes))
        error = cudaErrorInvalidValue;
    return emulated_leave(error);
}
