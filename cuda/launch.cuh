/* How every kernel is started: launch(kernel, grid, block, shared_bytes, stream, arguments...), the arguments converted to the kernel's parameters. Never
 * <<<>>>, so that a kernel is an ordinary function to whatever compiler reads the file. The kernel runs later; what is returned says whether it could be enqueued. */
#ifndef CUDA_LAUNCH_CUH
#define CUDA_LAUNCH_CUH

#include <cuda_runtime.h>

template <class... P, class... A>
cudaError_t launch(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream, A... arguments)
{
    static_assert(sizeof...(P) == sizeof...(A), "as many arguments as the kernel has parameters");
    return [&](P... values) {
        void *pointers[] = { (void *)&values..., nullptr };
        return cudaLaunchKernel(kernel, grid, block, pointers, shared_bytes, stream);
    }(arguments...);
}

#endif
