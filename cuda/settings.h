/* What cuda_configure was told. Inside cuda/ only. */
#ifndef CUDA_SETTINGS_H
#define CUDA_SETTINGS_H

#include "cuda/cuda.h"

const struct cuda_settings *cuda_settings(void);

#endif
