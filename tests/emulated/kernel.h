/* Between compiled kernels (shim.h) and what executes them: block.c runs a grid on the calling thread, launch.c checks a launch and enqueues it. */
#ifndef TESTS_EMULATED_KERNEL_H
#define TESTS_EMULATED_KERNEL_H

#include <cuda_runtime_api.h>
#include <stddef.h>
#include <stdint.h>

enum { EMULATED_WARP = 32, EMULATED_THREADS = 1024, EMULATED_SHARED = 48 << 10, EMULATED_SHARED_OPTIN = 227 << 10 };

#ifdef __cplusplus
extern "C" {
#endif

extern __thread uint3 threadIdx, blockIdx;
extern __thread dim3 blockDim, gridDim;

/* One parameter of a kernel: checked for addresses that its device may not touch. */
struct emulated_parameter { const void *value; size_t bytes; int is_pointer; };

/* run(context) calls the kernel once, for the thread that threadIdx and blockIdx name; the context is copied. */
cudaError_t emulated_launch(const void *kernel, dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream, void (*run)(void *context), const void *context,
                            size_t context_bytes, const struct emulated_parameter *parameters, int n_parameters);

struct emulated_grid { dim3 grid, block; size_t shared_bytes; void (*run)(void *context); void *context; };
void emulated_grid_run(const struct emulated_grid *grid);

/* Called by kernels. `line`: where in the source; threads that meet must be at the same. */
int emulated_barrier(int predicate, int line); /* how many threads' predicates are true */
uint64_t emulated_shuffle(unsigned mask, uint64_t value, int source, int line); /* all ones where the source takes no part */
unsigned emulated_ballot(unsigned mask, int predicate, int line);
void emulated_warp(unsigned mask, int line);

#ifdef __cplusplus
}
#endif

#endif
