/* See cudnn_descriptor.h. */
#include "cuda/cudnn_descriptor.h"

#include "cuda/status.h"

#include <stddef.h>
#include <stdio.h>

cudnnBackendDescriptor_t descriptor_new(cudnnBackendDescriptor_t *list, int *n, cudnnBackendDescriptorType_t kind, struct error *error)
{
    cudnnBackendDescriptor_t made = NULL;
    if (error->code || cuda_status_cudnn(-1, cudnnBackendCreateDescriptor(kind, &made), "making a descriptor", error))
        return NULL;
    return list[(*n)++] = made;
}

void descriptors_free(cudnnBackendDescriptor_t *list, int *n)
{
    while (*n > 0)
        cudnnBackendDestroyDescriptor(list[--*n]);
}

void descriptor_set(cudnnBackendDescriptor_t to, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t n, const void *values, struct error *error)
{
    char doing[64];
    if (error->code)
        return;
    cudnnStatus_t status = cudnnBackendSetAttribute(to, name, type, n, values);
    snprintf(doing, sizeof doing, "setting attribute %d", (int)name);
    cuda_status_cudnn(-1, status, doing, error);
}

void descriptor_finish(cudnnBackendDescriptor_t descriptor, const char *what, struct error *error)
{
    char doing[64];
    if (error->code)
        return;
    cudnnStatus_t status = cudnnBackendFinalize(descriptor);
    snprintf(doing, sizeof doing, "preparing %s", what);
    cuda_status_cudnn(-1, status, doing, error);
}

int64_t descriptor_get(cudnnBackendDescriptor_t from, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t most, void *values, struct error *error)
{
    char doing[64];
    int64_t n = 0;
    if (error->code)
        return 0;
    cudnnStatus_t status = cudnnBackendGetAttribute(from, name, type, most, &n, values);
    snprintf(doing, sizeof doing, "asking for attribute %d", (int)name);
    return cuda_status_cudnn(-1, status, doing, error) ? 0 : n;
}
