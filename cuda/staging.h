/* Copies that no stream of the device's GPU can make, because it does not reach the memory of another: through the host's memory, on streams of the GPUs that own what is
 * read and written. Inside cuda/ only. */
#ifndef CUDA_STAGING_H
#define CUDA_STAGING_H

#include "cuda/device.h"

struct staging_ends { int to, from; }; /* GPUs that own both ends, -1 for the host; at least one is not the device's */

/* Enqueued in the order of the device's stream, inside of a capture or outside. A failure stays with the device. */
void staging_copy(struct device *device, void *to, const void *from, size_t bytes, struct staging_ends ends);
void staging_close(struct staging *staging); /* accepts NULL */

#endif
