/* Which GPUs there are. See cuda.h. */
#include "cuda/cuda.h"

#include "base/error.h"
#include "base/text.h"
#include "cuda/status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Streams that share a queue to the hardware wait for each other's waits. CUDA makes eight, fewer than a server and two workers on one GPU have streams; it asks when it starts. */
static void ask_for_queues(void) { setenv("CUDA_DEVICE_MAX_CONNECTIONS", "32", 0); }

int cuda_gpus(struct error *why)
{
    int n = 0;
    ask_for_queues();
    if (cuda_status(-1, cudaGetDeviceCount(&n), NULL, why) == 0 && n == 0)
        fail(why, EXIT_DEVICE, "cuda: there is no GPU");
    cudaGetLastError(); /* a machine without GPUs is none that failed */
    return why->code ? 0 : n;
}

static int read_attributes(struct gpu *gpu, int index)
{
    struct cudaDeviceProp about;
    cudaError_t status = cudaGetDeviceProperties(&about, index);
    if (status == cudaSuccess) {
        snprintf(gpu->name, sizeof gpu->name, "%.*s", (int)sizeof gpu->name - 1, about.name);
        gpu->capability = 10 * about.major + about.minor;
        gpu->processors = about.multiProcessorCount;
    }
    return (int)status;
}

int cuda_gpu_read(struct gpu *gpu, int index, struct error *error)
{
    int before = 0, result;
    *gpu = (struct gpu){ 0 };
    cudaGetDevice(&before);
    result = cuda_status(index, (cudaError_t)read_attributes(gpu, index), "asking what it is", error) || cuda_status(index, cudaSetDevice(index), "opening it", error) ||
                     cuda_status(index, cudaMemGetInfo(&gpu->free_bytes, &gpu->memory_bytes), "asking for its memory", error)
                 ? -1
                 : 0;
    cudaSetDevice(before);
    return result;
}

static void add_version(struct text *text, const char *name, size_t version, size_t major_step, size_t minor_step)
{
    text_add(text, ", %s %zu.%zu.%zu", name, version / major_step, version % major_step / minor_step, version % minor_step);
}

void cuda_versions(char *line, size_t bytes)
{
    struct text text;
    int runtime = 0, driver = 0;
    cudaRuntimeGetVersion(&runtime);
    cudaDriverGetVersion(&driver);
    text_begin(&text, line, bytes);
    text_add(&text, "CUDA %d.%d, ", runtime / 1000, runtime % 1000 / 10);
    if (driver)
        text_add(&text, "the driver serves %d.%d", driver / 1000, driver % 1000 / 10);
    else
        text_add(&text, "no driver");
    add_version(&text, "cuDNN", cudnnGetVersion(), 10000, 100);
    add_version(&text, "cuBLASLt", cublasLtGetVersion(), 10000, 100);
#ifdef HAVE_NCCL
    int nccl = 0;
    ncclGetVersion(&nccl);
    add_version(&text, "NCCL", (size_t)nccl, 10000, 100);
#else
    text_add(&text, ", no NCCL");
#endif
}
