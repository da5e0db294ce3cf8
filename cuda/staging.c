/* See staging.h.
 *
 * A copy is a fork of the device's stream and a join: one stream fills pinned pieces of the host's memory, another empties them, two pieces in turn, so that both links are busy.
 * Each copy begins behind everything in the device's stream, and with it behind the last use of the pieces; so they are waited for within a copy only, and a captured copy
 * waits for nothing from outside of its capture. */
#include "cuda/staging.h"

#include "base/door.h"
#include "base/sizes.h"

enum { PIECES = 2, PIECE_BYTES = 2 << 20 };

struct way {
    cudaStream_t stream;        /* on one GPU: the device's own, or another */
    cudaEvent_t through[PIECES]; /* on the same GPU: the piece has been filled, or emptied */
    cudaEvent_t whole;
};

struct staging {
    void *piece[PIECES];
    int own, gpus;
    struct way ways[]; /* [gpus]; made on first use */
};

static cudaError_t open_way(struct device *device, struct way *way, int gpu)
{
    cudaError_t status = cudaSetDevice(gpu);
    if (status == cudaSuccess && gpu != device->ordinal)
        status = cudaStreamCreateWithPriority(&way->stream, cudaStreamNonBlocking, device->priority);
    for (int i = 0; i < PIECES && status == cudaSuccess; i++)
        status = cudaEventCreateWithFlags(&way->through[i], cudaEventDisableTiming);
    if (status == cudaSuccess)
        status = cudaEventCreateWithFlags(&way->whole, cudaEventDisableTiming);
    if (status == cudaSuccess && gpu == device->ordinal)
        way->stream = device->stream;
    cuda_use(device);
    return status;
}

/* NULL after a failure. */
static struct way *find_way(struct device *device, int gpu)
{
    struct way *way = &device->staging->ways[gpu];
    if (!way->whole)
        cuda_fail(device, open_way(device, way, gpu), "opening a way to another GPU");
    return way->whole ? way : NULL;
}

static int open_staging(struct device *device, struct error *error)
{
    void *block;
    if (door_allocate(&block, sizeof *device->staging + (size_t)device->gpus * sizeof(struct way), "staged copies", error))
        return -1;
    device->staging = block;
    device->staging->own = device->ordinal;
    device->staging->gpus = device->gpus;
    for (int i = 0; i < PIECES; i++)
        if (cuda_allocate_host(&device->staging->piece[i], PIECE_BYTES, "staged copies", error))
            return -1;
    return 0;
}

/* `behind` does nothing more before what `stream` has been given is done. */
static cudaError_t put_behind(cudaStream_t behind, cudaStream_t stream, cudaEvent_t event)
{
    cudaError_t status;
    if (behind == stream)
        return cudaSuccess;
    if ((status = cudaEventRecord(event, stream)))
        return status;
    return cudaStreamWaitEvent(behind, event, cudaEventWaitDefault);
}

/* One end is the host's, or both are of one GPU. */
static cudaError_t copy_there(const struct way *own, const struct way *way, void *to, const void *from, size_t bytes)
{
    cudaError_t status;
    if ((status = put_behind(way->stream, own->stream, own->whole)) || (status = cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, way->stream)))
        return status;
    return put_behind(own->stream, way->stream, way->whole);
}

static cudaError_t pass_piece(const struct way *reader, const struct way *writer, void *piece, int i, void *to, const void *from, size_t bytes)
{
    cudaError_t status;
    if ((status = cudaMemcpyAsync(piece, from, bytes, cudaMemcpyDefault, reader->stream)) ||
        (status = put_behind(writer->stream, reader->stream, reader->through[i])) ||
        (status = cudaMemcpyAsync(to, piece, bytes, cudaMemcpyDefault, writer->stream)))
        return status;
    return cudaEventRecord(writer->through[i], writer->stream);
}

static cudaError_t copy_through(const struct staging *staging, const struct way *reader, const struct way *writer, char *to, const char *from, size_t bytes)
{
    const struct way *own = &staging->ways[staging->own];
    cudaError_t status;
    if ((status = put_behind(reader->stream, own->stream, own->whole)))
        return status;
    int i = 0;
    for (size_t at = 0; at < bytes; at += PIECE_BYTES, i = (i + 1) % PIECES) {
        if (at >= (size_t)PIECES * PIECE_BYTES && (status = cudaStreamWaitEvent(reader->stream, writer->through[i], cudaEventWaitDefault)))
            return status;
        if ((status = pass_piece(reader, writer, staging->piece[i], i, to + at, from + at, size_min(PIECE_BYTES, bytes - at))))
            return status;
    }
    return put_behind(own->stream, writer->stream, writer->whole);
}

void staging_copy(struct device *device, void *to, const void *from, size_t bytes, struct staging_ends ends)
{
    struct error error = { 0 };
    if (!device->staging && open_staging(device, &error)) {
        staging_close(device->staging);
        device->staging = NULL;
        cuda_fail_error(device, &error);
        return;
    }
    int one = ends.to < 0 ? ends.from : ends.to;
    const struct way *own = find_way(device, device->ordinal), *writer = find_way(device, one), *reader = find_way(device, ends.from < 0 ? one : ends.from);
    if (!own || !writer || !reader)
        return;
    cudaError_t status = reader == writer ? copy_there(own, writer, to, from, bytes) : copy_through(device->staging, reader, writer, to, from, bytes);
    cuda_fail(device, status, "copying through the host's memory");
}

static void close_way(struct way *way, bool own)
{
    for (int i = 0; i < PIECES; i++)
        if (way->through[i])
            cudaEventDestroy(way->through[i]);
    if (way->whole)
        cudaEventDestroy(way->whole);
    if (way->stream && !own)
        cudaStreamDestroy(way->stream);
}

void staging_close(struct staging *staging)
{
    if (!staging)
        return;
    for (int gpu = 0; gpu < staging->gpus; gpu++)
        close_way(&staging->ways[gpu], gpu == staging->own);
    for (int i = 0; i < PIECES; i++)
        cuda_release_host(staging->piece[i]);
    door_free(staging);
}
