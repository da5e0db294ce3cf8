/* Memory: blocks from the C library, so that AddressSanitizer guards their ends, filled with bytes that are a NaN in every precision. A table knows whose they
 * are. Freeing device memory waits for the device, as the runtime does. */
#include "tests/emulated/runtime.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 256, POISON = 0xff };

static struct emulated_block *blocks; /* by base */
static size_t n_blocks, room;
static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;

/* How many bases are at or below the address; under the lock. */
static size_t rank(const char *address)
{
    size_t low = 0, high = n_blocks;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (blocks[middle].base <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool holds(const struct emulated_block *block, const char *address) { return (size_t)(address - block->base) <= block->bytes; }

bool emulated_block(const void *address, struct emulated_block *block)
{
    pthread_rwlock_rdlock(&lock);
    size_t at = rank(address);
    bool found = at && holds(&blocks[at - 1], address);
    if (found)
        *block = blocks[at - 1];
    pthread_rwlock_unlock(&lock);
    return found;
}

bool emulated_reaches_from(int device, const void *address, size_t bytes)
{
    struct emulated_block block;
    return emulated_block(address, &block) && bytes <= block.bytes - (size_t)((const char *)address - block.base)
        && (block.host || emulated_device_sees(device, block.device));
}

bool emulated_reaches(cudaStream_t handle, const void *address, size_t bytes)
{
    struct CUstream_st *stream = emulated_stream(handle);
    return stream && emulated_reaches_from(stream->device, address, bytes);
}

static void enter_block(struct emulated_block block)
{
    pthread_rwlock_wrlock(&lock);
    if (n_blocks == room) {
        room = room ? 2 * room : 64;
        blocks = realloc(blocks, room * sizeof *blocks);
        if (!blocks)
            abort();
    }
    size_t at = rank(block.base);
    memmove(blocks + at + 1, blocks + at, (n_blocks - at) * sizeof *blocks);
    blocks[at] = block;
    n_blocks++;
    pthread_rwlock_unlock(&lock);
}

static bool leave_block(const void *base, bool host, struct emulated_block *block)
{
    pthread_rwlock_wrlock(&lock);
    size_t at = rank(base);
    bool found = at && blocks[at - 1].base == base && blocks[at - 1].host == host;
    if (found) {
        *block = blocks[at - 1];
        memmove(blocks + at - 1, blocks + at, (n_blocks - at) * sizeof *blocks);
        n_blocks--;
    }
    pthread_rwlock_unlock(&lock);
    return found;
}

static cudaError_t make(void **base, size_t bytes, bool host)
{
    if (!base)
        return cudaErrorInvalidValue;
    *base = NULL;
    if (!bytes)
        return cudaSuccess;
    int device = emulated_current();
    if (!host && !emulated_device_take(device, bytes))
        return cudaErrorMemoryAllocation;
    if (posix_memalign(base, host ? 4096 : ALIGNMENT, bytes)) {
        *base = NULL;
        if (!host)
            emulated_device_give(device, bytes);
        return cudaErrorMemoryAllocation;
    }
    memset(*base, POISON, bytes);
    enter_block((struct emulated_block){ *base, bytes, device, host });
    emulated_count(host ? LIVE_HOST_BLOCKS : LIVE_DEVICE_BLOCKS, 1);
    return cudaSuccess;
}

cudaError_t cudaMalloc(void **base, size_t bytes)
{
    cudaError_t error = emulated_enter(__func__, CALL_UNSAFE);
    return emulated_leave(error ? error : make(base, bytes, false));
}

cudaError_t cudaHostAlloc(void **base, size_t bytes, unsigned flags)
{
    cudaError_t error = emulated_enter(__func__, CALL_UNSAFE);
    if (!error && flags & ~(unsigned)(cudaHostAllocPortable | cudaHostAllocMapped | cudaHostAllocWriteCombined))
        error = cudaErrorInvalidValue;
    return emulated_leave(error ? error : make(base, bytes, true));
}

cudaError_t cudaMallocHost(void **base, size_t bytes)
{
    cudaError_t error = emulated_enter(__func__, CALL_UNSAFE);
    return emulated_leave(error ? error : make(base, bytes, true));
}

/* What fails because the device has failed is freed all the same. */
static cudaError_t release(void *base, bool host, cudaError_t error)
{
    struct emulated_block block;
    if (error == cudaErrorStreamCaptureUnsupported || error == cudaErrorNotPermitted || !base)
        return error;
    if (!leave_block(base, host, &block))
        return cudaErrorInvalidValue;
    emulated_device_drain(block.device);
    if (!host)
        emulated_device_give(block.device, block.bytes);
    free(base);
    emulated_count(host ? LIVE_HOST_BLOCKS : LIVE_DEVICE_BLOCKS, -1);
    return error ? error : emulated_device_broken(block.device);
}

cudaError_t cudaFree(void *base) { return emulated_leave(release(base, false, emulated_enter(__func__, CALL_UNSAFE))); }
cudaError_t cudaFreeHost(void *base) { return emulated_leave(release(base, true, emulated_enter(__func__, CALL_UNSAFE))); }

cudaError_t cudaPointerGetAttributes(struct cudaPointerAttributes *attributes, const void *address)
{
    cudaError_t error = emulated_enter(__func__, CALL_SAFE);
    struct emulated_block block;
    *attributes = (struct cudaPointerAttributes){ .type = cudaMemoryTypeUnregistered, .device = cudaInvalidDeviceId, .hostPointer = (void *)(uintptr_t)address };
    if (emulated_block(address, &block))
        *attributes = (struct cudaPointerAttributes){
            .type = block.host ? cudaMemoryTypeHost : cudaMemoryTypeDevice, .device = block.device,
            .devicePointer = (void *)(uintptr_t)address, .hostPointer = block.host ? (void *)(uintptr_t)address : NULL,
        };
    return emulated_leave(error);
}

cudaError_t cudaHostGetDevicePointer(void **device, void *host, unsigned flags)
{
    cudaError_t error = emulated_enter(__func__, CALL_SAFE);
    struct emulated_block block;
    if (!error && (flags || !emulated_block(host, &block) || !block.host))
        error = cudaErrorInvalidValue;
    *device = error ? NULL : host;
    return emulated_leave(error);
}
