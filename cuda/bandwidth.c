/* How fast bytes move: host to GPU, back, within a GPU, and between two. See cuda.h and transfer.h. */
#include "cuda/cuda.h"

#include "base/door.h"
#include "base/error.h"
#include "base/philox.h"
#include "cuda/status.h"
#include "cuda/transfer.h"

#include <stdio.h>
#include <string.h>

enum { REPEATS = 8 };

static const size_t large = (size_t)256 << 20, pair = (size_t)64 << 20; /* bytes; the first far beyond any GPU's second cache */
static const int64_t patience_ns = 10000000000;

cudaError_t cuda_settle(cudaStream_t stream, int64_t deadline_ns)
{
    cudaError_t status;
    while ((status = cudaStreamQuery(stream)) == cudaErrorNotReady) {
        if (door_now_ns() > deadline_ns)
            return cudaErrorTimeout;
        door_sleep_until_ns(door_now_ns() + 20000);
    }
    return status;
}

void cuda_pattern(uint32_t *words, size_t n, uint32_t seed)
{
    for (size_t i = 0; i < n; i += 4) {
        struct philox_block block = philox(seed, 0, i / 4);
        memcpy(words + i, block.word, (n - i < 4 ? n - i : 4) * sizeof *words);
    }
}

/* One of them is the host's where its GPU is -1. */
struct copying { int gpu[2]; size_t bytes; void *memory[2]; cudaStream_t stream; }; /* from, to; the stream is the GPU's that it goes to, or else comes from */

static cudaError_t allocate(struct copying *copying, int side)
{
    if (copying->gpu[side] < 0)
        return cudaHostAlloc(&copying->memory[side], copying->bytes, cudaHostAllocDefault);
    cudaError_t status = cudaSetDevice(copying->gpu[side]);
    return status == cudaSuccess ? cudaMalloc(&copying->memory[side], copying->bytes) : status;
}

static int open_copying(struct copying *copying, struct error *error)
{
    for (int side = 0; side < 2; side++) {
        cudaError_t status = allocate(copying, side);
        if (status == cudaErrorMemoryAllocation && copying->gpu[side] >= 0)
            return cuda_out_of_memory(copying->gpu[side], copying->bytes, "measuring copies", error);
        if (cuda_status(copying->gpu[side], status, "measuring copies", error))
            return -1;
    }
    int gpu = copying->gpu[1] >= 0 ? copying->gpu[1] : copying->gpu[0];
    return cuda_status(gpu, cudaSetDevice(gpu), "measuring copies", error) || cuda_status(gpu, cudaStreamCreateWithFlags(&copying->stream, cudaStreamNonBlocking), "measuring copies", error) ? -1 : 0;
}

static void close_copying(struct copying *copying)
{
    if (copying->stream)
        cudaStreamDestroy(copying->stream);
    for (int side = 0; side < 2; side++)
        if (copying->gpu[side] < 0)
            cudaFreeHost(copying->memory[side]);
        else
            cudaFree(copying->memory[side]);
}

static cudaError_t enqueue(const struct copying *copying)
{
    if (copying->gpu[0] >= 0 && copying->gpu[1] >= 0 && copying->gpu[0] != copying->gpu[1])
        return cudaMemcpyPeerAsync(copying->memory[1], copying->gpu[1], copying->memory[0], copying->gpu[0], copying->bytes, copying->stream);
    return cudaMemcpyAsync(copying->memory[1], copying->memory[0], copying->bytes, cudaMemcpyDefault, copying->stream);
}

/* GB/s, after one copy that is not counted. */
static int time_copies(const struct copying *copying, double *bandwidth, struct error *error)
{
    int gpu = copying->gpu[1] >= 0 ? copying->gpu[1] : copying->gpu[0];
    int64_t begin = 0;
    for (int i = 0; i <= REPEATS; i++) {
        cudaError_t status = enqueue(copying);
        if (status == cudaSuccess && (i == 0 || i == REPEATS))
            status = cuda_settle(copying->stream, door_now_ns() + patience_ns);
        if (cuda_status(gpu, status, "copying", error))
            return -1;
        if (i == 0)
            begin = door_now_ns();
    }
    *bandwidth = (double)copying->bytes * REPEATS / (double)(door_now_ns() - begin);
    return 0;
}

static int measure(double *bandwidth, int from, int to, struct error *error)
{
    struct copying copying = { .gpu = { from, to }, .bytes = large };
    int result = open_copying(&copying, error) || time_copies(&copying, bandwidth, error) ? -1 : 0;
    close_copying(&copying);
    return result;
}

int cuda_measure_gpu(struct gpu_bandwidths *bandwidths, int gpu, struct error *error)
{
    int before = 0;
    cudaGetDevice(&before);
    int result = measure(&bandwidths->from_host, -1, gpu, error) || measure(&bandwidths->to_host, gpu, -1, error) || measure(&bandwidths->on_gpu, gpu, gpu, error) ? -1 : 0;
    bandwidths->on_gpu *= 2;
    cudaSetDevice(before);
    return result;
}

/* Sends a pattern once, and compares what has arrived. */
static int compare(const struct copying *copying, uint32_t *sent, uint32_t *arrived, struct error *error)
{
    const int from = copying->gpu[0], to = copying->gpu[1];
    cudaError_t status;
    cuda_pattern(sent, copying->bytes / sizeof *sent, (uint32_t)(from << 8 | to));
    if ((status = cudaMemcpy(copying->memory[0], sent, copying->bytes, cudaMemcpyDefault)) || (status = cudaMemset(copying->memory[1], 0, copying->bytes)) ||
        (status = cudaSetDevice(from)) || (status = cudaDeviceSynchronize()) || (status = cudaSetDevice(to)) || (status = cudaDeviceSynchronize()) ||
        (status = enqueue(copying)) || (status = cuda_settle(copying->stream, door_now_ns() + patience_ns)) ||
        (status = cudaMemcpy(arrived, copying->memory[1], copying->bytes, cudaMemcpyDefault)))
        return cuda_status(to, status, "copying from another GPU", error);
    for (size_t i = 0; i < copying->bytes / sizeof *sent; i++)
        if (sent[i] != arrived[i])
            return fail(error, EXIT_DEVICE, "cuda:%d: of %zu bytes copied from cuda:%d, those from %zu on are others than were sent", to, copying->bytes, from, i * sizeof *sent);
    return 0;
}

int cuda_measure_pair(double *bandwidth, int from, int to, struct error *error)
{
    struct copying copying = { .gpu = { from, to }, .bytes = pair };
    void *sent = NULL, *arrived = NULL;
    int before = 0;
    cudaGetDevice(&before);
    int result = door_allocate(&sent, pair, "a pattern", error) || door_allocate(&arrived, pair, "a pattern", error) || open_copying(&copying, error) ||
                         compare(&copying, sent, arrived, error) || time_copies(&copying, bandwidth, error)
                     ? -1
                     : 0;
    if (result == 0 || error->code != EXIT_DEVICE || cudaStreamQuery(copying.stream) != cudaErrorNotReady) /* what hangs is left: to free it would wait for it */
        close_copying(&copying);
    door_free(arrived);
    door_free(sent);
    cudaSetDevice(before);
    return result;
}
