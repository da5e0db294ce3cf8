/* The emulated CUDA runtime (tests/emulated/) against what the real one promises: what is asynchronous, what orders streams, what a capture refuses, and that what is
 * wrong shows. Streams are held up by a host function that waits for the test, so nothing here depends on timing. */
#include "tests/tests.h"

#ifdef EMULATED_CUDA

#include "tests/emulated/emulated.h"
#include "tests/emulated/test_kernels.h"

#include <math.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>

#define ok(call) assert_string_equal(cudaGetErrorName(call), "cudaSuccess")
#define fails(call, error) assert_string_equal(cudaGetErrorName(call), #error)

enum { N = 1000, BYTES = N * sizeof(float) };

/* Two streams of GPU 0, memory of it, pinned memory, an event. */
struct bench { cudaStream_t a, b; float *x, *y, *pinned; cudaEvent_t event; sem_t gate; struct emulated_live before; };

static int bench_open(void **state)
{
    static struct bench bench;
    bench.before = emulated_live();
    ok(cudaSetDevice(0));
    ok(cudaStreamCreateWithFlags(&bench.a, cudaStreamNonBlocking));
    ok(cudaStreamCreateWithFlags(&bench.b, cudaStreamNonBlocking));
    ok(cudaMalloc((void **)&bench.x, BYTES));
    ok(cudaMalloc((void **)&bench.y, BYTES));
    ok(cudaHostAlloc((void **)&bench.pinned, BYTES, cudaHostAllocDefault));
    ok(cudaEventCreateWithFlags(&bench.event, cudaEventDisableTiming));
    sem_init(&bench.gate, 0, 0);
    *state = &bench;
    return 0;
}

static int bench_close(void **state)
{
    struct bench *bench = *state;
    emulated_mend();
    emulated_peers(EMULATED_PEERS);
    ok(cudaSetDevice(0));
    ok(cudaFree(bench->x));
    ok(cudaFree(bench->y));
    ok(cudaFreeHost(bench->pinned));
    ok(cudaEventDestroy(bench->event));
    ok(cudaStreamDestroy(bench->a));
    ok(cudaStreamDestroy(bench->b));
    sem_destroy(&bench->gate);
    struct emulated_live after = emulated_live();
    assert_memory_equal(&after, &bench->before, sizeof after);
    return 0;
}

static void wait_for_gate(void *gate) { sem_wait(gate); }
static void hold(struct bench *bench, cudaStream_t stream) { ok(cudaLaunchHostFunc(stream, wait_for_gate, &bench->gate)); }
static void let_go(struct bench *bench) { sem_post(&bench->gate); }

static void fill(float *values, float value)
{
    for (int i = 0; i < N; i++)
        values[i] = value;
}

/* Waits: stream 0 is not ordered with the bench's. */
static void zero(float *device)
{
    ok(cudaMemset(device, 0, BYTES));
    ok(cudaDeviceSynchronize());
}

/* What the host reads of device memory, after everything. */
static float last_of(const float *device)
{
    float value;
    ok(cudaDeviceSynchronize());
    ok(cudaMemcpy(&value, device + N - 1, sizeof value, cudaMemcpyDeviceToHost));
    return value;
}

static void new_memory_holds_nans(void **state)
{
    struct bench *bench = *state;
    assert_true(isnan(last_of(bench->x)));
    assert_true(isnan(bench->pinned[0]));
}

static void pinned_memory_is_read_when_the_copy_runs(void **state)
{
    struct bench *bench = *state;
    hold(bench, bench->a);
    fill(bench->pinned, 1);
    ok(cudaMemcpyAsync(bench->x, bench->pinned, BYTES, cudaMemcpyHostToDevice, bench->a));
    fails(cudaStreamQuery(bench->a), cudaErrorNotReady);
    fill(bench->pinned, 2);
    let_go(bench);
    assert_float_equal(last_of(bench->x), 2, 0);
}

static void pageable_memory_is_read_before_the_call_returns(void **state)
{
    struct bench *bench = *state;
    float values[N];
    hold(bench, bench->a);
    fill(values, 1);
    ok(cudaMemcpyAsync(bench->x, values, BYTES, cudaMemcpyHostToDevice, bench->a));
    fill(values, 2);
    let_go(bench);
    assert_float_equal(last_of(bench->x), 1, 0);
    fill(values, 3);
    ok(cudaMemcpyAsync(values, bench->x, BYTES, cudaMemcpyDeviceToHost, bench->a));
    assert_float_equal(values[N - 1], 1, 0);
}

static void an_event_orders_streams(void **state)
{
    struct bench *bench = *state;
    hold(bench, bench->a);
    ok(cudaMemsetAsync(bench->x, 0, BYTES, bench->a));
    ok(cudaEventRecord(bench->event, bench->a));
    fails(cudaEventQuery(bench->event), cudaErrorNotReady);
    ok(cudaStreamWaitEvent(bench->b, bench->event, 0));
    ok(emulated_test_scale(bench->b, bench->y, bench->x, 3, N));
    fails(cudaStreamQuery(bench->b), cudaErrorNotReady);
    let_go(bench);
    ok(cudaStreamSynchronize(bench->b));
    ok(cudaEventQuery(bench->event));
    assert_float_equal(last_of(bench->y), 1, 0);
}

static void without_an_event_nothing_orders_them(void **state)
{
    struct bench *bench = *state;
    hold(bench, bench->a);
    ok(cudaMemsetAsync(bench->x, 0, BYTES, bench->a));
    ok(emulated_test_scale(bench->b, bench->y, bench->y, 3, N));
    ok(cudaStreamSynchronize(bench->b));
    fails(cudaStreamQuery(bench->a), cudaErrorNotReady);
    let_go(bench);
    ok(cudaStreamSynchronize(bench->a));
}

static void a_wait_takes_the_newest_record_of_its_time(void **state)
{
    struct bench *bench = *state;
    ok(cudaStreamWaitEvent(bench->b, bench->event, 0)); /* never recorded */
    ok(cudaEventQuery(bench->event));
    ok(cudaStreamSynchronize(bench->b));
    ok(cudaEventRecord(bench->event, bench->a));
    ok(cudaStreamWaitEvent(bench->b, bench->event, 0));
    hold(bench, bench->a);
    ok(cudaEventRecord(bench->event, bench->a));
    ok(cudaStreamSynchronize(bench->b)); /* not this one */
    ok(cudaStreamWaitEvent(bench->b, bench->event, 0));
    fails(cudaStreamQuery(bench->b), cudaErrorNotReady);
    let_go(bench);
    ok(cudaStreamSynchronize(bench->b));
}

static void order_holds_under_delays(void **state)
{
    struct bench *bench = *state;
    cudaEvent_t back;
    ok(cudaEventCreateWithFlags(&back, cudaEventDisableTiming));
    emulated_delay(200);
    ok(cudaMemsetAsync(bench->x, 0, BYTES, bench->a));
    for (int i = 0; i < 50; i++) {
        ok(emulated_test_scale(bench->a, bench->y, bench->x, 1, N));
        ok(cudaEventRecord(bench->event, bench->a));
        ok(cudaStreamWaitEvent(bench->b, bench->event, 0));
        ok(emulated_test_scale(bench->b, bench->x, bench->y, 1, N));
        ok(cudaEventRecord(back, bench->b));
        ok(cudaStreamWaitEvent(bench->a, back, 0));
    }
    emulated_delay(0);
    assert_float_equal(last_of(bench->x), 100, 0);
    ok(cudaEventDestroy(back));
}

static void stream_0_is_ordered_with_blocking_streams(void **state)
{
    struct bench *bench = *state;
    cudaStream_t blocking;
    ok(cudaStreamCreate(&blocking));
    hold(bench, blocking);
    ok(cudaMemset(bench->x, 0, BYTES));
    fails(cudaStreamQuery(0), cudaErrorNotReady);
    let_go(bench);
    ok(emulated_test_scale(blocking, bench->x, bench->x, 1, N));
    assert_float_equal(last_of(bench->x), 1, 0);
    ok(cudaStreamDestroy(blocking));
}

/* ---- captures ---- */

static void enqueue_chain(struct bench *bench)
{
    ok(emulated_test_scale(bench->a, bench->x, bench->x, 2, N));
    ok(emulated_test_scale(bench->a, bench->y, bench->x, 3, N));
    ok(cudaMemcpyAsync(bench->x, bench->y, BYTES, cudaMemcpyDeviceToDevice, bench->a));
}

static void a_graph_does_what_was_captured(void **state)
{
    struct bench *bench = *state;
    cudaGraph_t graph;
    cudaGraphExec_t executable;
    size_t nodes;
    zero(bench->x);
    for (int i = 0; i < 3; i++)
        enqueue_chain(bench);
    float plain = last_of(bench->x);
    zero(bench->x);

    ok(cudaStreamBeginCapture(bench->a, cudaStreamCaptureModeThreadLocal));
    enqueue_chain(bench);
    ok(cudaStreamEndCapture(bench->a, &graph));
    ok(cudaGraphGetNodes(graph, NULL, &nodes));
    assert_int_equal(nodes, 3);
    assert_float_equal(last_of(bench->x), 0, 0); /* nothing has run */
    ok(cudaGraphInstantiate(&executable, graph, 0));
    ok(cudaGraphDestroy(graph));
    for (int i = 0; i < 3; i++)
        ok(cudaGraphLaunch(executable, bench->a));
    assert_float_equal(last_of(bench->x), plain, 0);
    ok(cudaGraphExecDestroy(executable));
}

static void a_capture_forks_and_joins(void **state)
{
    struct bench *bench = *state;
    cudaGraph_t graph;
    cudaGraphExec_t executable;
    zero(bench->x);
    ok(cudaStreamBeginCapture(bench->a, cudaStreamCaptureModeThreadLocal));
    hold(bench, bench->a);
    ok(emulated_test_scale(bench->a, bench->x, bench->x, 1, N));
    ok(cudaEventRecord(bench->event, bench->a));
    ok(cudaStreamWaitEvent(bench->b, bench->event, 0));
    ok(emulated_test_scale(bench->b, bench->y, bench->x, 10, N));
    ok(cudaEventRecord(bench->event, bench->b));
    ok(cudaStreamWaitEvent(bench->a, bench->event, 0));
    ok(emulated_test_scale(bench->a, bench->x, bench->y, 1, N));
    ok(cudaStreamEndCapture(bench->a, &graph));
    ok(cudaGraphInstantiate(&executable, graph, 0));
    ok(cudaGraphLaunch(executable, bench->a));
    fails(cudaStreamQuery(bench->a), cudaErrorNotReady);
    let_go(bench);
    assert_float_equal(last_of(bench->x), 12, 0);
    ok(cudaGraphExecDestroy(executable));
    ok(cudaGraphDestroy(graph));

    ok(cudaStreamBeginCapture(bench->a, cudaStreamCaptureModeThreadLocal));
    ok(cudaEventRecord(bench->event, bench->a));
    ok(cudaStreamWaitEvent(bench->b, bench->event, 0));
    ok(emulated_test_scale(bench->b, bench->y, bench->x, 10, N));
    fails(cudaStreamEndCapture(bench->a, &graph), cudaErrorStreamCaptureUnjoined);
    assert_null(graph);
}

static void an_external_record_is_made_by_each_launch(void **state)
{
    struct bench *bench = *state;
    cudaGraph_t graph;
    cudaGraphExec_t executable;
    ok(cudaStreamBeginCapture(bench->a, cudaStreamCaptureModeThreadLocal));
    hold(bench, bench->a);
    ok(cudaEventRecordWithFlags(bench->event, bench->a, cudaEventRecordExternal));
    ok(cudaStreamEndCapture(bench->a, &graph));
    ok(cudaGraphInstantiate(&executable, graph, 0));
    ok(cudaEventQuery(bench->event)); /* still never recorded */
    for (int i = 0; i < 2; i++) {
        ok(cudaGraphLaunch(executable, bench->a));
        fails(cudaEventQuery(bench->event), cudaErrorNotReady);
        ok(cudaStreamWaitEvent(bench->b, bench->event, 0));
        fails(cudaStreamQuery(bench->b), cudaErrorNotReady);
        let_go(bench);
        ok(cudaStreamSynchronize(bench->b));
        ok(cudaEventQuery(bench->event));
    }
    ok(cudaGraphExecDestroy(executable));
    ok(cudaGraphDestroy(graph));
}

static void an_external_wait_takes_the_newest_record_at_launch(void **state)
{
    struct bench *bench = *state;
    cudaGraph_t graph;
    cudaGraphExec_t executable;
    ok(cudaStreamBeginCapture(bench->a, cudaStreamCaptureModeThreadLocal));
    ok(cudaStreamWaitEvent(bench->a, bench->event, cudaEventWaitExternal));
    ok(cudaStreamEndCapture(bench->a, &graph));
    ok(cudaGraphInstantiate(&executable, graph, 0));
    ok(cudaGraphLaunch(executable, bench->a));
    ok(cudaStreamSynchronize(bench->a));
    hold(bench, bench->b);
    ok(cudaEventRecord(bench->event, bench->b));
    ok(cudaGraphLaunch(executable, bench->a));
    fails(cudaStreamQuery(bench->a), cudaErrorNotReady);
    let_go(bench);
    ok(cudaStreamSynchronize(bench->a));
    ok(cudaGraphExecDestroy(executable));
    ok(cudaGraphDestroy(graph));
}

static void begin(struct bench *bench, enum cudaStreamCaptureMode mode) { ok(cudaStreamBeginCapture(bench->a, mode)); }

static void is_lost(struct bench *bench)
{
    cudaGraph_t graph;
    enum cudaStreamCaptureStatus status;
    ok(cudaStreamIsCapturing(bench->a, &status));
    assert_int_equal(status, cudaStreamCaptureStatusInvalidated);
    fails(emulated_test_scale(bench->a, bench->x, bench->x, 2, N), cudaErrorStreamCaptureInvalidated);
    fails(cudaStreamEndCapture(bench->a, &graph), cudaErrorStreamCaptureInvalidated);
    assert_null(graph);
    ok(cudaStreamIsCapturing(bench->a, &status));
    assert_int_equal(status, cudaStreamCaptureStatusNone);
}

static void a_capture_refuses_what_it_cannot_hold(void **state)
{
    struct bench *bench = *state;
    void *block;
    float value = 0;
    begin(bench, cudaStreamCaptureModeThreadLocal);
    fails(cudaMalloc(&block, 1), cudaErrorStreamCaptureUnsupported);
    is_lost(bench);
    begin(bench, cudaStreamCaptureModeRelaxed);
    fails(cudaStreamSynchronize(bench->a), cudaErrorStreamCaptureUnsupported);
    is_lost(bench);
    begin(bench, cudaStreamCaptureModeRelaxed);
    fails(cudaStreamQuery(bench->a), cudaErrorStreamCaptureUnsupported);
    is_lost(bench);
    begin(bench, cudaStreamCaptureModeThreadLocal);
    fails(cudaMemcpy(bench->x, bench->y, BYTES, cudaMemcpyDeviceToDevice), cudaErrorStreamCaptureUnsupported);
    is_lost(bench);
    begin(bench, cudaStreamCaptureModeThreadLocal);
    fails(cudaMemcpyAsync(&value, bench->x, sizeof value, cudaMemcpyDeviceToHost, bench->a), cudaErrorStreamCaptureUnsupported);
    is_lost(bench);
    ok(cudaEventRecord(bench->event, bench->b));
    begin(bench, cudaStreamCaptureModeThreadLocal);
    fails(cudaStreamWaitEvent(bench->a, bench->event, 0), cudaErrorStreamCaptureIsolation);
    is_lost(bench);
    begin(bench, cudaStreamCaptureModeRelaxed);
    ok(cudaEventRecord(bench->event, bench->a));
    fails(cudaEventQuery(bench->event), cudaErrorCapturedEvent);
    fails(cudaEventSynchronize(bench->event), cudaErrorCapturedEvent);
    cudaGraph_t graph;
    ok(cudaStreamEndCapture(bench->a, &graph));
    ok(cudaGraphDestroy(graph));
    fails(cudaStreamBeginCapture(0, cudaStreamCaptureModeRelaxed), cudaErrorStreamCaptureUnsupported);
    fails(cudaStreamEndCapture(bench->a, &graph), cudaErrorIllegalState);
}

static void *malloc_elsewhere(void *block) { return (void *)cudaGetErrorName(cudaMalloc(block, 1)); }

static void a_global_capture_forbids_other_threads_too(void **state)
{
    struct bench *bench = *state;
    pthread_t thread;
    void *block = NULL, *name;
    cudaGraph_t graph;
    begin(bench, cudaStreamCaptureModeThreadLocal);
    assert_int_equal(pthread_create(&thread, NULL, malloc_elsewhere, &block), 0);
    pthread_join(thread, &name);
    assert_string_equal(name, "cudaSuccess");
    ok(cudaStreamEndCapture(bench->a, &graph));
    ok(cudaGraphDestroy(graph));
    ok(cudaFree(block));
    begin(bench, cudaStreamCaptureModeGlobal);
    assert_int_equal(pthread_create(&thread, NULL, malloc_elsewhere, &block), 0);
    pthread_join(thread, &name);
    assert_string_equal(name, "cudaErrorStreamCaptureUnsupported");
    is_lost(bench);
}

/* ---- memory and devices ---- */

static void copies_are_checked(void **state)
{
    struct bench *bench = *state;
    float values[N] = { 0 };
    fails(cudaMemcpyAsync(bench->x, values, BYTES + 1, cudaMemcpyHostToDevice, bench->a), cudaErrorInvalidValue);
    fails(cudaMemcpyAsync(bench->x + 1, values, BYTES, cudaMemcpyHostToDevice, bench->a), cudaErrorInvalidValue);
    fails(cudaMemcpyAsync(values, bench->x, BYTES, cudaMemcpyHostToDevice, bench->a), cudaErrorInvalidValue);
    fails(cudaMemsetAsync(values, 0, BYTES, bench->a), cudaErrorInvalidValue);
    struct cudaPointerAttributes attributes;
    ok(cudaPointerGetAttributes(&attributes, bench->x + 3));
    assert_int_equal(attributes.type, cudaMemoryTypeDevice);
    ok(cudaPointerGetAttributes(&attributes, bench->pinned));
    assert_int_equal(attributes.type, cudaMemoryTypeHost);
    ok(cudaPointerGetAttributes(&attributes, values));
    assert_int_equal(attributes.type, cudaMemoryTypeUnregistered);
    fails(cudaFree(bench->x + 1), cudaErrorInvalidValue);
}

static void a_gpu_has_so_much_memory(void **state)
{
    (void)state;
    size_t available, total, after;
    void *block;
    ok(cudaMemGetInfo(&available, &total));
    fails(cudaMalloc(&block, available + 1), cudaErrorMemoryAllocation);
    fails(cudaGetLastError(), cudaErrorMemoryAllocation);
    ok(cudaGetLastError());
    ok(cudaMalloc(&block, 4096));
    ok(cudaMemGetInfo(&after, &total));
    assert_int_equal(available - after, 4096);
    ok(cudaFree(block));
}

static void another_gpus_memory_wants_peer_access(void **state)
{
    struct bench *bench = *state;
    int count, can;
    float *other;
    ok(cudaGetDeviceCount(&count));
    if (count < 2)
        test_skip("one emulated GPU");
    ok(cudaSetDevice(1));
    ok(cudaMalloc((void **)&other, BYTES));
    zero(other);
    fails(emulated_test_scale(bench->a, bench->x, bench->x, 1, N), cudaErrorInvalidResourceHandle); /* GPU 0's stream */
    ok(cudaSetDevice(0));
    fails(emulated_test_scale(bench->a, bench->x, other, 1, N), cudaErrorIllegalAddress);
    fails(cudaStreamSynchronize(bench->a), cudaErrorIllegalAddress);
    fails(cudaMalloc((void **)&can, 1), cudaErrorIllegalAddress);
    emulated_mend();
    ok(cudaMemcpyPeerAsync(bench->x, 0, other, 1, BYTES, bench->a)); /* the runtime finds a way */
    assert_float_equal(last_of(bench->x), 0, 0);
    ok(cudaDeviceCanAccessPeer(&can, 0, 1));
    assert_true(can);
    ok(cudaDeviceEnablePeerAccess(1, 0));
    fails(cudaDeviceEnablePeerAccess(1, 0), cudaErrorPeerAccessAlreadyEnabled);
    ok(emulated_test_scale(bench->a, bench->x, other, 1, N));
    assert_float_equal(last_of(bench->x), 1, 0);
    emulated_peers(EMULATED_PEERS_NONE);
    ok(cudaDeviceCanAccessPeer(&can, 0, 1));
    assert_false(can);
    fails(cudaDeviceEnablePeerAccess(1, 0), cudaErrorPeerAccessUnsupported);
    emulated_peers(EMULATED_PEERS_BROKEN);
    zero(bench->x);
    ok(cudaMemcpyPeerAsync(bench->x, 0, other, 1, BYTES, bench->a));
    ok(cudaStreamSynchronize(bench->a));
    ok(cudaMemcpy(bench->pinned, bench->x, BYTES, cudaMemcpyDeviceToHost));
    int wrong = 0;
    for (int i = 0; i < N; i++)
        wrong += bench->pinned[i] != 0;
    assert_int_equal(wrong, 1);
    ok(cudaFree(other));
}

static void faults_are_injected(void **state)
{
    struct bench *bench = *state;
    void *block, *second;
    emulated_fail("cudaMalloc", 2, cudaErrorMemoryAllocation);
    long calls = emulated_calls("cudaMalloc");
    ok(cudaMalloc(&block, 16));
    fails(cudaMalloc(&second, 16), cudaErrorMemoryAllocation);
    ok(cudaMalloc(&second, 16));
    assert_int_equal(emulated_calls("cudaMalloc") - calls, 3);
    emulated_fail("cudaMalloc", 0, 0);
    cudaGraph_t graph;
    ok(cudaStreamBeginCapture(bench->a, cudaStreamCaptureModeRelaxed));
    emulated_fail("cudaStreamEndCapture", 1, 0);
    fails(cudaStreamEndCapture(bench->a, &graph), cudaErrorUnknown);
    fails(cudaStreamEndCapture(bench->a, &graph), cudaErrorIllegalState); /* it has ended all the same */
    ok(cudaFree(block));
    ok(cudaFree(second));
    cudaGetLastError();
}

static void call_the_runtime(void *result) { *(cudaError_t *)result = cudaGetDevice(&(int){ 0 }); }

static void a_host_function_makes_no_calls(void **state)
{
    struct bench *bench = *state;
    cudaError_t result = cudaSuccess;
    ok(cudaLaunchHostFunc(bench->a, call_the_runtime, &result));
    ok(cudaStreamSynchronize(bench->a));
    fails(result, cudaErrorNotPermitted);
}

/* ---- kernels ---- */

static void threads_meet_at_barriers(void **state)
{
    struct bench *bench = *state;
    static const int sizes[] = { 1, 2, 33, 256, 1000 };
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        const int n = sizes[s];
        for (int i = 0; i < n; i++)
            bench->pinned[i] = (float)i;
        ok(cudaMemcpyAsync(bench->x, bench->pinned, (size_t)n * sizeof(float), cudaMemcpyHostToDevice, bench->a));
        ok(emulated_test_reverse(bench->a, bench->x, n));
        ok(cudaMemcpyAsync(bench->pinned, bench->x, (size_t)n * sizeof(float), cudaMemcpyDeviceToHost, bench->a));
        ok(cudaStreamSynchronize(bench->a));
        for (int i = 0; i < n; i++)
            assert_float_equal(bench->pinned[i], n - 1 - i, 0);
    }
}

static void warps_shuffle(void **state)
{
    struct bench *bench = *state;
    for (int i = 0; i < N; i++)
        bench->pinned[i] = (float)(i % 17);
    float sum = 0;
    for (int i = 0; i < N; i++)
        sum += bench->pinned[i];
    ok(cudaMemcpyAsync(bench->x, bench->pinned, BYTES, cudaMemcpyHostToDevice, bench->a));
    for (int threads = 32; threads <= 1024; threads *= 2) {
        ok(emulated_test_sum(bench->a, bench->y + N - 1, bench->x, N, threads));
        assert_float_equal(last_of(bench->y), sum, 0);
    }
}

static void part_of_a_warp_meets(void **state)
{
    struct bench *bench = *state;
    unsigned *words = (unsigned *)bench->pinned;
    for (int lanes = 1; lanes <= 32; lanes += 31 - 20 * (lanes == 1)) {
        ok(emulated_test_partial_warp(bench->a, words, lanes));
        ok(cudaStreamSynchronize(bench->a));
        unsigned odd = 0;
        for (int i = 1; i < lanes; i += 2)
            odd |= 1U << i;
        assert_int_equal(words[0], odd);
        for (int i = 0; i < lanes - 1; i++)
            assert_int_equal(words[1 + i], 101 + i);
        assert_int_equal(words[lanes], lanes == 32 ? 131 : UINT32_MAX); /* its own at the end of the warp, poison from a lane that takes no part */
    }
}

static void a_barrier_that_not_all_reach_is_reported(void **state)
{
    struct bench *bench = *state;
    for (int turn = 0; turn < 2; turn++) {
        ok(emulated_test_stuck(bench->a, bench->x, turn));
        fails(cudaStreamSynchronize(bench->a), cudaErrorLaunchFailure);
        fails(emulated_test_reverse(bench->a, bench->x, 32), cudaErrorLaunchFailure);
        fails(cudaGetLastError(), cudaErrorLaunchFailure);
        fails(cudaGetLastError(), cudaErrorLaunchFailure);
        emulated_mend();
    }
    ok(emulated_test_reverse(bench->a, bench->x, 32));
    ok(cudaStreamSynchronize(bench->a));
}

static void counters_count(void **state)
{
    struct bench *bench = *state;
    int *counter = (int *)bench->x;
    float *sum = bench->x + 1, got[2];
    ok(cudaMemsetAsync(bench->x, 0, 8, bench->a));
    ok(cudaEventRecord(bench->event, bench->a));
    ok(cudaStreamWaitEvent(bench->b, bench->event, 0));
    ok(emulated_test_count(bench->a, counter, sum, 5000));
    ok(emulated_test_count(bench->b, counter, sum, 3000));
    ok(cudaDeviceSynchronize());
    ok(cudaMemcpy(got, bench->x, 8, cudaMemcpyDeviceToHost));
    int count;
    memcpy(&count, got, sizeof count);
    assert_int_equal(count, 8000);
    assert_float_equal(got[1], 4000, 0);
}

static void launches_have_limits(void **state)
{
    struct bench *bench = *state;
    ok(emulated_test_shape(bench->a, 1, 1024, 48 << 10));
    fails(emulated_test_shape(bench->a, 1, 1025, 0), cudaErrorInvalidConfiguration);
    fails(emulated_test_shape(bench->a, 0, 32, 0), cudaErrorInvalidConfiguration);
    fails(emulated_test_shape(bench->a, 1, 32, (48 << 10) + 1), cudaErrorInvalidValue);
    ok(emulated_test_opt_in(100 << 10));
    ok(emulated_test_shape(bench->a, 1, 32, 100 << 10));
    fails(emulated_test_opt_in(228 << 10), cudaErrorInvalidValue);
    ok(emulated_test_opt_in(48 << 10));
    float value = 1;
    fails(emulated_test_scale(bench->a, bench->x, &value, 1, 1), cudaErrorIllegalAddress); /* the stack */
    emulated_mend();
}

static void halves_round_to_the_nearest_even(void **state)
{
    struct bench *bench = *state;
    float *values = bench->pinned, *bf16 = values + 8, *fp16 = values + 16;
    memcpy(values, (float[]){ 1, 1.00390625F, 1.01171875F, 3.0e38F, 3.4e38F, 65504, 65520, NAN }, 8 * sizeof *values);
    ok(emulated_test_round(bench->a, bf16, fp16, values, 8));
    ok(cudaStreamSynchronize(bench->a));
    static const float expected[] = { 1, 1, 1.015625F };
    for (int i = 0; i < 3; i++)
        assert_float_equal(bf16[i], expected[i], 0);
    assert_true(isfinite(bf16[3]) && isinf(bf16[4]) && isnan(bf16[7]));
    assert_float_equal(fp16[5], 65504, 0);
    assert_true(isinf(fp16[6]) && isnan(fp16[7]));
}

int test_emulated(void)
{
#define BENCH(name) cmocka_unit_test_setup_teardown(name, bench_open, bench_close)
    const struct CMUnitTest tests[] = {
        BENCH(new_memory_holds_nans),
        BENCH(pinned_memory_is_read_when_the_copy_runs),
        BENCH(pageable_memory_is_read_before_the_call_returns),
        BENCH(an_event_orders_streams),
        BENCH(without_an_event_nothing_orders_them),
        BENCH(a_wait_takes_the_newest_record_of_its_time),
        BENCH(order_holds_under_delays),
        BENCH(stream_0_is_ordered_with_blocking_streams),
        BENCH(a_graph_does_what_was_captured),
        BENCH(a_capture_forks_and_joins),
        BENCH(an_external_record_is_made_by_each_launch),
        BENCH(an_external_wait_takes_the_newest_record_at_launch),
        BENCH(a_capture_refuses_what_it_cannot_hold),
        BENCH(a_global_capture_forbids_other_threads_too),
        BENCH(copies_are_checked),
        BENCH(a_gpu_has_so_much_memory),
        BENCH(another_gpus_memory_wants_peer_access),
        BENCH(faults_are_injected),
        BENCH(a_host_function_makes_no_calls),
        BENCH(threads_meet_at_barriers),
        BENCH(warps_shuffle),
        BENCH(part_of_a_warp_meets),
        BENCH(a_barrier_that_not_all_reach_is_reported),
        BENCH(counters_count),
        BENCH(launches_have_limits),
        BENCH(halves_round_to_the_nearest_even),
    };
    return cmocka_run_group_tests_name("emulated", tests, NULL, NULL);
}

#else

static void not_here(void **state)
{
    (void)state;
    test_skip("the emulated CUDA runtime is built by VARIANT=emulated");
}

int test_emulated(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(not_here) };
    return cmocka_run_group_tests_name("emulated", tests, NULL, NULL);
}

#endif
