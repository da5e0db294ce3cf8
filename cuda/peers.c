/* Whether one GPU reads another's memory. See cuda.h.
 *
 * Drivers offer peer access between GPUs whose bridges then lose or garble what is read (an IOMMU that is on, switches that redirect), so nothing is believed that was not
 * seen. What is kernel's memory access and what is a copy takes different ways through the GPU: both are tried. Access belongs to the contexts of the process, so what was
 * found is kept for the process, under one lock. */
#include "cuda/cuda.h"

#include "base/door.h"
#include "base/error.h"
#include "cuda/status.h"
#include "cuda/transfer.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { GPUS_MOST = 32, WORDS = 1 << 16 };

static const int64_t patience_ns = 2000000000;

enum finding { UNKNOWN, WORKS, FAILS };

static struct { pthread_mutex_t lock; enum finding of[GPUS_MOST][GPUS_MOST]; } found = { .lock = PTHREAD_MUTEX_INITIALIZER };

struct probe {
    int reader, owner;
    cudaStream_t stream;        /* the reader's */
    uint32_t *source, *landing; /* [WORDS] in the owner's memory; [2][WORDS] in the reader's: by a copy, by a kernel */
    uint32_t sent[WORDS], arrived[2 * WORDS];
};

bool cuda_peer_offered(int reader, int owner)
{
    int offered = 0;
    return reader != owner && cudaDeviceCanAccessPeer(&offered, reader, owner) == cudaSuccess && offered;
}

static cudaError_t enable(int reader, int owner)
{
    cudaError_t status = cudaSetDevice(reader);
    if (status == cudaSuccess)
        status = cudaDeviceEnablePeerAccess(owner, 0);
    if (status != cudaErrorPeerAccessAlreadyEnabled)
        return status;
    cudaGetLastError();
    return cudaSuccess;
}

/* Allocates on both, writes the pattern, and leaves the reader current. */
static cudaError_t prepare(struct probe *probe)
{
    cudaError_t status;
    cuda_pattern(probe->sent, WORDS, (uint32_t)(probe->reader * GPUS_MOST + probe->owner));
    if ((status = cudaSetDevice(probe->owner)) || (status = cudaMalloc((void **)&probe->source, sizeof probe->sent)) ||
        (status = cudaMemcpy(probe->source, probe->sent, sizeof probe->sent, cudaMemcpyHostToDevice)) || (status = cudaDeviceSynchronize()) ||
        (status = cudaSetDevice(probe->reader)) || (status = cudaMalloc((void **)&probe->landing, sizeof probe->arrived)) ||
        (status = cudaStreamCreateWithFlags(&probe->stream, cudaStreamNonBlocking)))
        return status;
    return cudaMemsetAsync(probe->landing, 0, sizeof probe->arrived, probe->stream);
}

static cudaError_t read_pattern(struct probe *probe)
{
    cudaError_t status;
    if ((status = cudaMemcpyAsync(probe->landing, probe->source, sizeof probe->sent, cudaMemcpyDefault, probe->stream)) ||
        (status = cuda_peer_read(probe->landing + WORDS, probe->source, WORDS, probe->stream)) ||
        (status = cuda_settle(probe->stream, door_now_ns() + patience_ns)))
        return status;
    return cudaMemcpy(probe->arrived, probe->landing, sizeof probe->arrived, cudaMemcpyDeviceToHost);
}

static void release(struct probe *probe)
{
    if (probe->stream)
        cudaStreamDestroy(probe->stream);
    cudaFree(probe->landing);
    cudaSetDevice(probe->owner);
    cudaFree(probe->source);
}

/* NULL, or what is wrong. */
static const char *check(struct probe *probe)
{
    const char *wrong = NULL;
    cudaError_t status = enable(probe->reader, probe->owner);
    if (status == cudaSuccess && (status = prepare(probe)) == cudaSuccess)
        status = read_pattern(probe);
    if (status == cudaErrorTimeout)
        return "nothing arrives within 2 seconds"; /* what hangs is left where it is: to free it, or to end the access, would wait for it */
    if (status != cudaSuccess)
        wrong = cudaGetErrorString(status);
    else if (memcmp(probe->arrived, probe->sent, sizeof probe->sent))
        wrong = "a copy brings other bytes than were there";
    else if (memcmp(probe->arrived + WORDS, probe->sent, sizeof probe->sent))
        wrong = "a kernel reads other bytes than are there";
    release(probe);
    if (wrong) {
        cudaSetDevice(probe->reader);
        cudaDeviceDisablePeerAccess(probe->owner);
        cudaGetLastError();
    }
    return wrong;
}

static enum finding find(int reader, int owner)
{
    void *block;
    struct error no_room = { 0 };
    int before = 0;
    if (door_allocate(&block, sizeof(struct probe), "a check of peer access", &no_room))
        return FAILS;
    struct probe *probe = block;
    probe->reader = reader;
    probe->owner = owner;
    cudaGetDevice(&before);
    const char *wrong = check(probe);
    if (wrong)
        fprintf(stderr, "onestep: cuda:%d is offered cuda:%d's memory, but %s; what they exchange goes through pinned host memory\n", reader, owner, wrong);
    cudaSetDevice(before);
    door_free(block);
    return wrong ? FAILS : WORKS;
}

bool cuda_peer_works(int reader, int owner)
{
    if (reader < 0 || owner < 0 || reader >= GPUS_MOST || owner >= GPUS_MOST || !cuda_peer_offered(reader, owner))
        return false;
    pthread_mutex_lock(&found.lock);
    enum finding *finding = &found.of[reader][owner];
    if (*finding == UNKNOWN)
        *finding = find(reader, owner);
    bool works = *finding == WORKS;
    pthread_mutex_unlock(&found.lock);
    return works;
}
