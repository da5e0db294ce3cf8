/* Graphs: the nodes of a capture in the order of the calls. At a launch every stream that took part runs its own nodes: the first on the stream of the launch, the others on
 * streams of the executable graph, ordered by records where a node depends on another stream's and by nothing else. */
#include "tests/emulated/runtime.h"

#include <stdlib.h>
#include <string.h>

struct CUgraphExec_st {
    struct CUgraph_st *graph;
    struct CUstream_st *lanes[EMULATED_TIPS]; /* [0] is the launch's */
    struct record *last;                      /* end of the last launch: the next waits for it */
    struct record **published;                /* by node, within a launch */
};

struct CUgraph_st *emulated_graph_new(void)
{
    struct CUgraph_st *graph = calloc(1, sizeof *graph);
    if (!graph)
        abort();
    atomic_store(&graph->references, 1);
    return graph;
}

void emulated_graph_drop(struct CUgraph_st *graph)
{
    if (atomic_fetch_sub(&graph->references, 1) != 1)
        return;
    for (int i = 0; i < graph->n; i++) {
        free(graph->nodes[i]->context);
        free(graph->nodes[i]);
    }
    free(graph->nodes);
    free(graph);
}

int emulated_graph_add(struct CUgraph_st *graph, struct CUgraphNode_st node)
{
    if (graph->n == graph->room) {
        graph->room = graph->room ? 2 * graph->room : 64;
        graph->nodes = realloc(graph->nodes, (size_t)graph->room * sizeof *graph->nodes);
    }
    struct CUgraphNode_st *copy = malloc(sizeof *copy);
    void *context = malloc(node.bytes + 1);
    if (!graph->nodes || !copy || !context)
        abort();
    if (node.bytes)
        memcpy(context, node.context, node.bytes);
    *copy = node;
    copy->context = context;
    for (int i = 0; i < node.after.n; i++) {
        struct CUgraphNode_st *earlier = graph->nodes[node.after.node[i]];
        earlier->published = earlier->published || earlier->lane != node.lane;
    }
    graph->nodes[graph->n] = copy;
    return graph->n++;
}

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t *nodes, size_t *n)
{
    cudaError_t error = emulated_enter(__func__, CALL_SAFE);
    if (!error && (!graph || !n))
        error = cudaErrorInvalidValue;
    if (!error && !nodes)
        *n = (size_t)graph->n;
    if (!error && nodes)
        for (size_t i = 0; i < *n; i++)
            nodes[i] = i < (size_t)graph->n ? graph->nodes[i] : NULL;
    if (!error && *n > (size_t)graph->n)
        *n = (size_t)graph->n;
    return emulated_leave(error);
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    cudaError_t error = emulated_enter(__func__, CALL_ALWAYS);
    if (!graph)
        return emulated_leave(cudaErrorInvalidValue);
    emulated_graph_drop(graph);
    emulated_count(LIVE_GRAPHS, -1);
    return emulated_leave(error);
}

static void release(struct CUgraphExec_st *graph)
{
    if (graph->last)
        emulated_record_wait(graph->last);
    for (int i = 1; i < graph->graph->lanes; i++)
        if (graph->lanes[i])
            emulated_stream_close(graph->lanes[i]);
    emulated_record_drop(graph->last);
    emulated_graph_drop(graph->graph);
    free(graph->published);
    free(graph);
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *executable, cudaGraph_t graph, unsigned long long flags)
{
    cudaError_t error = emulated_enter(__func__, CALL_SAFE);
    if (!error && (!executable || !graph || flags))
        error = cudaErrorInvalidValue;
    if (error)
        return emulated_leave(error);
    struct CUgraphExec_st *made = calloc(1, sizeof *made);
    if (!made || !(made->published = calloc((size_t)graph->n + 1, sizeof(struct record *))))
        abort();
    made->graph = graph;
    atomic_fetch_add(&graph->references, 1);
    for (int i = 1; i < graph->lanes; i++)
        if (!(made->lanes[i] = emulated_stream_open(graph->device[i], false, false, 0))) {
            release(made);
            return emulated_leave(cudaErrorMemoryAllocation);
        }
    *executable = made;
    emulated_count(LIVE_GRAPHS, 1);
    return emulated_leave(cudaSuccess);
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph)
{
    cudaError_t error = emulated_enter(__func__, CALL_ALWAYS);
    if (!graph)
        return emulated_leave(cudaErrorInvalidValue);
    release(graph);
    emulated_count(LIVE_GRAPHS, -1);
    return emulated_leave(error);
}

/* `later` goes on when `earlier` has come to here. */
static void join(struct CUstream_st *later, struct CUstream_st *earlier)
{
    struct record *record = emulated_record_new();
    emulated_stream_complete(earlier, record);
    emulated_stream_await(later, record);
    emulated_record_drop(record);
}

static void launch_node(struct CUgraphExec_st *graph, int number)
{
    const struct CUgraphNode_st *node = graph->graph->nodes[number];
    struct CUstream_st *lane = graph->lanes[node->lane];
    struct record *record = NULL;
    for (int i = 0; i < node->after.n; i++)
        if (graph->graph->nodes[node->after.node[i]]->lane != node->lane)
            emulated_stream_await(lane, graph->published[node->after.node[i]]);
    switch (node->kind) {
    case NODE_WORK: emulated_stream_append(lane, node->run, node->context, node->bytes, false); break;
    case NODE_RECORD: emulated_stream_complete(lane, record = emulated_event_renew(node->event)); break;
    case NODE_WAIT: emulated_stream_await(lane, record = emulated_event_newest(node->event)); break;
    }
    emulated_record_drop(record);
    if (node->published)
        emulated_stream_complete(lane, graph->published[number] = emulated_record_new());
}

static void launch(struct CUgraphExec_st *graph, struct CUstream_st *stream)
{
    graph->lanes[0] = stream;
    emulated_stream_await(stream, graph->last);
    for (int i = 1; i < graph->graph->lanes; i++)
        join(graph->lanes[i], stream);
    for (int i = 0; i < graph->graph->n; i++)
        launch_node(graph, i);
    for (int i = 1; i < graph->graph->lanes; i++)
        join(stream, graph->lanes[i]);
    for (int i = 0; i < graph->graph->n; i++) {
        emulated_record_drop(graph->published[i]);
        graph->published[i] = NULL;
    }
    emulated_record_drop(graph->last);
    emulated_stream_complete(stream, graph->last = emulated_record_new());
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t handle)
{
    cudaError_t error = emulated_enter(__func__, CALL_SAFE);
    struct CUstream_st *stream = emulated_stream(handle);
    if (!error && (!graph || !stream))
        error = cudaErrorInvalidResourceHandle;
    /* stricter than the runtime, which runs it on the device that captured it */
    if (!error && (stream->capture || graph->graph->device[0] != stream->device))
        error = stream->capture ? emulated_capture_lose(stream, cudaErrorStreamCaptureUnsupported) : cudaErrorInvalidValue;
    if (!error && !(error = emulated_device_broken(stream->device)))
        launch(graph, stream);
    return emulated_leave(error);
}

cudaError_t cudaGraphUpload(cudaGraphExec_t graph, cudaStream_t stream)
{
    cudaError_t error = emulated_enter(__func__, CALL_SAFE);
    return emulated_leave(error ? error : graph && emulated_stream(stream) ? cudaSuccess : cudaErrorInvalidValue);
}
