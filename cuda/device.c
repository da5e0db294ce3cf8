/* See device.h. */
#include "cuda/device.h"

#include "base/door.h"
#include "cuda/staging.h"

void cuda_use(struct device *device) { cuda_fail(device, cudaSetDevice(device->ordinal), "making it the thread's GPU"); }

void cuda_fail_error(struct device *device, const struct error *error)
{
    if (atomic_exchange_explicit(&device->failing, true, memory_order_relaxed))
        return;
    device->fault = *error;
    atomic_store_explicit(&device->failed, true, memory_order_release);
}

void cuda_fail(struct device *device, cudaError_t status, const char *doing)
{
    struct error error = { 0 };
    if (cuda_status(device->ordinal, status, doing, &error))
        cuda_fail_error(device, &error);
}

int cuda_fault(const struct device *device, struct error *error)
{
    if (!atomic_load_explicit(&device->failed, memory_order_acquire))
        return 0;
    return fail(error, device->fault.code, "%s", device->fault.text);
}

/* Asking a stream that captures would end the capture. */
int cuda_check(struct device *device, struct error *error)
{
    if (!device->capturing) {
        cuda_use(device);
        cudaError_t status = cudaStreamQuery(device->stream);
        if (status == cudaErrorNotReady)
            cudaGetLastError(); /* no failure: forgotten, so that nobody takes it for one */
        else
            cuda_fail(device, status, "running what was enqueued");
    }
    return cuda_fault(device, error);
}

/* cuDNN opens it too, by a path that need not lead to it: it has to be there before. */
static int open_cublas(const struct device *device, struct error *error)
{
    if (cublasLtGetVersion())
        return 0;
    return fail(error, EXIT_DEVICE, "cuda:%d: libcublasLt cannot be opened; it was there when this program was built: LD_LIBRARY_PATH can lead to it", device->ordinal);
}

int cuda_cudnn(struct device *device, cudnnHandle_t *handle, struct error *error)
{
    if (!device->cudnn) {
        cuda_use(device);
        if (open_cublas(device, error) || cuda_status_cudnn(device->ordinal, cudnnCreate(&device->cudnn), "opening cuDNN", error))
            return -1;
        if (cuda_status_cudnn(device->ordinal, cudnnSetStream(device->cudnn, device->stream), "giving cuDNN its stream", error))
            return -1;
    }
    *handle = device->cudnn;
    return 0;
}

int cuda_cublas(struct device *device, cublasLtHandle_t *handle, struct error *error)
{
    if (!device->cublas) {
        cuda_use(device);
        if (open_cublas(device, error) || cuda_status_cublas(device->ordinal, cublasLtCreate(&device->cublas), "opening cuBLASLt", error))
            return -1;
    }
    *handle = device->cublas;
    return 0;
}

/* CUDA's priorities run from `least` down to `greatest`. */
static int priority_of(int urgency, int least, int greatest)
{
    enum { MOST_URGENT = 7 };
    return least - (least - greatest) * urgency / MOST_URGENT;
}

static int open_stream(struct device *device, int urgency, struct error *error)
{
    int least, greatest, gpu = device->ordinal;
    if (cuda_status(gpu, cudaDeviceGetStreamPriorityRange(&least, &greatest), "asking for priorities", error))
        return -1;
    device->priority = priority_of(urgency, least, greatest);
    return cuda_status(gpu, cudaStreamCreateWithPriority(&device->stream, cudaStreamNonBlocking, device->priority), "making a stream", error) ||
                   cuda_status(gpu, cudaEventCreateWithFlags(&device->drained, cudaEventDisableTiming | cudaEventBlockingSync), "making an event", error)
               ? -1
               : 0;
}

static int open_memory(struct device *device, struct error *error)
{
    void *values, *sums;
    if (cuda_allocate(device, &values, sizeof *device->values, "the values of a step", error))
        return -1;
    device->values = values;
    if (cuda_allocate_host(&sums, CUDA_BLOCK_SUMS * sizeof *device->block_sums, "sums of squares", error))
        return -1;
    device->block_sums = sums;
    return 0;
}

static int open_on(struct device **device, int ordinal, int gpus, int urgency, struct error *error)
{
    void *block;
    if (door_allocate(&block, sizeof **device, "device", error))
        return -1;
    struct device *self = block;
    self->ordinal = ordinal;
    self->gpus = gpus;
    if (cuda_status(ordinal, cudaSetDevice(ordinal), "opening it", error) ||
        cuda_status(ordinal, cudaDeviceGetAttribute(&self->multiprocessors, cudaDevAttrMultiProcessorCount, ordinal), "counting its processors", error) ||
        open_stream(self, urgency, error) || open_memory(self, error)) {
        cuda_device_close(self);
        return -1;
    }
    *device = self;
    return 0;
}

int cuda_device_open(struct device **device, int index, struct error *error)
{
    int gpus = 0;
    *device = NULL;
    if (cuda_status(-1, cudaGetDeviceCount(&gpus), "looking for GPUs", error))
        return -1;
    if (index < 0 || index >= gpus)
        return fail(error, EXIT_USAGE, "cuda:%d: there is no such GPU, want 0..%d", index, gpus - 1);
    return open_on(device, index, gpus, 0, error);
}

int cuda_device_second(struct device **device, struct device *of, int urgency, struct error *error)
{
    *device = NULL;
    return open_on(device, of->ordinal, of->gpus, urgency, error);
}

/* What fails here concerns nobody any more: a device that is lost says so to each of these calls. */
void cuda_device_close(struct device *device)
{
    cudaSetDevice(device->ordinal);
    if (device->stream)
        cudaStreamSynchronize(device->stream);
    if (device->cudnn)
        cudnnDestroy(device->cudnn);
    if (device->cublas)
        cublasLtDestroy(device->cublas);
    staging_close(device->staging);
    cudaFree(device->values);
    cuda_release_host(device->block_sums);
    if (device->drained)
        cudaEventDestroy(device->drained);
    if (device->stream)
        cudaStreamDestroy(device->stream);
    door_free(device);
}
