/* Events: each record of one is a record of its own, and who waits takes the newest at the time of the call. */
#include "tests/emulated/runtime.h"

#include <stdlib.h>

struct CUevent_st {
    int device;
    bool timed;
    pthread_mutex_t lock;
    struct record *newest;   /* NULL: never recorded */
    bool captured;           /* last recorded within a capture, as follows */
    struct capture *capture; /* not followed unless its id is the stream's */
    uint64_t capture_id;
    struct tips tips;
};

struct record *emulated_event_renew(cudaEvent_t event)
{
    struct record *record = emulated_record_new();
    pthread_mutex_lock(&event->lock);
    emulated_record_drop(event->newest);
    event->newest = emulated_record_keep(record);
    event->captured = false;
    pthread_mutex_unlock(&event->lock);
    return record;
}

struct record *emulated_event_newest(cudaEvent_t event)
{
    pthread_mutex_lock(&event->lock);
    struct record *record = event->newest ? emulated_record_keep(event->newest) : NULL;
    pthread_mutex_unlock(&event->lock);
    return record;
}

static bool is_captured(cudaEvent_t event)
{
    pthread_mutex_lock(&event->lock);
    bool captured = event->captured;
    pthread_mutex_unlock(&event->lock);
    return captured;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags)
{
    cudaError_t error = emulated_enter(__func__, CALL_SAFE);
    if (!error && (!event || flags & ~(unsigned)(cudaEventBlockingSync | cudaEventDisableTiming)))
        error = cudaErrorInvalidValue;
    if (error)
        return emulated_leave(error);
    *event = calloc(1, sizeof **event);
    if (!*event)
        abort();
    (*event)->device = emulated_current();
    (*event)->timed = !(flags & cudaEventDisableTiming);
    pthread_mutex_init(&(*event)->lock, NULL);
    emulated_count(LIVE_EVENTS, 1);
    return emulated_leave(cudaSuccess);
}

cudaError_t cudaEventCreate(cudaEvent_t *event) { return cudaEventCreateWithFlags(event, 0); }

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    cudaError_t error = emulated_enter(__func__, CALL_ALWAYS);
    if (!event)
        return emulated_leave(cudaErrorInvalidResourceHandle);
    emulated_record_drop(event->newest);
    pthread_mutex_destroy(&event->lock);
    free(event);
    emulated_count(LIVE_EVENTS, -1);
    return emulated_leave(error);
}

static cudaError_t record_captured(cudaEvent_t event, struct CUstream_st *stream)
{
    cudaError_t error = emulated_capture_state(stream);
    if (error)
        return error;
    pthread_mutex_lock(&event->lock);
    event->captured = true;
    event->capture = stream->capture;
    event->capture_id = emulated_capture_id(stream->capture);
    event->tips = stream->tips;
    pthread_mutex_unlock(&event->lock);
    return cudaSuccess;
}

cudaError_t cudaEventRecordWithFlags(cudaEvent_t event, cudaStream_t handle, unsigned flags)
{
    cudaError_t error = emulated_enter(__func__, CALL_SAFE);
    struct CUstream_st *stream = emulated_stream(handle);
    if (!error && (!stream || !event || event->device != stream->device))
        error = cudaErrorInvalidResourceHandle;
    if (!error && flags & ~(unsigned)cudaEventRecordExternal)
        error = cudaErrorInvalidValue;
    if (error)
        return emulated_leave(error);
    if (stream->capture)
        return emulated_leave(flags & cudaEventRecordExternal ? emulated_capture_add(stream, (struct CUgraphNode_st){ .kind = NODE_RECORD, .event = event })
                                                              : record_captured(event, stream));
    if (flags & cudaEventRecordExternal)
        return emulated_leave(cudaErrorIllegalState);
    if (stream->legacy && emulated_capture_on(stream->device, true))
        return emulated_leave(cudaErrorStreamCaptureImplicit);
    struct record *record = emulated_event_renew(event);
    emulated_stream_complete(stream, record);
    emulated_record_drop(record);
    return emulated_leave(cudaSuccess);
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    int fault = emulated_fault(__func__, cudaErrorUnknown);
    return fault ? emulated_leave((cudaError_t)fault) : cudaEventRecordWithFlags(event, stream, 0);
}

/* Within a capture only what it holds itself can be waited for. */
static cudaError_t wait_captured(struct CUstream_st *stream, cudaEvent_t event)
{
    pthread_mutex_lock(&event->lock);
    struct CUevent_st seen = { .captured = event->captured, .capture = event->capture, .capture_id = event->capture_id, .tips = event->tips };
    pthread_mutex_unlock(&event->lock);
    if (!seen.captured)
        return emulated_capture_lose(stream, cudaErrorStreamCaptureIsolation);
    return emulated_capture_join(stream, seen.capture, seen.capture_id, &seen.tips);
}

cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event, unsigned flags)
{
    cudaError_t error = emulated_enter(__func__, CALL_SAFE);
    struct CUstream_st *stream = emulated_stream(handle);
    if (!error && (!stream || !event))
        error = cudaErrorInvalidResourceHandle;
    if (!error && flags & ~(unsigned)cudaEventWaitExternal)
        error = cudaErrorInvalidValue;
    if (error)
        return emulated_leave(error);
    if (flags & cudaEventWaitExternal)
        return emulated_leave(stream->capture ? emulated_capture_add(stream, (struct CUgraphNode_st){ .kind = NODE_WAIT, .event = event }) : cudaErrorIllegalState);
    if (stream->capture || is_captured(event))
        return emulated_leave(wait_captured(stream, event));
    struct record *record = emulated_event_newest(event);
    emulated_stream_await(stream, record);
    emulated_record_drop(record);
    return emulated_leave(cudaSuccess);
}

/* The newest record; an error where it lies within a capture. */
static cudaError_t look(cudaEvent_t event, struct record **record)
{
    *record = NULL;
    if (!event)
        return cudaErrorInvalidResourceHandle;
    if (is_captured(event))
        return cudaErrorCapturedEvent;
    *record = emulated_event_newest(event);
    return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t event)
{
    cudaError_t error = emulated_enter(__func__, CALL_UNSAFE);
    struct record *record = NULL;
    if (!error && !(error = look(event, &record)) && !(error = emulated_device_broken(event->device)) && record && !emulated_record_done(record))
        error = cudaErrorNotReady;
    emulated_record_drop(record);
    return emulated_leave(error);
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    cudaError_t error = emulated_enter(__func__, CALL_UNSAFE);
    struct record *record = NULL;
    if (!error && !(error = look(event, &record))) {
        if (record)
            emulated_record_wait(record);
        error = emulated_device_broken(event->device);
    }
    emulated_record_drop(record);
    return emulated_leave(error);
}

cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t start, cudaEvent_t end)
{
    cudaError_t error = emulated_enter(__func__, CALL_SAFE);
    struct record *from = NULL, *to = NULL;
    if (!error && (!start || !end || !start->timed || !end->timed || start->device != end->device))
        error = cudaErrorInvalidResourceHandle;
    if (!error && !(error = look(start, &from)))
        error = look(end, &to);
    if (!error && (!from || !to))
        error = cudaErrorInvalidResourceHandle;
    if (!error && (!emulated_record_done(from) || !emulated_record_done(to)))
        error = cudaErrorNotReady;
    if (!error)
        *ms = (float)(emulated_record_ns(to) - emulated_record_ns(from)) * 1e-6F;
    emulated_record_drop(from);
    emulated_record_drop(to);
    return emulated_leave(error);
}
