/* Captures are CUDA graphs. Only what the capturing thread does is restricted meanwhile: other threads may allocate and wait. */
#include "cuda/device.h"

#include "base/door.h"

struct capture {
    struct device *device;
    cudaGraphExec_t graph;
};

static int begin(struct device *device, struct error *error)
{
    cuda_use(device);
    if (cuda_status(device->ordinal, cudaStreamBeginCapture(device->stream, cudaStreamCaptureModeThreadLocal), "beginning a capture", error))
        return -1;
    device->capturing = true;
    return 0;
}

static int make(struct device *device, cudaGraph_t graph, struct capture **capture, struct error *error)
{
    void *block;
    if (door_allocate(&block, sizeof **capture, "capture", error))
        return -1;
    struct capture *self = block;
    self->device = device;
    if (cuda_status(device->ordinal, cudaGraphInstantiate(&self->graph, graph, 0), "making a graph of a capture", error) ||
        cuda_status(device->ordinal, cudaGraphUpload(self->graph, device->stream), "uploading a graph", error)) {
        if (self->graph)
            cudaGraphExecDestroy(self->graph);
        door_free(self);
        return -1;
    }
    *capture = self;
    return 0;
}

/* A fault while it was going on comes first: it is why the capture is not whole. */
static int end(struct device *device, struct capture **capture, struct error *error)
{
    cudaGraph_t graph = NULL;
    size_t nodes = 0;
    *capture = NULL;
    cuda_use(device);
    cudaError_t ended = cudaStreamEndCapture(device->stream, &graph);
    device->capturing = false;
    int result = cuda_check(device, error);
    if (!result)
        result = cuda_status(device->ordinal, ended, "ending a capture", error);
    if (!result)
        result = cuda_status(device->ordinal, cudaGraphGetNodes(graph, NULL, &nodes), "counting what was captured", error);
    if (!result && nodes > 0)
        result = make(device, graph, capture, error);
    if (graph)
        cudaGraphDestroy(graph);
    return result;
}

static int launch(struct device *device, struct capture *capture, struct error *error)
{
    cuda_use(device);
    return cuda_status(device->ordinal, cudaGraphLaunch(capture->graph, device->stream), "launching a graph", error);
}

static void release(struct capture *capture)
{
    if (!capture)
        return;
    cuda_use(capture->device);
    cuda_fail(capture->device, cuda_drain(capture->device), "waiting to release a graph");
    cuda_fail(capture->device, cudaGraphExecDestroy(capture->graph), "releasing a graph");
    door_free(capture);
}

const struct capture_calls cuda_captures = { .begin = begin, .end = end, .launch = launch, .free = release };
