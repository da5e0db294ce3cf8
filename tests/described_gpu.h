/* GPUs as cuDNN describes them to itself, for asking it what it offers where there is none. The figures are those of the boards' data sheets. */
#ifndef TESTS_DESCRIBED_GPU_H
#define TESTS_DESCRIBED_GPU_H

#include <cudnn.h>
#include <stdio.h>
#include <string.h>

struct described_gpu { const char *name, *board; int capability, processors, shared_memory, clock_khz, memory_clock_khz, l2; long long memory; };

static const struct described_gpu described_gpus[] = {
    { "h100", "NVIDIA H100 80GB HBM3", 900, 132, 232448, 1980000, 2619000, 52428800, 85029158912 },
    { "h200", "NVIDIA H200", 900, 132, 232448, 1980000, 3201000, 62914560, 150754820096 },
    { "a100", "NVIDIA A100-SXM4-80GB", 800, 108, 166912, 1410000, 1593000, 41943040, 84986691584 },
    { .name = NULL },
};

/* A finished descriptor for cudnn_target, to be destroyed; the library's status. */
static inline cudnnStatus_t described_gpu_open(cudnnBackendDescriptor_t *properties, const struct described_gpu *gpu)
{
    char text[1024];
    cudnnStatus_t status = cudnnBackendCreateDescriptor(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, properties);
    if (status)
        return status;
    snprintf(text, sizeof text,
             "{\"deviceName\":\"%s\",\"cudaDeviceId\":0,\"deviceVer\":%d,\"driverVer\":13000,\"multiProcessorCount\":%d,\"totalGlobalMem\":%lld,\"l2CacheSize\":%d,"
             "\"smClockRateKHz\":%d,\"memClockRateKHz\":%d,\"maxSharedMemoryPerBlock\":49152,\"maxSharedMemoryPerBlockOptin\":%d,\"reservedSharedMemoryPerBlock\":1024,"
             "\"regsPerBlock\":65536,\"maxRegistersPerSM\":65536,\"maxCtasPerSM\":32,\"maxThreadsPerBlock\":1024,\"maxThreadsPerSM\":2048,\"warpSize\":32,"
             "\"maxGridSize\":[2147483647,65535,65535],\"maxBlockSize\":[1024,1024,64],\"pciDeviceId\":0,\"isTccDriver\":0,\"supportCoopLaunch\":1}",
             gpu->board, gpu->capability, gpu->processors, gpu->memory, gpu->l2, gpu->clock_khz, gpu->memory_clock_khz, gpu->shared_memory);
    status = cudnnBackendSetAttribute(*properties, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, (int64_t)strlen(text) + 1, text);
    return status ? status : cudnnBackendFinalize(*properties);
}

#endif
