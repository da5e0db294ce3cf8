/* What becomes of a whole gradient: a factor, when it is clipped (docs/algorithms.md, section 3), or nothing, when it has overflowed in fp16 (section 9). */
#ifndef TRAINER_VERDICT_H
#define TRAINER_VERDICT_H

#include "nets/backend.h"
#include "trainer/config.h"

struct verdict { float factor; bool skip; };

/* Whether a run judges whole gradients: it clips, or computes in fp16. */
bool verdict_is_wanted(const struct config *config);

/* Of the mean of k whole gradients of n elements; waits for it. */
struct verdict verdict_of(const struct config *config, const struct backend *backend, struct device *device, const float *const *gradients, int k, size_t n);

#endif
