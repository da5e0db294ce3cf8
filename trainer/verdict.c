/* See verdict.h. */
#include "trainer/verdict.h"

#include "trainer/loss_scale.h"

#include <math.h>

bool verdict_is_wanted(const struct config *config) { return config->optimizer.clip_norm > 0 || loss_scale_is_used(config); }

/* min(1, clip_norm / (norm + 1e-6)), as PyTorch's clip_grad_norm_ has it. A norm is finite when all that it is of is: squares are in doubles. */
struct verdict verdict_of(const struct config *config, const struct backend *backend, struct device *device, const float *const *gradients, int k, size_t n)
{
    double norm = sqrt(backend->square_sum(device, gradients, k, 1.0f / (float)k, n));
    double most = config->optimizer.clip_norm, factor = most > 0 ? most / (norm + 1e-6) : 1;
    return (struct verdict){ factor > 1 ? 1 : (float)factor, loss_scale_is_used(config) && !isfinite(norm) };
}
