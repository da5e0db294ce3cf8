/* See fastest.h. */
#include "cuda/fastest.h"

#include "base/error.h"
#include "cuda/device.h"
#include "cuda/status.h"

#include <float.h>

enum { CANDIDATES = 16, ROUNDS = 3, RUNS = 5 };

struct watch {
    struct device *device;
    cudaEvent_t begin, end;
    struct error refused; /* the first run that failed */
};

/* Milliseconds of one run, from several without a pause; DBL_MAX when it fails. */
static int time_runs(double *milliseconds, struct watch *watch, int runs, int (*run)(void *context, int i, struct error *error), void *context, int i, struct error *error)
{
    float taken = 0;
    *milliseconds = DBL_MAX;
    if (cuda_status(watch->device->ordinal, cudaEventRecord(watch->begin, watch->device->stream), "measuring", error))
        return -1;
    for (int k = 0; k < runs; k++)
        if (run(context, i, &watch->refused)) {
            cudaGetLastError(); /* a launch that was refused; a device that has failed says so again below */
            return cuda_status(watch->device->ordinal, cudaStreamSynchronize(watch->device->stream), "measuring", error);
        }
    if (cuda_status(watch->device->ordinal, cudaEventRecord(watch->end, watch->device->stream), "measuring", error) ||
        cuda_status(watch->device->ordinal, cudaEventSynchronize(watch->end), "measuring", error) ||
        cuda_status(watch->device->ordinal, cudaEventElapsedTime(&taken, watch->begin, watch->end), "measuring", error))
        return -1;
    *milliseconds = (double)taken / runs;
    return 0;
}

static int measure(struct watch *watch, int n, int (*run)(void *context, int i, struct error *error), void *context, int *fastest, struct error *error)
{
    double shortest[CANDIDATES], taken;
    for (int i = 0; i < n; i++) /* the first run loads the kernel */
        if (time_runs(&shortest[i], watch, 1, run, context, i, error))
            return -1;
    for (int i = 0; i < n; i++)
        shortest[i] = shortest[i] < DBL_MAX ? DBL_MAX / 2 : DBL_MAX;
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < n; i++) {
            if (shortest[i] == DBL_MAX)
                continue;
            if (time_runs(&taken, watch, RUNS, run, context, i, error))
                return -1;
            shortest[i] = taken < shortest[i] || taken == DBL_MAX ? taken : shortest[i];
        }
    *fastest = -1;
    for (int i = 0; i < n; i++)
        if (shortest[i] < (*fastest < 0 ? DBL_MAX : shortest[*fastest]))
            *fastest = i;
    return *fastest < 0 ? fail(error, watch->refused.code, "%s", watch->refused.text) : 0;
}

int cuda_fastest(struct device *device, int n, int (*run)(void *context, int i, struct error *error), void *context, int *fastest, struct error *error)
{
    struct watch watch = { .device = device };
    ASSERT(n <= CANDIDATES && !device->capturing);
    *fastest = -1;
    if (cuda_status(device->ordinal, cudaEventCreate(&watch.begin), "making an event", error))
        return -1;
    int result = cuda_status(device->ordinal, cudaEventCreate(&watch.end), "making an event", error);
    if (result == 0) {
        result = measure(&watch, n, run, context, fastest, error);
        cudaEventDestroy(watch.end);
    }
    cudaEventDestroy(watch.begin);
    return result;
}
