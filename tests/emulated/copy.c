/* Copies and fills. What the host may rely on is what the runtime's documentation promises and no more: pageable memory is read before the call returns,
 * pinned memory when the copy runs; a copy to pageable memory has been made when the call returns. */
#include "tests/emulated/runtime.h"

#include <stdlib.h>
#include <string.h>

struct copy { char *to; const char *from; size_t bytes; bool corrupt; };

static void run_copy(void *context)
{
    const struct copy *copy = context;
    memcpy(copy->to, copy->from, copy->bytes);
    if (copy->corrupt)
        copy->to[copy->bytes / 2] ^= 0x10;
}

/* What pageable memory held at the time of the call travels with the work. */
struct staged { char *to; size_t bytes; char values[]; };

static void run_staged(void *context)
{
    const struct staged *staged = context;
    memcpy(staged->to, staged->values, staged->bytes);
}

static cudaError_t copy_staged(struct CUstream_st *stream, void *to, const void *from, size_t bytes)
{
    struct staged *staged = malloc(sizeof *staged + bytes);
    if (!staged)
        return cudaErrorMemoryAllocation;
    staged->to = to;
    staged->bytes = bytes;
    memcpy(staged->values, from, bytes);
    cudaError_t error = (cudaError_t)emulated_enqueue(stream, run_staged, staged, sizeof *staged + bytes);
    free(staged);
    return error;
}

struct fill { void *to; int value; size_t bytes; };

static void run_fill(void *context)
{
    const struct fill *fill = context;
    memset(fill->to, fill->value, fill->bytes);
}

/* One end of a copy. */
struct end { bool device, pinned; int number; };

static cudaError_t end_of(struct end *end, const void *address, size_t bytes)
{
    struct emulated_block block;
    bool known = emulated_block(address, &block);
    if (known && bytes > block.bytes - (size_t)((const char *)address - block.base))
        return cudaErrorInvalidValue;
    *end = (struct end){ known && !block.host, known && block.host, known ? block.device : -1 };
    return cudaSuccess;
}

static cudaError_t check_kind(enum cudaMemcpyKind kind, const struct end *to, const struct end *from)
{
    switch (kind) {
    case cudaMemcpyHostToHost: return to->device || from->device ? cudaErrorInvalidValue : cudaSuccess;
    case cudaMemcpyHostToDevice: return !to->device || from->device ? cudaErrorInvalidValue : cudaSuccess;
    case cudaMemcpyDeviceToHost: return to->device || !from->device ? cudaErrorInvalidValue : cudaSuccess;
    case cudaMemcpyDeviceToDevice: return !to->device || !from->device ? cudaErrorInvalidValue : cudaSuccess;
    case cudaMemcpyDefault: return cudaSuccess;
    }
    return cudaErrorInvalidMemcpyDirection;
}

/* Which call may return before the copy has been made. */
enum wait { WAIT_NEVER, WAIT_SYNCHRONOUS, WAIT_ALWAYS }; /* both; cudaMemcpyAsync alone; neither */

static cudaError_t copy(struct CUstream_st *stream, void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind, enum wait *wait)
{
    struct end target, source;
    *wait = WAIT_NEVER;
    cudaError_t error = stream ? end_of(&target, to, bytes) : cudaErrorInvalidResourceHandle;
    if (!error)
        error = end_of(&source, from, bytes);
    if (!error)
        error = check_kind(kind, &target, &source);
    if (error || !bytes)
        return error;
    bool pageable_source = !source.device && !source.pinned, pageable_target = !target.device && !target.pinned;
    if (stream->capture && (pageable_source || pageable_target))
        return emulated_capture_lose(stream, cudaErrorStreamCaptureUnsupported);
    if (pageable_source && target.device)
        return copy_staged(stream, to, from, bytes);
    *wait = pageable_source || pageable_target ? WAIT_ALWAYS : source.device && target.device ? WAIT_NEVER : WAIT_SYNCHRONOUS;
    struct copy work = { to, from, bytes, emulated_corrupts() && target.device && source.device && target.number != source.number };
    return (cudaError_t)emulated_enqueue(stream, run_copy, &work, sizeof work);
}

static cudaError_t finish(struct CUstream_st *stream, bool waits)
{
    if (waits)
        emulated_stream_drain(stream);
    return waits ? emulated_device_broken(stream->device) : cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind, cudaStream_t handle)
{
    cudaError_t error = emulated_enter(__func__, CALL_SAFE);
    struct CUstream_st *stream = emulated_stream(handle);
    enum wait wait;
    if (!error && !(error = copy(stream, to, from, bytes, kind, &wait)))
        error = finish(stream, wait == WAIT_ALWAYS);
    return emulated_leave(error);
}

cudaError_t cudaMemcpyPeerAsync(void *to, int to_device, const void *from, int from_device, size_t bytes, cudaStream_t stream)
{
    cudaError_t error = emulated_enter(__func__, CALL_SAFE);
    struct emulated_block target, source;
    if (!error && (to_device < 0 || to_device >= emulated_gpus() || from_device < 0 || from_device >= emulated_gpus()))
        error = cudaErrorInvalidDevice;
    if (!error && (!emulated_block(to, &target) || target.host || target.device != to_device || !emulated_block(from, &source) || source.host
                   || source.device != from_device))
        error = cudaErrorInvalidValue;
    return error ? emulated_leave(error) : cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream);
}

/* Stream 0 while blocking streams capture: the more telling of the two errors. */
static cudaError_t enter_synchronous(const char *function)
{
    int device = emulated_current();
    bool implicit = emulated_capture_on(device, true);
    cudaError_t error = emulated_enter(function, CALL_UNSAFE);
    return implicit && error == cudaErrorStreamCaptureUnsupported ? cudaErrorStreamCaptureImplicit : error;
}

cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind)
{
    cudaError_t error = enter_synchronous(__func__);
    struct CUstream_st *stream = emulated_stream(0);
    enum wait wait;
    if (!error && !(error = copy(stream, to, from, bytes, kind, &wait)))
        error = finish(stream, wait != WAIT_NEVER);
    return emulated_leave(error);
}

static cudaError_t fill(struct CUstream_st *stream, void *to, int value, size_t bytes)
{
    struct end target;
    if (!stream)
        return cudaErrorInvalidResourceHandle;
    cudaError_t error = end_of(&target, to, bytes);
    if (error || !bytes)
        return error;
    if (!emulated_reaches_from(stream->device, to, bytes))
        return cudaErrorInvalidValue;
    struct fill work = { to, value, bytes };
    return (cudaError_t)emulated_enqueue(stream, run_fill, &work, sizeof work);
}

cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t stream)
{
    cudaError_t error = emulated_enter(__func__, CALL_SAFE);
    return emulated_leave(error ? error : fill(emulated_stream(stream), to, value, bytes));
}

cudaError_t cudaMemset(void *to, int value, size_t bytes)
{
    cudaError_t error = enter_synchronous(__func__);
    return emulated_leave(error ? error : fill(emulated_stream(0), to, value, bytes));
}
