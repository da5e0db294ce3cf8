/* A device: one GPU and one order on it, a stream. Inside cuda/ only.
 *
 * Nothing that is enqueued blocks the host. A call that has no `error` to write keeps its failure in the device, the first one; check, sync, finish and the end of a capture report it.
 * One thread uses a device at a time, any thread: a function that touches the GPU makes it current first (cuda_use). */
#ifndef CUDA_DEVICE_H
#define CUDA_DEVICE_H

#include "cuda/status.h"
#include "cuda/values.h"
#include "nets/backend.h"

#include <stdatomic.h>

enum { CUDA_BLOCK_SUMS = 16384 };

struct staging; /* cuda/staging.h */

struct device {
    int ordinal;                /* CUDA's number of the GPU */
    int gpus;                   /* that this process sees */
    int multiprocessors;
    cudaStream_t stream;
    int priority;               /* of the stream */
    bool capturing;
    struct step_values *values; /* in the GPU's memory */
    cudnnHandle_t cudnn;        /* NULL until cuda_cudnn */
    cublasLtHandle_t cublas;    /* NULL until cuda_cublas */
    cudaEvent_t drained;        /* cuda_drain's */
    double *block_sums;         /* [CUDA_BLOCK_SUMS], square_sum's: the host's memory, written by the GPU */
    struct staging *staging;    /* NULL until the first copy that wants it */
    uint32_t asked, reached;    /* a bit for each GPU: whether this one may touch its memory has been asked; it may */
    atomic_bool failing;        /* somebody is writing the fault, or has */
    atomic_bool failed;         /* it is there; release, pairs with the acquire in cuda_fault */
    struct error fault;
};

/* Makes the device's GPU the calling thread's. Costs next to nothing where it is that already. */
void cuda_use(struct device *device);

/* Keeps the failure, unless there is one already; nothing when status is cudaSuccess. `doing` names the work, as in cuda/status.h. Any thread. */
void cuda_fail(struct device *device, cudaError_t status, const char *doing);
void cuda_fail_error(struct device *device, const struct error *error); /* the same for a failure that is in words already */
/* The failure that was kept: 0, or -1. Any thread. */
int cuda_fault(const struct device *device, struct error *error);
/* For calls that take `error`. */
static inline int cuda_try(const struct device *device, cudaError_t status, const char *doing, struct error *error) { return cuda_status(device->ordinal, status, doing, error); }

/* Waits for everything enqueued, asleep: there may be more threads that wait than processors. */
cudaError_t cuda_drain(struct device *device);

/* The device's handles, on its stream, made on first use (so not during a capture: constructors ask) and closed with the device. */
int cuda_cudnn(struct device *device, cudnnHandle_t *handle, struct error *error);
int cuda_cublas(struct device *device, cublasLtHandle_t *handle, struct error *error);

/* device.c */
int cuda_device_open(struct device **device, int index, struct error *error);
int cuda_device_second(struct device **device, struct device *of, int urgency, struct error *error);
void cuda_device_close(struct device *device);
int cuda_check(struct device *device, struct error *error);

/* memory.c */
int cuda_allocate(struct device *device, void **block, size_t bytes, const char *what, struct error *error);
void cuda_release(struct device *device, void *block);
int cuda_allocate_host(void **block, size_t bytes, const char *what, struct error *error);
void cuda_release_host(void *block);

/* copy.c */
bool cuda_same(const struct device *a, const struct device *b);
bool cuda_reaches(const struct device *a, const struct device *b);
void cuda_upload(struct device *device, void *to, const void *from, size_t bytes);
void cuda_copy(struct device *device, float *to, const float *from, size_t n);

/* order.c */
int cuda_event_open(struct event **event, struct device *device, struct error *error);
void cuda_event_close(struct event *event);
void cuda_record(struct device *device, struct event *event);
void cuda_wait(struct device *device, struct event *event);
bool cuda_done(struct event *event);
int cuda_finish(struct event *event, struct error *error);
int cuda_sync(struct device *device, struct error *error);
void cuda_begin(struct device *device, const struct step *step);

/* capture.c */
extern const struct capture_calls cuda_captures;

/* flat.c */
void cuda_sgd(struct device *device, const struct sgd_pass *pass);
void cuda_forecast(struct device *device, const struct sgd_pass *pass);
void cuda_local(struct device *device, const struct local_pass *pass);
void cuda_predict(struct device *device, float *l, const float *p, const float *g, float c, size_t n);
void cuda_average(struct device *device, float *average, const float *values, float rate, size_t n);
double cuda_square_sum(struct device *device, const float *const *gradients, int k, float inv_k, size_t n);

#ifdef HAVE_NCCL
/* nccl.c */
extern const struct collective_calls cuda_nccl;
#endif

#endif
