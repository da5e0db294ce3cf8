/* cuDNN's backend descriptors: made, set, finished, asked. Inside cudnn_*.c only.
 *
 * A failure is written into `error` and sticks: where it holds one, these calls do nothing. */
#ifndef CUDA_CUDNN_DESCRIPTOR_H
#define CUDA_CUDNN_DESCRIPTOR_H

#include "base/error.h"

#include <cudnn.h>
#include <stdint.h>

/* Appended to a list that has room, to be destroyed with it; NULL after a failure. */
cudnnBackendDescriptor_t descriptor_new(cudnnBackendDescriptor_t *list, int *n, cudnnBackendDescriptorType_t kind, struct error *error);
void descriptors_free(cudnnBackendDescriptor_t *list, int *n); /* the last first */

void descriptor_set(cudnnBackendDescriptor_t to, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t n, const void *values, struct error *error);
void descriptor_finish(cudnnBackendDescriptor_t descriptor, const char *what, struct error *error);

/* How many of at most `most` values were written. Values that are descriptors must have been made before. */
int64_t descriptor_get(cudnnBackendDescriptor_t from, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t most, void *values, struct error *error);

#endif
