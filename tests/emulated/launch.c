/* Launches: the limits of the device, and addresses among the parameters that it could not touch. */
#include "tests/emulated/kernel.h"
#include "tests/emulated/runtime.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

enum { FUNCTIONS = 256 };

/* Kernels that may use more dynamic shared memory than the default. */
static struct optin { const void *kernel; int bytes; } optins[FUNCTIONS];
static int n_optins;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static size_t shared_limit(const void *kernel)
{
    size_t limit = EMULATED_SHARED;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < n_optins; i++)
        if (optins[i].kernel == kernel)
            limit = (size_t)optins[i].bytes;
    pthread_mutex_unlock(&lock);
    return limit;
}

cudaError_t cudaFuncSetAttribute(const void *kernel, enum cudaFuncAttribute attribute, int value)
{
    cudaError_t error = emulated_enter(__func__, CALL_SAFE);
    if (error || attribute != cudaFuncAttributeMaxDynamicSharedMemorySize)
        return emulated_leave(error);
    if (value < 0 || value > EMULATED_SHARED_OPTIN)
        return emulated_leave(cudaErrorInvalidValue);
    pthread_mutex_lock(&lock);
    int at = 0;
    while (at < n_optins && optins[at].kernel != kernel)
        at++;
    if (at == FUNCTIONS)
        abort();
    n_optins = at == n_optins ? at + 1 : n_optins;
    optins[at] = (struct optin){ kernel, value };
    pthread_mutex_unlock(&lock);
    return emulated_leave(cudaSuccess);
}

static cudaError_t check_shape(dim3 grid, dim3 block, size_t shared_bytes, const void *kernel)
{
    if (!grid.x || !grid.y || !grid.z || grid.x > 2147483647U || grid.y > 65535 || grid.z > 65535)
        return cudaErrorInvalidConfiguration;
    if (!block.x || !block.y || !block.z || block.x > 1024 || block.y > 1024 || block.z > 64 || (uint64_t)block.x * block.y * block.z > EMULATED_THREADS)
        return cudaErrorInvalidConfiguration;
    return shared_bytes > shared_limit(kernel) ? cudaErrorInvalidValue : cudaSuccess;
}

static bool touches(int device, const void *address, bool is_pointer)
{
    struct emulated_block block;
    if (!emulated_block(address, &block))
        return !is_pointer || !address;
    return block.host || emulated_device_sees(device, block.device);
}

/* A pointer must lead to memory that the device can touch, or nowhere; what looks like one within a struct must at least not lead to another device. */
static cudaError_t check_parameters(int device, const struct emulated_parameter *parameters, int n_parameters)
{
    for (int i = 0; i < n_parameters; i++)
        for (size_t at = 0; at + sizeof(void *) <= parameters[i].bytes; at += sizeof(void *)) {
            const void *address;
            memcpy(&address, (const char *)parameters[i].value + at, sizeof address);
            if (!touches(device, address, parameters[i].is_pointer)) {
                emulated_break(cudaErrorIllegalAddress, "parameter %d of a kernel leads to %p, which is not its memory", i + 1, address);
                return cudaErrorIllegalAddress;
            }
        }
    return cudaSuccess;
}

struct enqueued { struct emulated_grid grid; alignas(16) unsigned char context[]; };

static void run_grid(void *context)
{
    struct enqueued *work = context;
    work->grid.context = work->context;
    emulated_grid_run(&work->grid);
}

static cudaError_t enqueue(const struct emulated_grid *grid, size_t context_bytes, cudaStream_t stream)
{
    size_t bytes = sizeof(struct enqueued) + context_bytes;
    struct enqueued *work = malloc(bytes);
    if (!work)
        return cudaErrorMemoryAllocation;
    work->grid = *grid;
    memcpy(work->context, grid->context, context_bytes);
    cudaError_t error = (cudaError_t)emulated_enqueue(stream, run_grid, work, bytes);
    free(work);
    return error;
}

cudaError_t emulated_launch(const void *kernel, dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t handle, void (*run)(void *context), const void *context,
                            size_t context_bytes, const struct emulated_parameter *parameters, int n_parameters)
{
    cudaError_t error = emulated_enter("cudaLaunchKernel", CALL_SAFE);
    struct CUstream_st *stream = emulated_stream(handle);
    if (!error && (!stream || stream->device != emulated_current()))
        error = cudaErrorInvalidResourceHandle;
    if (!error)
        error = check_shape(grid, block, shared_bytes, kernel);
    if (!error)
        error = check_parameters(stream->device, parameters, n_parameters);
    if (!error)
        error = enqueue(&(struct emulated_grid){ grid, block, shared_bytes, run, (void *)(uintptr_t)context }, context_bytes, handle);
    return emulated_leave(error);
}
