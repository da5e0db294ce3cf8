/* Copies that are timed or checked, with an end to the waiting. Inside cuda/ only. */
#ifndef CUDA_TRANSFER_H
#define CUDA_TRANSFER_H

#include <cuda_runtime_api.h>

#include <stdint.h>

/* Waits until the stream has nothing left to do: cudaSuccess, its error, or cudaErrorTimeout when it is not done by `deadline_ns` (monotonic). The GPU that the stream belongs
 * to is the calling thread's. */
cudaError_t cuda_settle(cudaStream_t stream, int64_t deadline_ns);

/* n words that no constant, no other `seed` and no shift of themselves looks like. */
void cuda_pattern(uint32_t *words, size_t n, uint32_t seed);

/* peers.cu: n words at `from`, by a kernel of the stream's GPU. */
cudaError_t cuda_peer_read(uint32_t *to, const uint32_t *from, size_t n, cudaStream_t stream);

#endif
