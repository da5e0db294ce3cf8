/* The GPU's memory, and memory of the host that the GPU can reach. */
#include "cuda/device.h"

#include "base/sizes.h"
#include "cuda/settings.h"

#include <string.h>

/* Zeroed before it returns: other orders of the GPU may use it, and they do not wait for this device's stream. */
int cuda_allocate(struct device *device, void **block, size_t bytes, const char *what, struct error *error)
{
    int gpu = device->ordinal;
    size_t wanted = size_max(bytes, 1); /* CUDA has no address for nothing */
    *block = NULL;
    cuda_use(device);
    cudaError_t status = cudaMalloc(block, wanted);
    if (status == cudaErrorMemoryAllocation) {
        cudaGetLastError(); /* it is told here and nowhere else */
        return cuda_out_of_memory(gpu, bytes, what, error);
    }
    if (cuda_status(gpu, status, what, error))
        return -1;
    if (cuda_status(gpu, cudaMemsetAsync(*block, 0, wanted, device->stream), what, error) || cuda_status(gpu, cuda_drain(device), what, error)) {
        cudaFree(*block);
        *block = NULL;
        return -1;
    }
    return 0;
}

void cuda_release(struct device *device, void *block)
{
    if (!block)
        return;
    cuda_use(device);
    cuda_fail(device, cuda_drain(device), "waiting to release memory");
    cuda_fail(device, cudaFree(block), "releasing memory");
}

/* A thread that has no GPU yet would begin with the first of all, which may be another's. */
int cuda_allocate_host(void **block, size_t bytes, const char *what, struct error *error)
{
    size_t wanted = size_max(bytes, 1);
    *block = NULL;
    cudaError_t status = cudaSetDevice(cuda_settings()->first);
    if (status == cudaSuccess)
        status = cudaHostAlloc(block, wanted, cudaHostAllocPortable);
    if (status == cudaErrorMemoryAllocation) {
        cudaGetLastError();
        return fail(error, EXIT_MEMORY, "out of memory: %s wants %zu bytes that stay where they are for the GPU", what, bytes);
    }
    if (cuda_status(-1, status, what, error))
        return -1;
    memset(*block, 0, wanted);
    return 0;
}

void cuda_release_host(void *block) { cudaFreeHost(block); }
