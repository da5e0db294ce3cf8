/* Order on GPUs: events between streams, devices and threads; captures; copies between any two places; faults that stay until somebody asks. */
#include "base/door.h"
#include "base/thread.h"
#include "tests/gpu.h"
#include "tests/segment.h"
#include "tests/tests.h"

#ifdef HAVE_CUDA
#include "cuda/cuda.h"
#include "cuda/device.h"
#include "cuda/settings.h"
#endif
#ifdef EMULATED_CUDA
#include "tests/emulated/emulated.h"
#endif

#include <semaphore.h>
#include <string.h>

enum { MANY = 20000, ROUNDS = 20 };

static void check(int result, const struct error *error)
{
    if (result)
        fail_msg("%s", error->text);
}

static struct device *open_device(const struct backend *gpu, int index)
{
    struct error error = { 0 };
    struct device *device;
    check(gpu->device_open(&device, index, &error), &error);
    return device;
}

static struct device *open_second(const struct backend *gpu, struct device *of, int urgency)
{
    struct error error = { 0 };
    struct device *device;
    check(gpu->device_second(&device, of, urgency, &error), &error);
    return device;
}

static struct event *open_event(const struct backend *gpu, struct device *device)
{
    struct error error = { 0 };
    struct event *event;
    check(gpu->event_open(&event, device, &error), &error);
    return event;
}

/* On the device, or in the host's memory where that is NULL. */
static float *floats_on(const struct backend *gpu, struct device *device, size_t n)
{
    struct error error = { 0 };
    void *block;
    check(device ? gpu->allocate(device, &block, n * sizeof(float), "test", &error) : gpu->allocate_host(&block, n * sizeof(float), "test", &error), &error);
    return block;
}

static void expect_all(const float *values, size_t n, float want)
{
    for (size_t i = 0; i < n; i++)
        if (values[i] != want)
            fail_msg("element %zu is %g, want %g", i, (double)values[i], (double)want);
}

/* Two streams of one GPU, or of two. */
struct pair { const struct backend *gpu; struct device *first, *second; float *a, *b, *host, *back; struct event *made, *taken; };

static void pair_open(struct pair *pair, bool other_gpu)
{
    struct error error = { 0 };
    pair->gpu = gpu_or_skip();
    pair->first = open_device(pair->gpu, 0);
    if (!other_gpu) {
        pair->second = open_second(pair->gpu, pair->first, 7);
    } else if (pair->gpu->device_open(&pair->second, 1, &error)) {
        assert_int_equal(error.code, EXIT_USAGE);
        pair->gpu->device_close(pair->first);
        test_skip("one GPU");
    }
    pair->a = floats_on(pair->gpu, pair->first, MANY);
    pair->b = floats_on(pair->gpu, pair->second, MANY);
    pair->host = floats_on(pair->gpu, NULL, MANY);
    pair->back = floats_on(pair->gpu, NULL, MANY);
    pair->made = open_event(pair->gpu, pair->first);
    pair->taken = open_event(pair->gpu, pair->second);
}

static void pair_close(struct pair *pair)
{
    struct error error = { 0 };
    check(pair->gpu->sync(pair->first, &error), &error);
    check(pair->gpu->sync(pair->second, &error), &error);
    pair->gpu->event_close(pair->made);
    pair->gpu->event_close(pair->taken);
    pair->gpu->release(pair->first, pair->a);
    pair->gpu->release(pair->second, pair->b);
    pair->gpu->release_host(pair->host);
    pair->gpu->release_host(pair->back);
    pair->gpu->device_close(pair->second);
    pair->gpu->device_close(pair->first);
}

/* The first counts up in `a`, the second takes each number once it is there, and the first waits until it has been taken. */
static void hand_over(struct pair *pair)
{
    const struct backend *gpu = pair->gpu;
    struct error error = { 0 };
    for (size_t i = 0; i < MANY; i++)
        pair->host[i] = -1;
    gpu->upload(pair->first, pair->a, pair->host, MANY * sizeof(float));
    check(gpu->sync(pair->first, &error), &error);
    memset(pair->host, 0, MANY * sizeof(float));
    assert_true(gpu->done(pair->taken));
    for (int i = 0; i < ROUNDS; i++) {
        gpu->wait(pair->first, pair->taken);
        gpu->predict(pair->first, pair->a, pair->a, pair->a, 2, MANY); /* a = -a */
        gpu->record(pair->first, pair->made);
        gpu->wait(pair->second, pair->made);
        gpu->copy(pair->second, pair->b, pair->a, MANY);
        gpu->record(pair->second, pair->taken);
        gpu->copy(pair->second, pair->back, pair->b, MANY);
        if (i % 5 == 0) {
            check(gpu->sync(pair->second, &error), &error);
            expect_all(pair->back, MANY, i % 2 ? -1 : 1);
        }
    }
    check(gpu->finish(pair->taken, &error), &error);
    assert_true(gpu->done(pair->taken));
    check(gpu->sync(pair->second, &error), &error);
    expect_all(pair->back, MANY, ROUNDS % 2 ? 1 : -1);
}

static void test_events_on_one_gpu(void **state)
{
    struct pair pair;
    (void)state;
    pair_open(&pair, false);
    assert_true(pair.gpu->same(pair.first, pair.second));
    assert_true(pair.gpu->reaches(pair.first, pair.second));
    hand_over(&pair);
    pair_close(&pair);
}

static void test_events_between_gpus(void **state)
{
    struct pair pair;
    (void)state;
    pair_open(&pair, true);
    assert_false(pair.gpu->same(pair.first, pair.second));
    hand_over(&pair);
    pair_close(&pair);
}

/* A worker enqueues and records; who waits is another thread. */
static void *work(void *context)
{
    struct pair *pair = context;
    pair->gpu->upload(pair->first, pair->a, pair->host, MANY * sizeof(float));
    for (int i = 0; i < ROUNDS; i++)
        pair->gpu->predict(pair->first, pair->a, pair->a, pair->a, 2, MANY);
    pair->gpu->copy(pair->first, pair->back, pair->a, MANY);
    pair->gpu->record(pair->first, pair->made);
    return NULL;
}

static void test_threads(void **state)
{
    struct pair pair;
    struct error error = { 0 };
    pthread_t thread;
    (void)state;
    pair_open(&pair, false);
    for (size_t i = 0; i < MANY; i++)
        pair.host[i] = 3;
    check(thread_start(&thread, "work", work, &pair, &error), &error);
    thread_join(thread);
    check(pair.gpu->finish(pair.made, &error), &error);
    expect_all(pair.back, MANY, 3);
    pair_close(&pair);
}

static void enqueue_something(const struct pair *pair)
{
    pair->gpu->average(pair->first, pair->a, pair->b, 0.3f, MANY);
    pair->gpu->predict(pair->first, pair->a, pair->a, pair->b, 0.7f, MANY);
    pair->gpu->copy(pair->first, pair->back, pair->a, MANY);
}

static struct capture *captured(const struct pair *pair, void (*enqueue)(const struct pair *pair))
{
    const struct capture_calls *captures = pair->gpu->captures;
    struct error error = { 0 };
    struct capture *capture;
    check(captures->begin(pair->first, &error), &error);
    if (enqueue)
        enqueue(pair);
    check(pair->gpu->check(pair->first, &error), &error); /* asking disturbs nothing */
    check(captures->end(pair->first, &capture, &error), &error);
    return capture;
}

static void start_anew(const struct pair *pair)
{
    struct error error = { 0 };
    for (size_t i = 0; i < MANY; i++)
        pair->host[i] = (float)(i % 1000) / 16;
    pair->gpu->upload(pair->first, pair->a, pair->host, MANY * sizeof(float));
    pair->gpu->predict(pair->first, pair->b, pair->a, pair->a, 0.9f, MANY);
    check(pair->gpu->sync(pair->first, &error), &error);
    memset(pair->back, 0, MANY * sizeof(float));
}

static void test_capture_twice(void **state)
{
    struct pair pair;
    struct error error = { 0 };
    (void)state;
    pair_open(&pair, false);
    const struct capture_calls *captures = pair.gpu->captures;
    float *plain = floats_new(MANY);
    start_anew(&pair);
    enqueue_something(&pair);
    enqueue_something(&pair);
    check(pair.gpu->sync(pair.first, &error), &error);
    memcpy(plain, pair.back, MANY * sizeof(float));
    start_anew(&pair);
    struct capture *capture = captured(&pair, enqueue_something);
    assert_non_null(capture);
    check(pair.gpu->check(pair.first, &error), &error);
    check(pair.gpu->sync(pair.first, &error), &error);
    expect_all(pair.back, MANY, 0); /* kept, not run */
    check(captures->launch(pair.first, capture, &error), &error);
    check(captures->launch(pair.first, capture, &error), &error);
    check(pair.gpu->sync(pair.first, &error), &error);
    assert_memory_equal(pair.back, plain, MANY * sizeof(float));
    captures->free(capture);
    captures->free(NULL);
    assert_null(captured(&pair, NULL));
    door_free(plain);
    pair_close(&pair);
}

static void negate_and_record(const struct pair *pair)
{
    pair->gpu->wait(pair->first, pair->taken);
    pair->gpu->predict(pair->first, pair->a, pair->a, pair->a, 2, MANY);
    pair->gpu->record(pair->first, pair->made);
    pair->gpu->predict(pair->first, pair->b, pair->a, pair->a, 2, MANY);
}

/* As hand_over, but what the first does is a capture: each launch records anew, and waits for what was recorded last. */
static void test_captured_events(void **state)
{
    struct pair pair;
    struct error error = { 0 };
    (void)state;
    pair_open(&pair, false);
    const struct backend *gpu = pair.gpu;
    for (size_t i = 0; i < MANY; i++)
        pair.host[i] = -1;
    gpu->upload(pair.first, pair.a, pair.host, MANY * sizeof(float));
    gpu->record(pair.first, pair.made);
    struct capture *capture = captured(&pair, negate_and_record);
    for (int i = 0; i < ROUNDS; i++) {
        check(gpu->captures->launch(pair.first, capture, &error), &error);
        gpu->wait(pair.second, pair.made);
        gpu->copy(pair.second, pair.back, pair.a, MANY);
        gpu->record(pair.second, pair.taken);
        if (i % 3 == 0) {
            check(gpu->finish(pair.taken, &error), &error);
            expect_all(pair.back, MANY, i % 2 ? -1 : 1);
        }
    }
    check(gpu->finish(pair.made, &error), &error);
    gpu->captures->free(capture);
    pair_close(&pair);
}

/* The host's memory belongs to no device, but a thread has a GPU while it is allocated: one that is used, though the thread has asked for none. */
static void test_pinned_by_a_used_gpu(void **state)
{
#ifdef HAVE_CUDA
    const struct backend *gpu = gpu_or_skip();
    struct cuda_settings before = *cuda_settings(), now = before;
    struct error error = { 0 };
    int gpus = 0, current = -1;
    void *block;
    cudaGetDeviceCount(&gpus);
    cudaSetDevice(0);
    now.first = gpus - 1;
    cuda_configure(&now);
    check(gpu->allocate_host(&block, 64, "test", &error), &error);
    cuda_configure(&before);
    cudaGetDevice(&current);
    gpu->release_host(block);
    assert_int_equal(current, gpus - 1);
#else
    gpu_or_skip();
#endif
    (void)state;
}

static void test_memory(void **state)
{
    const struct backend *gpu = gpu_or_skip();
    struct error error = { 0 };
    void *block, *host;
    (void)state;
    struct device *device = open_device(gpu, 0);
    for (int i = 0; i < 8; i++) {
        size_t n = (size_t)1 << (2 * i);
        check(gpu->allocate(device, &block, n * sizeof(float), "test", &error), &error);
        check(gpu->allocate_host(&host, n * sizeof(float), "test", &error), &error);
        assert_int_equal((uintptr_t)block % 64, 0);
        assert_int_equal((uintptr_t)host % 64, 0);
        expect_all(host, n, 0);
        memset(host, 1, n * sizeof(float));
        gpu->copy(device, host, block, n);
        check(gpu->sync(device, &error), &error);
        expect_all(host, n, 0);
        memset(host, 1, n * sizeof(float));
        gpu->upload(device, block, host, n * sizeof(float)); /* so that the next one is not zero by chance */
        gpu->release(device, block);
        gpu->release_host(host);
    }
    check(gpu->allocate(device, &block, 0, "nothing", &error), &error);
    gpu->release(device, block);
    gpu->release(device, NULL);
    gpu->release_host(NULL);
    gpu->device_close(device);
}

static void test_no_such_gpu(void **state)
{
    const struct backend *gpu = gpu_or_skip();
    (void)state;
    for (int index = -1; index < 1000; index += 1000) {
        struct error error = { 0 };
        struct device *device;
        assert_int_equal(gpu->device_open(&device, index, &error), -1);
        assert_int_equal(error.code, EXIT_USAGE);
        assert_null(device);
        assert_non_null(strstr(error.text, index < 0 ? "cuda:-1: there is no such GPU, want 0.." : "cuda:999: there is no such GPU, want 0.."));
    }
}

static void test_out_of_memory(void **state)
{
    const struct backend *gpu = gpu_or_skip();
    struct error error = { 0 };
    void *block = &error;
    (void)state;
    struct device *device = open_device(gpu, 0);
    assert_int_equal(gpu->allocate(device, &block, (size_t)1 << 50, "activations of testnet", &error), -1);
    assert_int_equal(error.code, EXIT_DEVICE);
    assert_non_null(strstr(error.text, "cuda:0: out of memory for activations of testnet: want 1048576.0 GiB, "));
    assert_non_null(strstr(error.text, " free of "));
    assert_null(block);
    error = (struct error){ 0 };
    check(gpu->allocate(device, &block, 64, "a little", &error), &error); /* nothing is lost */
    check(gpu->check(device, &error), &error);
    gpu->release(device, block);
    gpu->device_close(device);
}


/* A GPU can only be asked for these with its own interface. */
#ifdef HAVE_CUDA
static void wait_for_gate(void *gate) { sem_wait(gate); }

static void test_done(void **state)
{
    const struct backend *gpu = gpu_or_skip();
    struct error error = { 0 };
    sem_t gate;
    (void)state;
    sem_init(&gate, 0, 0);
    struct device *device = open_device(gpu, 0);
    struct event *event = open_event(gpu, device);
    assert_true(gpu->done(event)); /* never recorded */
    check(gpu->finish(event, &error), &error);
    assert_int_equal(cudaLaunchHostFunc(device->stream, wait_for_gate, &gate), cudaSuccess);
    gpu->record(device, event);
    assert_false(gpu->done(event));
    check(gpu->check(device, &error), &error); /* what is not done has not failed */
    assert_int_equal(cudaPeekAtLastError(), cudaSuccess);
    sem_post(&gate);
    check(gpu->finish(event, &error), &error);
    assert_true(gpu->done(event));
    gpu->event_close(event);
    gpu->event_close(NULL);
    gpu->device_close(device);
    sem_destroy(&gate);
}

static void expect_values(const struct backend *gpu, struct device *device, const struct step *step, float scale)
{
    struct error error = { 0 };
    float *floats = floats_on(gpu, NULL, sizeof(struct step_values) / sizeof(float));
    struct step_values found;
    gpu->begin(device, step);
    gpu->copy(device, floats, (const float *)device->values, sizeof found / sizeof(float));
    check(gpu->sync(device, &error), &error);
    memcpy(&found, floats, sizeof found);
    assert_true(found.seed == step->seed && found.epoch == step->epoch && found.n == step->n);
    assert_true(found.loss_scale == scale && found.inverse_loss_scale == 1 / scale);
    gpu->release_host(floats);
}

static void test_begin(void **state)
{
    const struct backend *gpu = gpu_or_skip();
    (void)state;
    struct device *device = open_device(gpu, 0);
    expect_values(gpu, device, &(struct step){ .seed = 0xfedcba9876543210, .epoch = (int64_t)1 << 40, .n = 77 }, 1);
    expect_values(gpu, device, &(struct step){ .seed = 1, .epoch = -1, .n = 0, .loss_scale = 3 }, 3);
    gpu->device_close(device);
}

static void test_urgency(void **state)
{
    const struct backend *gpu = gpu_or_skip();
    int least, greatest, before = 1000;
    (void)state;
    struct device *device = open_device(gpu, 0);
    assert_int_equal(cudaDeviceGetStreamPriorityRange(&least, &greatest), cudaSuccess);
    for (int urgency = 0; urgency <= 7; urgency++) {
        int priority = 1000;
        struct device *second = open_second(gpu, device, urgency);
        assert_int_equal(cudaStreamGetPriority(second->stream, &priority), cudaSuccess);
        assert_true(priority <= before && priority <= least && priority >= greatest);
        assert_true((urgency > 0 || priority == least) && (urgency < 7 || priority == greatest));
        before = priority;
        gpu->device_close(second);
    }
    gpu->device_close(device);
}
#endif

/* ---- copies between any two places ---- */

enum { PLACES = 4, LONG = 2600000, KEYS = 64 }; /* the host and up to three GPUs; halves of more than two pieces of a staged copy; beginnings of what is sent, all different */

struct places { const struct backend *gpu; int n; struct device *device[PLACES]; float *from[PLACES], *to[PLACES], *host, *back; unsigned sent; }; /* [0]: the host's */

static void places_open(struct places *places)
{
    *places = (struct places){ .gpu = gpu_or_skip(), .n = 1 };
    for (struct error error = { 0 }; places->n < PLACES && places->gpu->device_open(&places->device[places->n], places->n - 1, &error) == 0;)
        places->n++;
    for (int i = 0; i < places->n; i++) {
        places->from[i] = floats_on(places->gpu, places->device[i], LONG);
        places->to[i] = floats_on(places->gpu, places->device[i], LONG);
    }
    places->host = floats_on(places->gpu, NULL, LONG + KEYS);
    places->back = floats_on(places->gpu, NULL, LONG);
    for (size_t i = 0; i < LONG + KEYS; i++)
        places->host[i] = (float)(i * 2654435761u % 16777216);
}

static void places_close(struct places *places)
{
    const struct backend *gpu = places->gpu;
    for (int i = 1; i < places->n; i++) {
        gpu->release(places->device[i], places->from[i]);
        gpu->release(places->device[i], places->to[i]);
    }
    for (int i = 1; i < places->n; i++)
        gpu->device_close(places->device[i]);
    gpu->release_host(places->from[0]);
    gpu->release_host(places->to[0]);
    gpu->release_host(places->host);
    gpu->release_host(places->back);
}

/* In the order of one device, which is the only one that is waited for; two in a row, so that the second must not overtake the first. What has arrived is read by who owns it. */
static void copy_around(struct places *places, struct device *device, int from, int to, size_t n, bool capture)
{
    const struct backend *gpu = places->gpu;
    struct error error = { 0 };
    struct capture *kept = NULL;
    const float *sent = places->host + ++places->sent % KEYS;
    memset(places->back, 0, n * sizeof(float));
    if (capture)
        check(gpu->captures->begin(device, &error), &error);
    gpu->copy(device, places->from[from], sent, n);
    gpu->copy(device, places->to[to], places->from[from], n / 2);
    gpu->copy(device, places->to[to] + n / 2, places->from[from] + n / 2, n - n / 2);
    if (capture) {
        check(gpu->captures->end(device, &kept, &error), &error);
        for (int i = 0; i < 2; i++)
            check(gpu->captures->launch(device, kept, &error), &error);
    }
    check(gpu->sync(device, &error), &error);
    struct device *owner = to ? places->device[to] : device;
    gpu->copy(owner, places->back, places->to[to], n);
    check(gpu->sync(owner, &error), &error);
    if (memcmp(places->back, sent, n * sizeof(float)))
        fail_msg("%zu floats from place %d to place %d, %s: others than were sent arrive", n, from, to, capture ? "captured" : "plain");
    gpu->captures->free(kept);
}

static void test_copies(void **state)
{
    struct places places;
    (void)state;
    places_open(&places);
    for (int on = 1; on < places.n; on++)
        for (int from = 0; from < places.n; from++)
            for (int to = 0; to < places.n; to++)
                for (int capture = 1; capture >= 0; capture--) {
                    copy_around(&places, places.device[on], from, to, 1, capture);
                    copy_around(&places, places.device[on], from, to, 1000, capture);
                    copy_around(&places, places.device[on], from, to, LONG - (on + from + to), capture);
                }
    places_close(&places);
}

/* Passes read another's memory where the backend says so. */
static void test_reaches(void **state)
{
    struct pair pair;
    struct error error = { 0 };
    (void)state;
    pair_open(&pair, true);
    if (!pair.gpu->reaches(pair.first, pair.second)) {
        pair_close(&pair);
        test_skip("no peer access");
    }
    for (size_t i = 0; i < MANY; i++)
        pair.host[i] = 5;
    pair.gpu->upload(pair.second, pair.b, pair.host, MANY * sizeof(float));
    pair.gpu->record(pair.second, pair.taken);
    pair.gpu->wait(pair.first, pair.taken);
    pair.gpu->predict(pair.first, pair.a, pair.b, pair.b, -1, MANY);
    pair.gpu->copy(pair.first, pair.back, pair.a, MANY);
    check(pair.gpu->sync(pair.first, &error), &error);
    expect_all(pair.back, MANY, 10);
    pair_close(&pair);
}

/* ---- sums over devices ---- */

static void test_collective_refused(void **state)
{
    const struct backend *gpu = gpu_or_skip();
    struct error error = { 0 };
    struct collective *collective;
    (void)state;
    if (!gpu->collective)
        test_skip("built without NCCL");
    struct device *device = open_device(gpu, 0), *second = open_second(gpu, device, 0);
    assert_int_equal(gpu->collective->open(&collective, (struct device *[]){ device, second }, 2, &error), -1);
    assert_int_equal(error.code, EXIT_USAGE);
    assert_string_equal(error.text, "NCCL sums over GPUs with one worker on each: want no GPU twice, cuda:0 has workers 0 and 1");
    gpu->collective->close(NULL);
    gpu->device_close(second);
    gpu->device_close(device);
}

static void test_collective(void **state)
{
    struct places places;
    struct error error = { 0 };
    struct collective *collective;
    (void)state;
    places_open(&places);
    const struct backend *gpu = places.gpu;
    int n = places.n - 1;
    if (!gpu->collective) {
        places_close(&places);
        test_skip("built without NCCL");
    }
    check(gpu->collective->open(&collective, places.device + 1, n, &error), &error);
    for (int k = 1; k <= n; k++) {
        for (int i = 0; i < MANY; i++)
            places.host[k * MANY + i] = (float)(k * i);
        gpu->upload(places.device[k], places.from[k], places.host + k * MANY, MANY * sizeof(float));
    }
    check(gpu->collective->sum(collective, places.from + 1, MANY, &error), &error);
    for (int k = 1; k <= n; k++) {
        gpu->copy(places.device[k], places.back, places.from[k], MANY);
        check(gpu->sync(places.device[k], &error), &error);
        for (int i = 0; i < MANY; i++)
            assert_true(places.back[i] == (float)(n * (n + 1) / 2 * i));
    }
    gpu->collective->abort(collective);
    assert_int_equal(gpu->collective->sum(collective, places.from + 1, MANY, &error), -1);
    assert_int_equal(error.code, EXIT_DEVICE);
    gpu->collective->close(collective);
    places_close(&places);
}

#ifdef EMULATED_CUDA
/* ---- what only emulated GPUs do when they are asked ---- */

static int peers_off(void **state)
{
    (void)state;
    emulated_peers(EMULATED_PEERS_NONE);
    emulated_delay(20);
    return 0;
}

/* What the program found out of peers before holds again. */
static int peers_on(void **state)
{
    (void)state;
    emulated_delay(0);
    emulated_peers(EMULATED_PEERS);
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 3; k++)
            if (i != k && cudaSetDevice(i) == cudaSuccess)
                cudaDeviceEnablePeerAccess(k, 0);
    cudaGetLastError();
    return 0;
}

/* The first failure stays and is told by each that can; a second one changes nothing. */
static void test_faults(void **state)
{
    static const char first[] = "cuda:0: copying: an illegal memory access was encountered (cudaErrorIllegalAddress)";
    struct pair pair;
    struct error error = { 0 };
    (void)state;
    pair_open(&pair, false);
    emulated_fail("cudaMemcpyAsync", 1, cudaErrorIllegalAddress);
    pair.gpu->copy(pair.first, pair.back, pair.a, MANY);
    emulated_fail("cudaMemcpyAsync", 1, cudaErrorLaunchFailure);
    pair.gpu->copy(pair.first, pair.back, pair.a, MANY);
    for (int i = 0; i < 3; i++) {
        error = (struct error){ 0 };
        assert_int_equal(i == 0 ? pair.gpu->check(pair.first, &error) : i == 1 ? pair.gpu->sync(pair.first, &error) : pair.gpu->finish(pair.made, &error), -1);
        assert_int_equal(error.code, EXIT_DEVICE);
        assert_memory_equal(error.text, first, sizeof first - 1);
        assert_non_null(strstr(error.text, "the last checkpoint stays"));
    }
    error = (struct error){ 0 };
    check(pair.gpu->check(pair.second, &error), &error); /* not this one's */
    struct capture *capture;
    check(pair.gpu->captures->begin(pair.first, &error), &error);
    assert_int_equal(pair.gpu->captures->end(pair.first, &capture, &error), -1);
    assert_memory_equal(error.text, first, sizeof first - 1);
    pair.gpu->device_close(pair.first);
    pair.first = open_device(pair.gpu, 0);
    pair_close(&pair);
}

/* A failure that shows when somebody waits or asks. */
static void test_late_faults(void **state)
{
    static const char *const calls[] = { "cudaStreamQuery", "cudaEventRecord", "cudaEventQuery", "cudaEventSynchronize" };
    const struct backend *gpu = gpu_or_skip();
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct error error = { 0 };
        struct device *device = open_device(gpu, 0);
        struct event *event = open_event(gpu, device);
        gpu->record(device, event);
        emulated_fail(calls[i], 1, cudaErrorIllegalAddress);
        if (i == 0)
            assert_int_equal(gpu->check(device, &error), -1);
        else if (i == 1)
            assert_int_equal(gpu->sync(device, &error), -1);
        else if (i == 2)
            assert_true(gpu->done(event));
        else
            assert_int_equal(gpu->finish(event, &error), -1);
        error = (struct error){ 0 };
        assert_int_equal(gpu->check(device, &error), -1);
        assert_non_null(strstr(error.text, "an illegal memory access was encountered"));
        gpu->event_close(event);
        gpu->device_close(device);
    }
}

/* Whatever fails while a device is opened, nothing stays behind. */
static void test_open_faults(void **state)
{
    static const char *const calls[] = { "cudaGetDeviceCount", "cudaSetDevice", "cudaDeviceGetAttribute", "cudaDeviceGetStreamPriorityRange", "cudaStreamCreateWithPriority",
                                         "cudaMalloc", "cudaMemsetAsync", "cudaEventCreateWithFlags", "cudaHostAlloc" };
    const struct backend *gpu = gpu_or_skip();
    struct emulated_live before = emulated_live();
    (void)state;
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        struct error error = { 0 };
        struct device *device;
        emulated_fail(calls[i], 1, i == 5 || i == 8 ? cudaErrorMemoryAllocation : cudaErrorUnknown);
        assert_int_equal(gpu->device_open(&device, 0, &error), -1);
        assert_int_equal(error.code, i == 8 ? EXIT_MEMORY : EXIT_DEVICE);
        assert_null(device);
        struct emulated_live after = emulated_live();
        assert_memory_equal(&after, &before, sizeof before);
    }
}

/* A copy inside of a capture that wants streams and memory which are refused: the capture's end says so, and later copies do not stumble over what is missing. */
static void test_staging_faults(void **state)
{
    static const char *const calls[] = { "cudaHostAlloc", "cudaStreamCreateWithPriority", "cudaEventCreateWithFlags", "cudaStreamWaitEvent", "cudaPointerGetAttributes" };
    struct emulated_live before = emulated_live();
    (void)state;
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        struct error error = { 0 };
        struct capture *capture;
        struct pair pair;
        pair_open(&pair, true);
        check(pair.gpu->captures->begin(pair.first, &error), &error);
        emulated_fail(calls[i], 1, i == 0 ? cudaErrorMemoryAllocation : cudaErrorUnknown);
        pair.gpu->copy(pair.first, pair.a, pair.b, MANY);
        emulated_fail(calls[i], 0, 0);
        pair.gpu->copy(pair.first, pair.a, pair.b, MANY);
        assert_int_equal(pair.gpu->captures->end(pair.first, &capture, &error), -1);
        assert_int_equal(error.code, i == 0 ? EXIT_MEMORY : EXIT_DEVICE);
        pair.gpu->event_close(pair.made);
        pair.gpu->release(pair.first, pair.a);
        pair.gpu->device_close(pair.first);
        pair.first = open_device(pair.gpu, 0);
        pair.made = open_event(pair.gpu, pair.first);
        pair.a = floats_on(pair.gpu, pair.first, MANY);
        pair_close(&pair);
        struct emulated_live after = emulated_live();
        assert_memory_equal(&after, &before, sizeof before);
    }
}

/* Streams that stop at random between what they run. */
static int delays_on(void **state)
{
    (void)state;
    emulated_delay(200);
    return 0;
}

static int delays_off(void **state)
{
    (void)state;
    emulated_delay(0);
    return 0;
}
#endif

int test_cuda_order(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events_on_one_gpu), cmocka_unit_test(test_events_between_gpus), cmocka_unit_test(test_threads), cmocka_unit_test(test_capture_twice),
        cmocka_unit_test(test_captured_events), cmocka_unit_test(test_memory), cmocka_unit_test(test_pinned_by_a_used_gpu),
        cmocka_unit_test(test_no_such_gpu), cmocka_unit_test(test_out_of_memory), cmocka_unit_test(test_copies),
        cmocka_unit_test(test_reaches), cmocka_unit_test(test_collective_refused), cmocka_unit_test(test_collective),
#ifdef HAVE_CUDA
        cmocka_unit_test(test_done), cmocka_unit_test(test_begin), cmocka_unit_test(test_urgency),
#endif
#ifdef EMULATED_CUDA
        { "test_copies, no peers", test_copies, peers_off, peers_on, NULL },
        { "test_events_on_one_gpu, delays", test_events_on_one_gpu, delays_on, delays_off, NULL },
        { "test_events_between_gpus, delays", test_events_between_gpus, delays_on, delays_off, NULL },
        { "test_captured_events, delays", test_captured_events, delays_on, delays_off, NULL },
        { "test_staging_faults", test_staging_faults, peers_off, peers_on, NULL },
        cmocka_unit_test(test_faults), cmocka_unit_test(test_late_faults), cmocka_unit_test(test_open_faults),
#endif
    };
    return cmocka_run_group_tests_name("cuda_order", tests, NULL, NULL);
}
