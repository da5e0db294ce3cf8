/* Copies between any two places: one stream makes them where its GPU reaches both, else they are staged. */
#include "cuda/cuda.h"
#include "cuda/staging.h"

bool cuda_same(const struct device *a, const struct device *b) { return a->ordinal == b->ordinal; }
bool cuda_reaches(const struct device *a, const struct device *b) { return cuda_same(a, b) || cuda_peer_works(a->ordinal, b->ordinal); }

void cuda_upload(struct device *device, void *to, const void *from, size_t bytes)
{
    cuda_use(device);
    cuda_fail(device, cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, device->stream), "copying from the host");
}

/* The GPU whose memory it is, -1 for the host's. */
static int owner_of(struct device *device, const void *address)
{
    struct cudaPointerAttributes about = { 0 };
    cuda_fail(device, cudaPointerGetAttributes(&about, address), "asking whose memory it is");
    return about.type == cudaMemoryTypeDevice ? about.device : -1;
}

static bool reaches(struct device *device, int owner)
{
    enum { GPUS_MOST = 32 };
    if (owner < 0 || owner == device->ordinal)
        return true;
    if (owner >= GPUS_MOST)
        return false;
    const uint32_t bit = UINT32_C(1) << owner;
    if (!(device->asked & bit)) {
        device->asked |= bit;
        device->reached |= cuda_peer_works(device->ordinal, owner) ? bit : 0;
    }
    return device->reached & bit;
}

static void copy(struct device *device, void *to, const void *from, size_t bytes)
{
    if (device->gpus > 1) {
        struct staging_ends ends = { owner_of(device, to), owner_of(device, from) };
        if (!reaches(device, ends.to) || !reaches(device, ends.from)) {
            staging_copy(device, to, from, bytes, ends);
            return;
        }
    }
    cuda_fail(device, cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, device->stream), "copying");
}

/* The first copy between two GPUs looks how, and may make streams and allocate: calls that a capture forbids because it cannot keep them. These are not to be kept. */
void cuda_copy(struct device *device, float *to, const float *from, size_t n)
{
    enum cudaStreamCaptureMode mode = cudaStreamCaptureModeRelaxed;
    bool relaxed = device->capturing && device->gpus > 1;
    if (n == 0)
        return;
    cuda_use(device);
    if (relaxed)
        cuda_fail(device, cudaThreadExchangeStreamCaptureMode(&mode), "copying");
    copy(device, to, from, n * sizeof *to);
    if (relaxed)
        cuda_fail(device, cudaThreadExchangeStreamCaptureMode(&mode), "copying");
}
