/* Streams: a queue each, which host threads append to and one thread empties. The queue is a list that always holds the last finished piece, so that
 * appending and removing touch different ends. */
#include "tests/emulated/runtime.h"

#include <linux/futex.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct work {
    struct work *_Atomic next;
    void (*run)(void *context); /* NULL: the stream ends */
    bool always;
    alignas(16) unsigned char context[];
};

_Thread_local bool emulated_in_host_function;
static _Thread_local struct CUstream_st *running;
static atomic_int delay_us;

struct CUstream_st *emulated_stream_running(void) { return running; }

void emulated_delay(int microseconds) { atomic_store_explicit(&delay_us, microseconds, memory_order_relaxed); }

static struct work *work_new(void (*run)(void *context), const void *context, size_t bytes, bool always)
{
    struct work *work = calloc(1, sizeof *work + bytes);
    if (!work)
        abort();
    work->run = run;
    work->always = always;
    if (bytes)
        memcpy(work->context, context, bytes);
    return work;
}

static void pause_at_random(uint64_t *state)
{
    int limit = atomic_load_explicit(&delay_us, memory_order_relaxed);
    if (!limit)
        return;
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    uint64_t draw = *state >> 33;
    if (draw % 4 == 0)
        nanosleep(&(struct timespec){ .tv_nsec = (long)(draw / 4 % (uint64_t)limit) * 1000 }, NULL);
}

static struct work *next_work(struct CUstream_st *stream, struct work *last)
{
    for (;;) {
        unsigned posted = atomic_load_explicit(&stream->posted, memory_order_acquire);
        struct work *work = atomic_load_explicit(&last->next, memory_order_acquire);
        if (work)
            return work;
        syscall(SYS_futex, &stream->posted, FUTEX_WAIT_PRIVATE, posted, NULL, NULL, 0);
    }
}

static void *stream_run(void *context)
{
    struct CUstream_st *stream = context;
    struct work *last = stream->first;
    uint64_t random = (uint64_t)(uintptr_t)stream, finished = 0;
    running = stream;
    for (;;) {
        struct work *work = next_work(stream, last);
        free(last);
        last = work;
        if (!work->run)
            break;
        pause_at_random(&random);
        if (work->always || !emulated_device_broken(stream->device))
            work->run(work->context);
        atomic_store_explicit(&stream->finished, ++finished, memory_order_release);
    }
    free(last);
    emulated_fibers_release();
    return NULL;
}

static void append(struct CUstream_st *stream, struct work *work)
{
    pthread_mutex_lock(&stream->append);
    atomic_store_explicit(&stream->tail->next, work, memory_order_release);
    stream->tail = work;
    stream->appended++;
    atomic_fetch_add_explicit(&stream->posted, 1, memory_order_release);
    pthread_mutex_unlock(&stream->append);
    syscall(SYS_futex, &stream->posted, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void run_complete(void *context)
{
    struct record *record = *(struct record **)context;
    emulated_record_complete(record);
    emulated_record_drop(record);
}

static void run_await(void *context)
{
    struct record *record = *(struct record **)context;
    emulated_record_wait(record);
    emulated_record_drop(record);
}

static void append_record(struct CUstream_st *stream, void (*run)(void *context), struct record *record)
{
    emulated_record_keep(record);
    append(stream, work_new(run, &record, sizeof record, true));
}

/* `later` goes on when what `earlier` holds now is done. */
static void follow(struct CUstream_st *later, struct CUstream_st *earlier)
{
    if (emulated_stream_idle(earlier))
        return;
    struct record *record = emulated_record_new();
    append_record(earlier, run_complete, record);
    append_record(later, run_await, record);
    emulated_record_drop(record);
}

static void follow_blocking(struct CUstream_st *stream, void *legacy)
{
    if (stream->blocking && !stream->legacy && !stream->capture)
        follow(legacy, stream);
}

/* Stream 0 comes after what is in the device's blocking streams, and they come after it. */
static void follow_legacy(struct CUstream_st *stream)
{
    if (stream->legacy)
        emulated_device_each(stream->device, follow_blocking, stream);
    else if (stream->blocking && emulated_device_legacy(stream->device, false))
        follow(stream, emulated_device_legacy(stream->device, false));
}

void emulated_stream_append(struct CUstream_st *stream, void (*run)(void *context), const void *context, size_t bytes, bool always)
{
    follow_legacy(stream);
    append(stream, work_new(run, context, bytes, always));
}

void emulated_stream_complete(struct CUstream_st *stream, struct record *record)
{
    follow_legacy(stream);
    append_record(stream, run_complete, record);
}

void emulated_stream_await(struct CUstream_st *stream, struct record *record)
{
    if (record)
        append_record(stream, run_await, record);
}

bool emulated_stream_idle(struct CUstream_st *stream)
{
    pthread_mutex_lock(&stream->append);
    uint64_t appended = stream->appended;
    pthread_mutex_unlock(&stream->append);
    return atomic_load_explicit(&stream->finished, memory_order_relaxed) == appended
        && atomic_load_explicit(&stream->finished, memory_order_acquire) == appended;
}

void emulated_stream_drain(struct CUstream_st *stream)
{
    struct record *record = emulated_record_new();
    emulated_stream_complete(stream, record);
    emulated_record_wait(record);
    emulated_record_drop(record);
}

struct CUstream_st *emulated_stream_open(int device, bool legacy, bool blocking, int priority)
{
    struct CUstream_st *stream = calloc(1, sizeof *stream);
    struct work *stub = work_new(NULL, NULL, 0, true);
    if (!stream)
        abort();
    *stream = (struct CUstream_st){ .device = device, .legacy = legacy, .blocking = blocking, .priority = priority, .first = stub, .tail = stub };
    pthread_mutex_init(&stream->append, NULL);
    if (pthread_create(&stream->thread, NULL, stream_run, stream)) {
        free(stub);
        free(stream);
        return NULL;
    }
    pthread_setname_np(stream->thread, legacy ? "gpu-stream0" : "gpu-stream");
    emulated_device_add(stream);
    return stream;
}

void emulated_stream_close(struct CUstream_st *stream)
{
    emulated_device_remove(stream);
    append(stream, work_new(NULL, NULL, 0, true));
    pthread_join(stream->thread, NULL);
    pthread_mutex_destroy(&stream->append);
    free(stream);
}

struct CUstream_st *emulated_stream(cudaStream_t handle)
{
    if (handle == cudaStreamPerThread)
        return NULL;
    return handle && handle != cudaStreamLegacy ? handle : emulated_device_legacy(emulated_current(), true);
}

/* ---- what the runtime offers of them ---- */

cudaError_t cudaStreamCreateWithPriority(cudaStream_t *stream, unsigned flags, int priority)
{
    cudaError_t error = emulated_enter(__func__, CALL_SAFE);
    if (!error && (!stream || flags & ~(unsigned)cudaStreamNonBlocking))
        error = cudaErrorInvalidValue;
    if (!error && !(*stream = emulated_stream_open(emulated_current(), false, !(flags & cudaStreamNonBlocking), priority)))
        error = cudaErrorMemoryAllocation;
    if (!error)
        emulated_count(LIVE_STREAMS, 1);
    return emulated_leave(error);
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags) { return cudaStreamCreateWithPriority(stream, flags, 0); }
cudaError_t cudaStreamCreate(cudaStream_t *stream) { return cudaStreamCreateWithPriority(stream, 0, 0); }

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    cudaError_t error = emulated_enter(__func__, CALL_ALWAYS);
    if (!stream || stream == cudaStreamLegacy || stream == cudaStreamPerThread)
        return emulated_leave(cudaErrorInvalidResourceHandle);
    if (stream->capture)
        return emulated_leave(emulated_capture_lose(stream, cudaErrorStreamCaptureUnsupported));
    emulated_stream_close(stream);
    emulated_count(LIVE_STREAMS, -1);
    return emulated_leave(error);
}

/* Calls that ask about a stream are an error where it captures, or where, as stream 0, it is ordered with one that does. */
static cudaError_t askable(struct CUstream_st *stream)
{
    if (!stream)
        return cudaErrorInvalidResourceHandle;
    if (stream->capture)
        return emulated_capture_lose(stream, cudaErrorStreamCaptureUnsupported);
    return stream->legacy && emulated_capture_on(stream->device, true) ? cudaErrorStreamCaptureImplicit : cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t handle)
{
    cudaError_t error = emulated_enter(__func__, CALL_UNSAFE);
    struct CUstream_st *stream = emulated_stream(handle);
    if (!error && !(error = askable(stream))) {
        emulated_stream_drain(stream);
        error = emulated_device_broken(stream->device);
    }
    return emulated_leave(error);
}

cudaError_t cudaStreamQuery(cudaStream_t handle)
{
    cudaError_t error = emulated_enter(__func__, CALL_UNSAFE);
    struct CUstream_st *stream = emulated_stream(handle);
    if (!error && !(error = askable(stream)) && !(error = emulated_device_broken(stream->device)) && !emulated_stream_idle(stream))
        error = cudaErrorNotReady;
    return emulated_leave(error);
}

cudaError_t cudaStreamGetDevice(cudaStream_t handle, int *device)
{
    cudaError_t error = emulated_enter(__func__, CALL_SAFE);
    struct CUstream_st *stream = emulated_stream(handle);
    if (!error && !stream)
        error = cudaErrorInvalidResourceHandle;
    if (!error)
        *device = stream->device;
    return emulated_leave(error);
}

cudaError_t cudaStreamGetPriority(cudaStream_t handle, int *priority)
{
    cudaError_t error = emulated_enter(__func__, CALL_SAFE);
    struct CUstream_st *stream = emulated_stream(handle);
    if (!error && !stream)
        error = cudaErrorInvalidResourceHandle;
    if (!error)
        *priority = stream->priority;
    return emulated_leave(error);
}

int emulated_enqueue(cudaStream_t handle, void (*run)(void *context), void *context, size_t context_bytes)
{
    struct CUstream_st *stream = emulated_stream(handle);
    if (!stream)
        return cudaErrorInvalidResourceHandle;
    if (stream->capture)
        return emulated_capture_add(stream, (struct CUgraphNode_st){ .kind = NODE_WORK, .run = run, .context = context, .bytes = context_bytes });
    if (stream->legacy && emulated_capture_on(stream->device, true))
        return cudaErrorStreamCaptureImplicit;
    cudaError_t error = emulated_device_broken(stream->device); /* by what came before */
    if (!error)
        emulated_stream_append(stream, run, context, context_bytes, false);
    return error;
}

static void run_host(void *context)
{
    struct { cudaHostFn_t function; void *data; } *call = context;
    emulated_in_host_function = true;
    call->function(call->data);
    emulated_in_host_function = false;
}

cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void *data)
{
    cudaError_t error = emulated_enter(__func__, CALL_SAFE);
    struct { cudaHostFn_t function; void *data; } call = { function, data };
    if (!error)
        error = function ? (cudaError_t)emulated_enqueue(stream, run_host, &call, sizeof call) : cudaErrorInvalidValue;
    return emulated_leave(error);
}
