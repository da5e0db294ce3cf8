/* The CUDA backend as the program sees it: its table, and what can be asked of GPUs before one is opened. Names nothing of CUDA's, so that any room may include it. */
#ifndef CUDA_CUDA_H
#define CUDA_CUDA_H

#include <stdbool.h>
#include <stddef.h>

struct backend;
struct error;

extern const struct backend backend_cuda;

/* How convolutions and products may be computed. */
struct cuda_settings {
    bool tf32;              /* fp32 products from operands rounded to TF32 */
    bool deterministic;     /* the same bits each time */
    size_t workspace_bytes; /* that an operation may take, at most */
    bool measure;           /* the fastest way is measured, and remembered on disk; otherwise the libraries' own first proposal is taken */
    int first;              /* a GPU that is used: the host's memory is pinned by it, and none that is not asked for is touched */
};

/* Once, before a device is opened. Until then: none, no, 512 MiB, yes, 0. */
void cuda_configure(const struct cuda_settings *settings);

struct gpu {
    char name[96];
    size_t memory_bytes, free_bytes;
    int capability; /* 90 for 9.0 */
    int processors; /* streaming multiprocessors */
};

/* GPUs that CUDA can use; where there are none, 0 and the reason in `why`, which is no failure. */
int cuda_gpus(struct error *why);
/* index: 0..cuda_gpus - 1. Takes a moment and some memory of the GPU: its context. EXIT_DEVICE. */
int cuda_gpu_read(struct gpu *gpu, int index, struct error *error);
/* "CUDA 13.0, the driver serves 13.0, cuDNN 9.19.0, cuBLASLt 13.1.0, NCCL 2.28.9": what this process has loaded. */
void cuda_versions(char *line, size_t bytes);

/* ---- between GPUs: another's memory is read only where the driver offers it and reading gives what is there ---- */

bool cuda_peer_offered(int reader, int owner);
/* Whether kernels and copies of `reader` read `owner`'s memory, which it then may. The first call for a pair reads a pattern, within two seconds, and must not come
 * during a capture; a pair that is offered and does not work costs a line on stderr, and data between the two go through the host's memory. Any thread. */
bool cuda_peer_works(int reader, int owner);

/* GB/s, 10^9 bytes a second, of large copies; `on_gpu` counts each byte as read and as written. */
struct gpu_bandwidths { double from_host, to_host, on_gpu; };

/* The host's memory is pinned. EXIT_DEVICE. */
int cuda_measure_gpu(struct gpu_bandwidths *bandwidths, int gpu, struct error *error);
/* From one GPU's memory into another's, by whichever way works, compared with what was sent. EXIT_DEVICE, also when nothing or something else arrives. */
int cuda_measure_pair(double *bandwidth, int from, int to, struct error *error);

#endif
