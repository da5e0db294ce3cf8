// Reads another GPU's memory as the flat passes do. See transfer.h.
#include "cuda/launch.cuh"

#include <stddef.h>
#include <stdint.h>

static __global__ void peer_read(uint32_t *to, const uint32_t *from, size_t n)
{
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += (size_t)gridDim.x * blockDim.x)
        to[i] = from[i];
}

extern "C" cudaError_t cuda_peer_read(uint32_t *to, const uint32_t *from, size_t n, cudaStream_t stream)
{
    return launch(peer_read, 64, 256, 0, stream, to, from, n);
}
