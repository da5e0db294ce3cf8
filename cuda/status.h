/* A status of CUDA, cuDNN, cuBLAS or NCCL as one line for a person to mend: which GPU, what was being done, what the library says, what to do about it.
 *
 * Each returns 0 for success, else -1 with the line in `error`: EXIT_DEVICE. `gpu` is CUDA's number, -1 where it concerns none in particular. `doing` names the work, and
 * whose it is: "convolution layer3.0.conv1, backward"; without a GPU it may be NULL. Any thread. */
#ifndef CUDA_STATUS_H
#define CUDA_STATUS_H

#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <cudnn.h>
#ifdef HAVE_NCCL
#include <nccl.h>
#endif

#include <stdbool.h>

struct error;

int cuda_status(int gpu, cudaError_t status, const char *doing, struct error *error);
int cuda_status_cudnn(int gpu, cudnnStatus_t status, const char *doing, struct error *error); /* right after the call: cuDNN keeps its own words for each thread */
int cuda_status_cublas(int gpu, cublasStatus_t status, const char *doing, struct error *error);
#ifdef HAVE_NCCL
int cuda_status_nccl(int gpu, ncclResult_t status, const char *doing, struct error *error);
#endif

/* The GPU has no room for `bytes`, wanted for `what` ("activations", "layer3.0.conv1: workspace"). That GPU is the calling thread's. Returns -1. */
int cuda_out_of_memory(int gpu, size_t bytes, const char *what, struct error *error);

/* Whether CUDA says so for ever after: the context is lost, and all that was in the GPU's memory with it. */
bool cuda_is_lost(cudaError_t status);

#endif
