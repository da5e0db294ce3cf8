/* The emulated cuDNN: handles, versions and words for statuses. */
#include "tests/emulated/emulated_cudnn.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static _Thread_local char last_error[512];

cudnnStatus_t dnn_refuse(cudnnStatus_t status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(last_error, sizeof last_error, format, arguments);
    va_end(arguments);
    if (CUDNN_STATUS_CATEGORY(status) != CUDNN_STATUS_NOT_SUPPORTED)
        fprintf(stderr, "emulated cuDNN: %s: %s\n", cudnnGetErrorString(status), last_error);
    return status;
}

size_t cudnnGetVersion(void) { return CUDNN_VERSION; }
size_t cudnnGetCudartVersion(void) { return CUDART_VERSION; }

const char *cudnnGetErrorString(cudnnStatus_t status)
{
    switch ((int)status) {
#define STATUS(name) case name: return #name
    STATUS(CUDNN_STATUS_SUCCESS);
    STATUS(CUDNN_STATUS_NOT_INITIALIZED);
    STATUS(CUDNN_STATUS_BAD_PARAM);
    STATUS(CUDNN_STATUS_BAD_PARAM_NULL_POINTER);
    STATUS(CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER);
    STATUS(CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED);
    STATUS(CUDNN_STATUS_BAD_PARAM_SIZE_INSUFFICIENT);
    STATUS(CUDNN_STATUS_BAD_PARAM_STREAM_MISMATCH);
    STATUS(CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH);
    STATUS(CUDNN_STATUS_BAD_PARAM_DUPLICATED_ENTRIES);
    STATUS(CUDNN_STATUS_BAD_PARAM_ATTRIBUTE_TYPE);
    STATUS(CUDNN_STATUS_BAD_PARAM_DESCRIPTOR_TYPE);
    STATUS(CUDNN_STATUS_NOT_SUPPORTED);
    STATUS(CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN);
    STATUS(CUDNN_STATUS_NOT_SUPPORTED_DATA_TYPE);
    STATUS(CUDNN_STATUS_NOT_SUPPORTED_ARCH_MISMATCH);
    STATUS(CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED);
    STATUS(CUDNN_STATUS_EXECUTION_FAILED);
#undef STATUS
    default: return "CUDNN_UNKNOWN_STATUS";
    }
}

void cudnnGetLastErrorString(char *message, size_t max_size)
{
    if (max_size)
        snprintf(message, max_size, "%s", last_error);
    last_error[0] = '\0';
}

cudnnStatus_t cudnnCreate(cudnnHandle_t *handle)
{
    int fault = emulated_fault("cudnnCreate", CUDNN_STATUS_NOT_INITIALIZED);
    if (fault)
        return dnn_refuse((cudnnStatus_t)fault, "cudnnCreate: as asked for");
    int device;
    if (cudaGetDevice(&device) != cudaSuccess)
        return dnn_refuse(CUDNN_STATUS_NOT_INITIALIZED, "cudnnCreate: no device");
    *handle = calloc(1, sizeof **handle);
    if (!*handle)
        return CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED;
    (*handle)->device = device;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnDestroy(cudnnHandle_t handle)
{
    if (!handle)
        return dnn_refuse(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "cudnnDestroy: no handle");
    free(handle);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream)
{
    int device;
    if (!handle)
        return dnn_refuse(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "cudnnSetStream: no handle");
    if (stream && cudaStreamGetDevice(stream, &device) == cudaSuccess && device != handle->device)
        return dnn_refuse(CUDNN_STATUS_BAD_PARAM_STREAM_MISMATCH, "cudnnSetStream: a stream of device %d for a handle of device %d", device, handle->device);
    handle->stream = stream;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnGetStream(cudnnHandle_t handle, cudaStream_t *stream)
{
    if (!handle || !stream)
        return dnn_refuse(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "cudnnGetStream: no handle");
    *stream = handle->stream;
    return CUDNN_STATUS_SUCCESS;
}
