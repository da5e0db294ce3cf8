/* The emulated CUDA runtime: what its libraries (cuDNN, cuBLASLt, NCCL) and the tests see of it besides the CUDA interface itself. README.md says what
 * is emulated and how strictly. */
#ifndef TESTS_EMULATED_EMULATED_H
#define TESTS_EMULATED_EMULATED_H

#include <stdbool.h>
#include <stddef.h>

#include <cuda_runtime_api.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- for libraries ---- */

/* Appends work to the stream, or a node to the graph that it captures. run() gets a copy of the context, aligned to 16, on the stream's thread, each time the
 * work is executed; it may block for what other streams do. After a failure of the device (emulated_break) work is dropped unrun.
 * Returns a cudaError_t. */
int emulated_enqueue(cudaStream_t stream, void (*run)(void *context), void *context, size_t context_bytes);

/* Whether what runs on the stream's device may touch [block, block + bytes): its own memory, a peer's that it has enabled, pinned host memory. */
bool emulated_reaches(cudaStream_t stream, const void *block, size_t bytes);

/* To be called at the head of every emulated function: 0, or, where ONESTEP_EMULATED_FAIL or emulated_fail() says that this call fails, the code given there,
 * `otherwise` where none is given. Counts the call. */
int emulated_fault(const char *function, int otherwise);

/* From within run(): the device of the stream has failed, as after an illegal address. Prints the line, and every later call on the device returns the error. */
void emulated_break(cudaError_t error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- for tests ---- */

/* The n-th call of the function from now (1: the next) returns the code; 0: the function's usual one. n = 0: none fails. */
void emulated_fail(const char *function, long n, int code);

/* How often it was called since the process began. Only functions that have been given to emulated_fail() or ONESTEP_EMULATED_FAIL are counted. */
long emulated_calls(const char *function);

/* What has been made and not been given back. */
struct emulated_live { int device_blocks, host_blocks, streams, events, graphs; };
struct emulated_live emulated_live(void);

/* Every device works again. For tests that break one. */
void emulated_mend(void);

/* As the environment variable of that name says at the start: microseconds that a stream may pause before a piece of work, at random. 0: never. */
void emulated_delay(int microseconds);

/* As ONESTEP_EMULATED_PEERS says at the start. */
enum emulated_peers { EMULATED_PEERS, EMULATED_PEERS_NONE, EMULATED_PEERS_BROKEN };
void emulated_peers(enum emulated_peers peers);

#ifdef __cplusplus
}
#endif

#endif
