/* Captures: what is called on a stream becomes a node of a graph. Streams that wait for an event recorded within join it and must have been waited for when it ends. */
#include "tests/emulated/runtime.h"

#include <stdlib.h>

struct capture {
    uint64_t id;
    enum cudaStreamCaptureMode mode;
    pthread_t owner;
    atomic_bool lost;
    struct CUgraph_st *graph;
    struct CUstream_st *members[EMULATED_TIPS]; /* by lane; the first is where it began */
    int n_members;
    struct capture *next;
};

static struct capture *captures; /* going on */
static uint64_t n_begun;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_int n_captures; /* nothing is locked while there are none */
static _Thread_local enum cudaStreamCaptureMode interaction = cudaStreamCaptureModeGlobal;

uint64_t emulated_capture_id(const struct capture *capture) { return capture->id; }

cudaError_t emulated_capture_state(struct CUstream_st *stream)
{
    return atomic_load_explicit(&stream->capture->lost, memory_order_relaxed) ? cudaErrorStreamCaptureInvalidated : cudaSuccess;
}

cudaError_t emulated_capture_lose(struct CUstream_st *stream, cudaError_t error)
{
    if (stream->capture)
        atomic_store_explicit(&stream->capture->lost, true, memory_order_relaxed);
    return error;
}

cudaError_t emulated_capture_unsafe(void)
{
    if (interaction == cudaStreamCaptureModeRelaxed || !atomic_load_explicit(&n_captures, memory_order_relaxed))
        return cudaSuccess;
    bool forbidden = false;
    pthread_mutex_lock(&lock);
    for (struct capture *capture = captures; capture; capture = capture->next) {
        bool own = capture->mode != cudaStreamCaptureModeRelaxed && pthread_equal(capture->owner, pthread_self());
        bool global = capture->mode == cudaStreamCaptureModeGlobal && interaction == cudaStreamCaptureModeGlobal;
        if (own || global) {
            atomic_store_explicit(&capture->lost, true, memory_order_relaxed);
            forbidden = true;
        }
    }
    pthread_mutex_unlock(&lock);
    return forbidden ? cudaErrorStreamCaptureUnsupported : cudaSuccess;
}

bool emulated_capture_on(int device, bool blocking_only)
{
    if (!atomic_load_explicit(&n_captures, memory_order_relaxed))
        return false;
    bool found = false;
    pthread_mutex_lock(&lock);
    for (struct capture *capture = captures; capture; capture = capture->next)
        for (int i = 0; i < capture->n_members; i++)
            found = found || (capture->members[i]->device == device && (capture->members[i]->blocking || !blocking_only));
    pthread_mutex_unlock(&lock);
    return found;
}

static cudaError_t enter_member(struct capture *capture, struct CUstream_st *stream)
{
    if (capture->n_members == EMULATED_TIPS)
        return cudaErrorMemoryAllocation;
    stream->capture = capture;
    stream->lane = capture->n_members;
    stream->tips.n = 0;
    capture->graph->device[capture->n_members] = stream->device;
    capture->graph->lanes = capture->n_members + 1;
    capture->members[capture->n_members++] = stream;
    return cudaSuccess;
}

cudaError_t emulated_capture_add(struct CUstream_st *stream, struct CUgraphNode_st node)
{
    cudaError_t error = emulated_capture_state(stream);
    if (error)
        return error;
    node.lane = stream->lane;
    node.after = stream->tips;
    int number = emulated_graph_add(stream->capture->graph, node);
    stream->tips = (struct tips){ 1, { number } };
    return cudaSuccess;
}

static cudaError_t merge(struct tips *into, const struct tips *from)
{
    for (int i = 0; i < from->n; i++) {
        bool known = false;
        for (int k = 0; k < into->n; k++)
            known = known || into->node[k] == from->node[i];
        if (!known && into->n == EMULATED_TIPS)
            return cudaErrorMemoryAllocation;
        if (!known)
            into->node[into->n++] = from->node[i];
    }
    return cudaSuccess;
}

cudaError_t emulated_capture_join(struct CUstream_st *stream, struct capture *capture, uint64_t id, const struct tips *tips)
{
    if (stream->capture && (stream->capture != capture || stream->capture->id != id))
        return emulated_capture_lose(stream, cudaErrorStreamCaptureMerge);
    cudaError_t error = cudaSuccess;
    pthread_mutex_lock(&lock);
    struct capture *active = captures;
    while (active && active->id != id)
        active = active->next;
    if (!active)
        error = cudaErrorCapturedEvent;
    else if (stream->legacy)
        error = cudaErrorStreamCaptureImplicit;
    else if (!stream->capture)
        error = enter_member(active, stream);
    pthread_mutex_unlock(&lock);
    if (!error && !(error = emulated_capture_state(stream)))
        error = merge(&stream->tips, tips);
    return error;
}

/* Marks what the tips depend on, themselves included. */
static void mark(const struct CUgraph_st *graph, const struct tips *tips, bool *reached)
{
    for (int i = 0; i < tips->n; i++)
        reached[tips->node[i]] = true;
    for (int node = graph->n - 1; node >= 0; node--)
        for (int i = 0; reached[node] && i < graph->nodes[node]->after.n; i++)
            reached[graph->nodes[node]->after.node[i]] = true;
}

static bool is_joined(const struct capture *capture)
{
    bool *reached = calloc((size_t)capture->graph->n + 1, sizeof *reached), joined = true;
    if (!reached)
        abort();
    mark(capture->graph, &capture->members[0]->tips, reached);
    for (int i = 1; i < capture->n_members; i++)
        for (int k = 0; k < capture->members[i]->tips.n; k++)
            joined = joined && reached[capture->members[i]->tips.node[k]];
    free(reached);
    return joined;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t handle, enum cudaStreamCaptureMode mode)
{
    cudaError_t error = emulated_enter(__func__, CALL_SAFE);
    struct CUstream_st *stream = emulated_stream(handle);
    if (!error && !stream)
        error = cudaErrorInvalidResourceHandle;
    if (!error && stream->legacy)
        error = cudaErrorStreamCaptureUnsupported;
    if (!error && stream->capture)
        error = cudaErrorIllegalState;
    if (error)
        return emulated_leave(error);
    struct capture *capture = calloc(1, sizeof *capture);
    if (!capture)
        abort();
    capture->mode = mode;
    capture->owner = pthread_self();
    capture->graph = emulated_graph_new();
    enter_member(capture, stream);
    pthread_mutex_lock(&lock);
    capture->id = ++n_begun;
    capture->next = captures;
    captures = capture;
    atomic_fetch_add(&n_captures, 1);
    pthread_mutex_unlock(&lock);
    return emulated_leave(cudaSuccess);
}

static void leave_list(struct capture *capture)
{
    pthread_mutex_lock(&lock);
    struct capture **at = &captures;
    while (*at != capture)
        at = &(*at)->next;
    *at = capture->next;
    atomic_fetch_sub(&n_captures, 1);
    pthread_mutex_unlock(&lock);
}

/* 0, or why the stream cannot end its capture, which then goes on. */
static cudaError_t check_end(struct CUstream_st *stream, const cudaGraph_t *graph)
{
    if (!stream || !stream->capture)
        return stream ? cudaErrorIllegalState : cudaErrorInvalidResourceHandle;
    const struct capture *capture = stream->capture;
    if (!graph)
        return cudaErrorInvalidValue;
    if (capture->members[0] != stream)
        return emulated_capture_lose(stream, cudaErrorStreamCaptureUnmatched);
    return capture->mode == cudaStreamCaptureModeRelaxed || pthread_equal(capture->owner, pthread_self()) ? cudaSuccess : cudaErrorStreamCaptureWrongThread;
}

cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t *graph)
{
    cudaError_t fault = emulated_enter(__func__, CALL_SAFE);
    struct CUstream_st *stream = emulated_stream(handle);
    cudaError_t error = check_end(stream, graph);
    if (graph)
        *graph = NULL;
    if (error)
        return emulated_leave(error);
    struct capture *capture = stream->capture;
    leave_list(capture);
    error = fault ? fault : emulated_capture_state(stream);
    if (!error && !is_joined(capture))
        error = cudaErrorStreamCaptureUnjoined;
    for (int i = 0; i < capture->n_members; i++)
        capture->members[i]->capture = NULL;
    if (error) {
        emulated_graph_drop(capture->graph);
    } else {
        *graph = capture->graph;
        emulated_count(LIVE_GRAPHS, 1);
    }
    free(capture);
    return emulated_leave(error);
}

cudaError_t cudaStreamIsCapturing(cudaStream_t handle, enum cudaStreamCaptureStatus *status)
{
    cudaError_t error = emulated_enter(__func__, CALL_SAFE);
    struct CUstream_st *stream = emulated_stream(handle);
    if (!error && !stream)
        error = cudaErrorInvalidResourceHandle;
    if (!error && stream->legacy && emulated_capture_on(stream->device, true))
        error = cudaErrorStreamCaptureImplicit;
    *status = error || !stream->capture ? cudaStreamCaptureStatusNone
            : emulated_capture_state(stream) ? cudaStreamCaptureStatusInvalidated : cudaStreamCaptureStatusActive;
    return emulated_leave(error);
}

cudaError_t cudaThreadExchangeStreamCaptureMode(enum cudaStreamCaptureMode *mode)
{
    enum cudaStreamCaptureMode before = interaction;
    interaction = *mode;
    *mode = before;
    return emulated_leave(emulated_enter(__func__, CALL_SAFE));
}
