/* races NAME: a small program that is right (`ordered`) or lacks one order, for ThreadSanitizer to find. tests/emulated/races/check runs them all. */
#include "tests/emulated/test_kernels.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { N = 1000, BYTES = N * sizeof(float) };

static struct { cudaStream_t a, b; cudaEvent_t event; float *x, *y, *pinned; } on;

/* What races is given time to be over: it must be found all the same. */
static void let_it_run(void) { usleep(50000); }

static void copy_up(void)
{
    for (int i = 0; i < N; i++)
        on.pinned[i] = 1;
    cudaMemcpyAsync(on.x, on.pinned, BYTES, cudaMemcpyHostToDevice, on.a);
}

static void ordered(void)
{
    copy_up();
    cudaEventRecord(on.event, on.a);
    cudaStreamWaitEvent(on.b, on.event, 0);
    emulated_test_scale(on.b, on.y, on.x, 2, N);
    emulated_test_unordered(on.b, on.x, 0);
    cudaStreamSynchronize(on.b);
    on.pinned[0] = 2;
}

static void no_wait(void)
{
    copy_up();
    let_it_run();
    emulated_test_scale(on.b, on.y, on.x, 2, N);
}

static void wait_before_record(void)
{
    cudaStreamWaitEvent(on.b, on.event, 0);
    copy_up();
    cudaEventRecord(on.event, on.a);
    let_it_run();
    emulated_test_scale(on.b, on.y, on.x, 2, N);
}

static void pinned_reused(void)
{
    copy_up();
    let_it_run();
    on.pinned[0] = 2;
}

static void pinned_read_too_early(void)
{
    cudaMemsetAsync(on.x, 0, BYTES, on.a);
    cudaMemcpyAsync(on.pinned, on.x, BYTES, cudaMemcpyDeviceToHost, on.a);
    let_it_run();
    printf("%g\n", (double)on.pinned[0]);
}

static void memset_on_stream_0(void)
{
    cudaMemset(on.x, 0, BYTES);
    let_it_run();
    emulated_test_scale(on.a, on.y, on.x, 2, N);
}

static void no_barrier(void)
{
    cudaMemsetAsync(on.x, 0, BYTES, on.a);
    emulated_test_unordered(on.a, on.x, 1);
}

static const struct race { const char *name; void (*run)(void); } races[] = {
#define RACE(name) { #name, name }
    RACE(ordered), RACE(no_wait), RACE(wait_before_record), RACE(pinned_reused), RACE(pinned_read_too_early), RACE(memset_on_stream_0), RACE(no_barrier),
};

int main(int argc, char **argv)
{
    const struct race *race = NULL;
    for (size_t i = 0; i < sizeof races / sizeof *races; i++) {
        if (argc < 2)
            puts(races[i].name);
        else if (strcmp(races[i].name, argv[1]) == 0)
            race = &races[i];
    }
    if (!race)
        return argc < 2 ? 0 : 2;
    cudaStreamCreateWithFlags(&on.a, cudaStreamNonBlocking);
    cudaStreamCreateWithFlags(&on.b, cudaStreamNonBlocking);
    cudaEventCreateWithFlags(&on.event, cudaEventDisableTiming);
    cudaMalloc((void **)&on.x, BYTES);
    cudaMalloc((void **)&on.y, BYTES);
    cudaHostAlloc((void **)&on.pinned, BYTES, cudaHostAllocDefault);
    race->run();
    cudaDeviceSynchronize();
    return cudaGetLastError() != cudaSuccess;
}
