/* The CUDA backend for tests, where this build has it and there is a GPU or an emulated one. */
#ifndef TESTS_GPU_H
#define TESTS_GPU_H

#include "nets/backend.h"

/* NULL: there is none, and the test that is running has been skipped by name. */
const struct backend *gpu_or_skip(void);

#endif
