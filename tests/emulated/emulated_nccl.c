/* The emulated NCCL: communicators over the emulated GPUs of this process, and sums, gathers and broadcasts of fp32 between their streams.
 *
 * Each rank's part of a collective is work in that rank's stream: it says that it is there and leaves when all have been there. The last one moves the data for
 * everybody, adding as a ring does: each rank's share of the vector begins with another rank. A part that can never be met waits, as in NCCL, until the
 * communicator is aborted. For parts that disagree, that is also what happens, with an asynchronous error.
 * emulated_fail() can make any function fail, and "nccl part" makes one rank stay away.
 * What a communicator shares outlives it, for work that is still enqueued; it is never freed, and found by the list. */
#include "tests/emulated/emulated.h"

#include <nccl.h>

#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RANKS = 16, GROUP = 256 };

enum collective { ALL_REDUCE, REDUCE_SCATTER, ALL_GATHER, BROADCAST };

/* One rank's part. */
struct part {
    struct clique *clique;
    int rank, root;
    enum collective collective;
    const float *from;
    float *to;
    size_t n; /* of the call: what AllReduce and Broadcast move, what a rank receives of ReduceScatter and sends to AllGather */
};

struct clique {
    struct clique *next;
    int n, device[RANKS];
    pthread_mutex_t lock;
    pthread_cond_t changed; /* aborted, or everybody was there */
    bool closed[RANKS], here[RANKS], aborted;
    int running[RANKS];     /* parts that have begun and not ended */
    struct part parts[RANKS];
    uint64_t meetings;
    ncclResult_t failure;   /* asynchronous */
    char last_error[256];
};

struct ncclComm { struct clique *clique; int rank; bool finalized; };

static struct clique *cliques;
static pthread_mutex_t cliques_lock = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local char last_error[256];
static _Thread_local struct { int depth, n; struct { struct part part; cudaStream_t stream; } calls[GROUP]; } group;

static ncclResult_t refuse(ncclResult_t result, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(last_error, sizeof last_error, format, arguments);
    va_end(arguments);
    fprintf(stderr, "emulated NCCL: %s: %s\n", ncclGetErrorString(result), last_error);
    return result;
}

static ncclResult_t fault(const char *function)
{
    int code = emulated_fault(function, ncclSystemError);
    return code ? refuse((ncclResult_t)code, "%s: as asked for", function) : ncclSuccess;
}

const char *ncclGetErrorString(ncclResult_t result)
{
    switch ((int)result) {
    case ncclSuccess: return "no error";
    case ncclUnhandledCudaError: return "unhandled cuda error";
    case ncclSystemError: return "unhandled system error";
    case ncclInternalError: return "internal error";
    case ncclInvalidArgument: return "invalid argument";
    case ncclInvalidUsage: return "invalid usage";
    case ncclRemoteError: return "remote process exited or there was a network error";
    case ncclInProgress: return "NCCL operation in progress";
    default: return "unknown result code";
    }
}

const char *ncclGetLastError(ncclComm_t comm)
{
    return comm && comm->clique->last_error[0] ? comm->clique->last_error : last_error;
}

ncclResult_t ncclGetVersion(int *version)
{
    *version = NCCL_VERSION_CODE;
    return ncclSuccess;
}

/* ---- communicators ---- */

static ncclResult_t check_devices(int n, const int *devices)
{
    int there = 0;
    if (cudaGetDeviceCount(&there) != cudaSuccess || n < 1 || n > RANKS)
        return refuse(ncclInvalidArgument, "ncclCommInitAll: %d devices of %d", n, there);
    for (int i = 0; i < n; i++)
        for (int j = 0; j <= i; j++) {
            if ((devices ? devices[i] : i) < 0 || (devices ? devices[i] : i) >= there)
                return refuse(ncclUnhandledCudaError, "ncclCommInitAll: there is no device %d", devices ? devices[i] : i);
            if (devices && j < i && devices[i] == devices[j])
                return refuse(ncclInvalidUsage, "ncclCommInitAll: ranks %d and %d both on device %d", j, i, devices[i]);
        }
    return ncclSuccess;
}

ncclResult_t ncclCommInitAll(ncclComm_t *comms, int n, const int *devices)
{
    ncclResult_t result = fault("ncclCommInitAll");
    if (result || (result = check_devices(n, devices)))
        return result;
    struct clique *clique = calloc(1, sizeof *clique);
    if (!clique)
        return ncclSystemError;
    clique->n = n;
    pthread_mutex_init(&clique->lock, NULL);
    pthread_cond_init(&clique->changed, NULL);
    for (int rank = 0; rank < n; rank++) {
        clique->device[rank] = devices ? devices[rank] : rank;
        comms[rank] = malloc(sizeof *comms[rank]);
        if (!comms[rank])
            abort();
        *comms[rank] = (struct ncclComm){ clique, rank, false };
    }
    pthread_mutex_lock(&cliques_lock);
    clique->next = cliques;
    cliques = clique;
    pthread_mutex_unlock(&cliques_lock);
    return ncclSuccess;
}

ncclResult_t ncclCommFinalize(ncclComm_t comm)
{
    if (!comm || comm->finalized)
        return refuse(ncclInvalidArgument, "ncclCommFinalize: no communicator, or finalized before");
    comm->finalized = true;
    return ncclSuccess;
}

/* Waits for the parts that have begun. */
static ncclResult_t leave(ncclComm_t comm, bool abort_all)
{
    struct clique *clique = comm->clique;
    pthread_mutex_lock(&clique->lock);
    clique->aborted |= abort_all;
    pthread_cond_broadcast(&clique->changed);
    while (clique->running[comm->rank] > 0)
        pthread_cond_wait(&clique->changed, &clique->lock);
    clique->closed[comm->rank] = true;
    pthread_mutex_unlock(&clique->lock);
    free(comm);
    return ncclSuccess;
}

ncclResult_t ncclCommDestroy(ncclComm_t comm) { return comm ? leave(comm, false) : ncclSuccess; }

ncclResult_t ncclCommAbort(ncclComm_t comm) { return comm ? leave(comm, true) : ncclSuccess; }

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t *error)
{
    if (!comm || !error)
        return refuse(ncclInvalidArgument, "ncclCommGetAsyncError: no communicator");
    int code = emulated_fault("ncclCommGetAsyncError", ncclRemoteError);
    pthread_mutex_lock(&comm->clique->lock);
    *error = code ? (ncclResult_t)code : comm->clique->failure;
    pthread_mutex_unlock(&comm->clique->lock);
    return ncclSuccess;
}

ncclResult_t ncclCommCount(const ncclComm_t comm, int *n)
{
    *n = comm->clique->n;
    return ncclSuccess;
}

ncclResult_t ncclCommCuDevice(const ncclComm_t comm, int *device)
{
    *device = comm->clique->device[comm->rank];
    return ncclSuccess;
}

ncclResult_t ncclCommUserRank(const ncclComm_t comm, int *rank)
{
    *rank = comm->rank;
    return ncclSuccess;
}

/* ---- collectives, on the streams ---- */

/* The sum of element i of all ranks, beginning with rank `first`. */
static float sum_at(const struct clique *clique, size_t i, int first)
{
    float sum = clique->parts[first].from[i];
    for (int k = 1; k < clique->n; k++)
        sum += clique->parts[(first + k) % clique->n].from[i];
    return sum;
}

static void reduce(const struct clique *clique, size_t n)
{
    float *sums = malloc((n ? n : 1) * sizeof *sums);
    const size_t share = (n + (size_t)clique->n - 1) / (size_t)clique->n;
    if (!sums)
        abort();
    for (size_t i = 0; i < n; i++)
        sums[i] = sum_at(clique, i, (int)(i / share));
    for (int rank = 0; rank < clique->n; rank++) {
        const struct part *part = &clique->parts[rank];
        if (part->collective == ALL_REDUCE)
            memcpy(part->to, sums, n * sizeof *sums);
        else
            memcpy(part->to, sums + (size_t)rank * part->n, part->n * sizeof *sums);
    }
    free(sums);
}

static void gather(const struct clique *clique, size_t n)
{
    for (int to = 0; to < clique->n; to++)
        for (int from = 0; from < clique->n; from++)
            memmove(clique->parts[to].to + (size_t)from * n, clique->parts[from].from, n * sizeof(float));
}

static void spread(const struct clique *clique, size_t n)
{
    const float *from = clique->parts[clique->parts[0].root].from;
    for (int to = 0; to < clique->n; to++)
        memmove(clique->parts[to].to, from, n * sizeof(float));
}

static bool agree(struct clique *clique)
{
    const struct part *first = &clique->parts[0];
    for (int rank = 1; rank < clique->n; rank++) {
        const struct part *other = &clique->parts[rank];
        if (other->collective == first->collective && other->n == first->n && other->root == first->root)
            continue;
        snprintf(clique->last_error, sizeof clique->last_error, "ranks 0 and %d do not do the same: %zu and %zu elements", rank, first->n, other->n);
        fprintf(stderr, "emulated NCCL: %s\n", clique->last_error);
        clique->failure = ncclInvalidUsage;
        return false;
    }
    return true;
}

static void move(struct clique *clique)
{
    const struct part *first = &clique->parts[0];
    switch (first->collective) {
    case ALL_REDUCE: reduce(clique, first->n); break;
    case REDUCE_SCATTER: reduce(clique, first->n * (size_t)clique->n); break;
    case ALL_GATHER: gather(clique, first->n); break;
    case BROADCAST: spread(clique, first->n); break;
    }
}

/* With the lock held: the part is there; true when all are and agree. */
static bool complete(struct clique *clique, const struct part *part)
{
    clique->here[part->rank] = true;
    clique->parts[part->rank] = *part;
    for (int rank = 0; rank < clique->n; rank++)
        if (!clique->here[rank])
            return false;
    return agree(clique);
}

static void take_part(void *context)
{
    const struct part *part = context;
    struct clique *clique = part->clique;
    const bool away = emulated_fault("nccl part", 1) != 0;
    pthread_mutex_lock(&clique->lock);
    if (clique->closed[part->rank] && !clique->aborted)
        emulated_break(cudaErrorIllegalAddress, "NCCL: rank %d takes part after its communicator was destroyed", part->rank);
    clique->running[part->rank]++;
    const uint64_t meeting = clique->meetings;
    if (!clique->aborted && !away && complete(clique, part)) {
        move(clique);
        memset(clique->here, 0, sizeof clique->here);
        clique->meetings++;
        pthread_cond_broadcast(&clique->changed);
    }
    while (!clique->aborted && clique->meetings == meeting)
        pthread_cond_wait(&clique->changed, &clique->lock);
    clique->running[part->rank]--;
    pthread_cond_broadcast(&clique->changed);
    pthread_mutex_unlock(&clique->lock);
}

/* ---- groups ---- */

/* One thread that calls for all ranks must do so in one group, or the first call would wait for the others. */
static ncclResult_t check_group(void)
{
    for (int i = 0; i < group.n; i++) {
        const struct clique *clique = group.calls[i].part.clique;
        int calls[RANKS] = { 0 };
        for (int j = 0; j < group.n; j++)
            if (group.calls[j].part.clique == clique)
                calls[group.calls[j].part.rank]++;
        for (int rank = 1; rank < clique->n; rank++)
            if (calls[rank] != calls[0])
                return refuse(ncclInvalidUsage, "a group with %d calls for rank 0 and %d for rank %d", calls[0], calls[rank], rank);
    }
    return ncclSuccess;
}

ncclResult_t ncclGroupStart(void); /* nccl.h has them without arguments */
ncclResult_t ncclGroupEnd(void);

ncclResult_t ncclGroupStart(void)
{
    ncclResult_t result = fault("ncclGroupStart");
    if (!result)
        group.depth++;
    return result;
}

ncclResult_t ncclGroupEnd(void)
{
    if (!group.depth)
        return refuse(ncclInvalidUsage, "ncclGroupEnd without ncclGroupStart");
    if (--group.depth)
        return ncclSuccess;
    ncclResult_t result = fault("ncclGroupEnd");
    if (!result)
        result = check_group();
    for (int i = 0; !result && i < group.n; i++)
        if (emulated_enqueue(group.calls[i].stream, take_part, &group.calls[i].part, sizeof group.calls[i].part))
            result = refuse(ncclUnhandledCudaError, "ncclGroupEnd: the stream takes no work");
    group.n = 0;
    return result;
}

static ncclResult_t call(const char *function, ncclComm_t comm, struct part part, size_t from_n, size_t to_n, ncclDataType_t type, cudaStream_t stream)
{
    int device = -1;
    ncclResult_t result = fault(function);
    if (result)
        return result;
    if (!comm || comm->finalized)
        return refuse(ncclInvalidArgument, "%s: no communicator, or a finalized one", function);
    part.clique = comm->clique;
    part.rank = comm->rank;
    if (type != ncclFloat32)
        return refuse(ncclInvalidArgument, "%s: only fp32 is emulated", function);
    if (cudaStreamGetDevice(stream, &device) != cudaSuccess || device != part.clique->device[part.rank])
        return refuse(ncclInvalidUsage, "%s: a stream of device %d for rank %d on device %d", function, device, part.rank, part.clique->device[part.rank]);
    if ((from_n && (!part.from || !emulated_reaches(stream, part.from, from_n * sizeof(float)))) ||
        (to_n && (!part.to || !emulated_reaches(stream, part.to, to_n * sizeof(float)))))
        return refuse(ncclInvalidArgument, "%s: %zu elements at %p and %zu at %p are not the device's", function, from_n, (const void *)part.from, to_n, (void *)part.to);
    if (!group.depth && part.clique->n > 1)
        return refuse(ncclInvalidUsage, "%s: outside of a group", function);
    if (group.n == GROUP)
        return refuse(ncclInternalError, "%s: more than %d calls in a group are not emulated", function, GROUP);
    group.calls[group.n].part = part;
    group.calls[group.n++].stream = stream;
    if (group.depth)
        return ncclSuccess;
    group.depth = 1;
    return ncclGroupEnd();
}

ncclResult_t ncclAllReduce(const void *from, void *to, size_t n, ncclDataType_t type, ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream)
{
    if (op != ncclSum)
        return refuse(ncclInvalidArgument, "ncclAllReduce: only sums are emulated");
    return call("ncclAllReduce", comm, (struct part){ .collective = ALL_REDUCE, .from = from, .to = to, .n = n }, n, n, type, stream);
}

ncclResult_t ncclReduceScatter(const void *from, void *to, size_t n, ncclDataType_t type, ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream)
{
    if (op != ncclSum || !comm)
        return refuse(ncclInvalidArgument, "ncclReduceScatter: only sums are emulated");
    return call("ncclReduceScatter", comm, (struct part){ .collective = REDUCE_SCATTER, .from = from, .to = to, .n = n }, n * (size_t)comm->clique->n, n, type, stream);
}

ncclResult_t ncclAllGather(const void *from, void *to, size_t n, ncclDataType_t type, ncclComm_t comm, cudaStream_t stream)
{
    if (!comm)
        return refuse(ncclInvalidArgument, "ncclAllGather: no communicator");
    return call("ncclAllGather", comm, (struct part){ .collective = ALL_GATHER, .from = from, .to = to, .n = n }, n, n * (size_t)comm->clique->n, type, stream);
}

ncclResult_t ncclBroadcast(const void *from, void *to, size_t n, ncclDataType_t type, int root, ncclComm_t comm, cudaStream_t stream)
{
    if (!comm || root < 0 || root >= comm->clique->n)
        return refuse(ncclInvalidArgument, "ncclBroadcast: root %d", root);
    const size_t from_n = comm->rank == root ? n : 0;
    return call("ncclBroadcast", comm, (struct part){ .root = root, .collective = BROADCAST, .from = from, .to = to, .n = n }, from_n, n, type, stream);
}
