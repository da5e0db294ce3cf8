/* Order: events between streams, and waiting for the GPU.
 *
 * An event recorded or waited for inside of a capture is an external one: CUDA's other kind is an edge inside of the graph, and nobody outside would see it.
 * Events are made so that a thread that waits for one sleeps. */
#include "cuda/device.h"

#include "base/door.h"
#include "cuda/flat.h"

struct event {
    cudaEvent_t event;
    struct device *device; /* that it was opened on; it keeps what fails */
    int gpu;
};

int cuda_event_open(struct event **event, struct device *device, struct error *error)
{
    void *block;
    *event = NULL;
    if (door_allocate(&block, sizeof **event, "event", error))
        return -1;
    struct event *self = block;
    self->device = device;
    self->gpu = device->ordinal;
    cuda_use(device);
    if (cuda_status(self->gpu, cudaEventCreateWithFlags(&self->event, cudaEventDisableTiming | cudaEventBlockingSync), "making an event", error)) {
        door_free(self);
        return -1;
    }
    *event = self;
    return 0;
}

void cuda_event_close(struct event *event)
{
    if (!event)
        return;
    cudaSetDevice(event->gpu);
    cudaEventDestroy(event->event);
    door_free(event);
}

void cuda_record(struct device *device, struct event *event)
{
    cuda_use(device);
    cuda_fail(device, cudaEventRecordWithFlags(event->event, device->stream, device->capturing ? cudaEventRecordExternal : cudaEventRecordDefault), "recording an event");
}

void cuda_wait(struct device *device, struct event *event)
{
    cuda_use(device);
    cuda_fail(device, cudaStreamWaitEvent(device->stream, event->event, device->capturing ? cudaEventWaitExternal : cudaEventWaitDefault), "waiting for an event");
}

/* What failed is done: whoever finishes it or checks the device is told. */
bool cuda_done(struct event *event)
{
    cuda_use(event->device);
    cudaError_t status = cudaEventQuery(event->event);
    if (status == cudaErrorNotReady) {
        cudaGetLastError(); /* no failure: forgotten, so that nobody takes it for one */
        return false;
    }
    cuda_fail(event->device, status, "running what an event stands for");
    return true;
}

int cuda_finish(struct event *event, struct error *error)
{
    cuda_use(event->device);
    cuda_fail(event->device, cudaEventSynchronize(event->event), "running what an event stands for");
    return cuda_fault(event->device, error);
}

cudaError_t cuda_drain(struct device *device)
{
    cudaError_t status = cudaEventRecord(device->drained, device->stream);
    return status == cudaSuccess ? cudaEventSynchronize(device->drained) : status;
}

int cuda_sync(struct device *device, struct error *error)
{
    cuda_use(device);
    cuda_fail(device, cuda_drain(device), "running what was enqueued");
    return cuda_fault(device, error);
}

void cuda_begin(struct device *device, const struct step *step)
{
    float scale = step->loss_scale == 0 ? 1 : step->loss_scale;
    struct step_values values = { .seed = step->seed, .epoch = step->epoch, .n = step->n, .loss_scale = scale, .inverse_loss_scale = 1 / scale };
    cuda_use(device);
    cuda_fail(device, cuda_launch_values(device->stream, device->values, &values), "beginning a step");
}
