/* The loss scale of a step: the loss's gradient is multiplied by it, parameters' gradients are divided. It is a power of two, so that neither changes a bit of what
 * neither over- nor underflows. Inside cpu/ only. */
#ifndef CPU_LOSS_SCALE_H
#define CPU_LOSS_SCALE_H

#include "nets/backend.h"

static inline float loss_scale(const struct step *step) { return step->loss_scale != 0 ? step->loss_scale : 1; }

/* Behind a backward pass that has written the gradient of a parameter; NULL: there is none. */
static inline void unscale(const struct step *step, const struct param *param)
{
    const float factor = 1 / loss_scale(step);
    if (factor == 1 || !param)
        return;
    float *gradient = step->gradient + param->offset;
    for (size_t i = 0; i < param->count; i++)
        gradient[i] *= factor;
}

#endif
