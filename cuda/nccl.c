/* Sums over GPUs by NCCL: one communicator for each GPU, all of them in this process and called by one thread, as a group. What fails on a GPU while a sum runs is told by
 * the next sum; a sum that cannot end is ended by abort, and none comes after it. */
#include "cuda/device.h"

#include "base/door.h"

#include <pthread.h>

enum { GPUS_MOST = 64 };

struct collective {
    pthread_mutex_t lock; /* a communicator is used by one thread at a time, and abort frees them */
    bool aborted;
    int n;
    int gpu[GPUS_MOST];
    cudaStream_t stream[GPUS_MOST]; /* the devices' */
    ncclComm_t comm[GPUS_MOST];
};

static int refuse_repeated(struct device *const *devices, int n, struct error *error)
{
    for (int i = 0; i < n; i++)
        for (int j = 0; j < i; j++)
            if (cuda_same(devices[i], devices[j]))
                return fail(error, EXIT_USAGE, "NCCL sums over GPUs with one worker on each: want no GPU twice, cuda:%d has workers %d and %d", devices[i]->ordinal, j, i);
    if (n > GPUS_MOST)
        return fail(error, EXIT_USAGE, "NCCL sums over GPUs: want at most %d, got %d", GPUS_MOST, n);
    return 0;
}

static int nccl_open(struct collective **collective, struct device *const *devices, int n, struct error *error)
{
    void *block;
    *collective = NULL;
    if (refuse_repeated(devices, n, error) || door_allocate(&block, sizeof **collective, "NCCL's communicators", error))
        return -1;
    struct collective *self = block;
    self->n = n;
    for (int i = 0; i < n; i++) {
        self->gpu[i] = devices[i]->ordinal;
        self->stream[i] = devices[i]->stream;
    }
    if (cuda_status_nccl(-1, ncclCommInitAll(self->comm, n, self->gpu), "connecting the GPUs", error)) {
        door_free(self);
        return -1;
    }
    pthread_mutex_init(&self->lock, NULL);
    *collective = self;
    return 0;
}

static int check(const struct collective *self, struct error *error)
{
    for (int i = 0; i < self->n; i++) {
        ncclResult_t behind = ncclSuccess, status = ncclCommGetAsyncError(self->comm[i], &behind);
        if (status == ncclSuccess && behind != ncclInProgress)
            status = behind;
        if (cuda_status_nccl(self->gpu[i], status, "summing over GPUs", error))
            return -1;
    }
    return 0;
}

/* The group is ended whatever happens in it. */
static int enqueue(const struct collective *self, float *const *vectors, size_t n, struct error *error)
{
    int result = cuda_status_nccl(-1, ncclGroupStart(), "summing over GPUs", error);
    if (result)
        return result;
    for (int i = 0; i < self->n && !result; i++)
        result = cuda_status_nccl(self->gpu[i], ncclAllReduce(vectors[i], vectors[i], n, ncclFloat, ncclSum, self->comm[i], self->stream[i]), "summing over GPUs", error);
    return cuda_status_nccl(-1, ncclGroupEnd(), "summing over GPUs", error) || result ? -1 : 0;
}

static int nccl_sum(struct collective *self, float *const *vectors, size_t n, struct error *error)
{
    int result;
    pthread_mutex_lock(&self->lock);
    if (self->aborted)
        result = fail(error, EXIT_DEVICE, "NCCL: sums over GPUs have been ended");
    else
        result = check(self, error) || enqueue(self, vectors, n, error) ? -1 : 0;
    pthread_mutex_unlock(&self->lock);
    return result;
}

/* In a group, because communicators of one process wait for each other when they go. */
static void leave(struct collective *self, ncclResult_t (*leave_one)(ncclComm_t comm))
{
    ncclGroupStart();
    for (int i = 0; i < self->n; i++)
        leave_one(self->comm[i]);
    ncclGroupEnd();
}

static void nccl_abort(struct collective *self)
{
    pthread_mutex_lock(&self->lock);
    if (!self->aborted)
        leave(self, ncclCommAbort);
    self->aborted = true;
    pthread_mutex_unlock(&self->lock);
}

static void nccl_close(struct collective *self)
{
    if (!self)
        return;
    if (!self->aborted)
        leave(self, ncclCommDestroy);
    pthread_mutex_destroy(&self->lock);
    door_free(self);
}

const struct collective_calls cuda_nccl = { .open = nccl_open, .sum = nccl_sum, .abort = nccl_abort, .close = nccl_close };
