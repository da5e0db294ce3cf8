/* See gpu.h. */
#include "tests/gpu.h"

#include "tests/tests.h"

#ifdef HAVE_CUDA
#include "cuda/cuda.h"
#endif

const struct backend *gpu_or_skip(void)
{
#ifdef HAVE_CUDA
    struct error why = { 0 };
    if (cuda_gpus(&why) > 0)
        return &backend_cuda;
#endif
    test_skip("no GPU");
    return NULL;
}
