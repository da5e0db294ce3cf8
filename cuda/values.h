/* What changes from step to step and is no vector: written into the device's memory before a step (cuda_begin), read by kernels there, so that a captured step can be
 * launched again. C and CUDA. */
#ifndef CUDA_VALUES_H
#define CUDA_VALUES_H

#include <stdint.h>

struct step_values {
    uint64_t seed;
    int64_t epoch;
    int n;                    /* samples that count */
    float loss_scale;         /* 1 where nothing is scaled */
    float inverse_loss_scale; /* rounded to nearest */
};

#endif
