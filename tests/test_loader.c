/* data/loader: what a batch holds is a function of its number alone; errors and stops reach every taker; nothing is allocated after
 * opening. The datasets here are the test's own: sample i of n is an image of 3x2x2 pixels that all say i, so a batch shows its samples. */
#include "base/door.h"
#include "base/error.h"
#include "base/thread.h"
#include "data/loader.h"
#include "data/order.h"
#include "tests/tests.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

enum { IMAGE = 12, CLASSES = 7, NO_SAMPLE = -1, END = 100 };

static uint8_t pixel_of(int64_t sample) { return (uint8_t)(sample * 5 + 1); }

/* The state of these datasets: the sample that cannot be read, NO_SAMPLE for none. */
static int read_plain(const struct dataset *dataset, int64_t index, void *raw, size_t *bytes, int32_t *label, struct error *error)
{
    if (index == *(const int64_t *)dataset->state)
        return fail(error, EXIT_INPUT, "sample %d is torn", (int)index);
    if (index < 0 || index >= dataset->n)
        return fail(error, EXIT_INVARIANT, "sample %d of %d was asked for", (int)index, (int)dataset->n);
    memset(raw, pixel_of(index), IMAGE);
    *bytes = IMAGE;
    *label = (int32_t)(index % CLASSES);
    return 0;
}

/* One byte, which decoding spreads. */
static int read_packed(const struct dataset *dataset, int64_t index, void *raw, size_t *bytes, int32_t *label, struct error *error)
{
    uint8_t pixels[IMAGE] = { 0 };
    if (read_plain(dataset, index, pixels, bytes, label, error))
        return -1;
    memcpy(raw, pixels, 1);
    *bytes = 1;
    return 0;
}

static int decode_packed(const struct dataset *dataset, const void *raw, size_t bytes, uint8_t *pixels, struct error *error)
{
    (void)dataset;
    if (bytes != 1)
        return fail(error, EXIT_INPUT, "want one byte, found %zu", bytes);
    memset(pixels, *(const uint8_t *)raw, IMAGE);
    return 0;
}

static int read_short(const struct dataset *dataset, int64_t index, void *raw, size_t *bytes, int32_t *label, struct error *error)
{
    int result = read_plain(dataset, index, raw, bytes, label, error);
    *bytes = IMAGE - (index == 3);
    return result;
}

static const struct dataset_format plain = { .name = "plain", .read = read_plain }, short_of_one = { .name = "short", .read = read_short };
static const struct dataset_format packed = { .name = "packed", .read = read_packed, .decode = decode_packed };

static struct dataset numbered(const struct dataset_format *format, int64_t n, int64_t *torn)
{
    return (struct dataset){ .format = format, .n = n, .channels = 3, .height = 2, .width = 2, .classes = CLASSES,
                             .sample_bytes = format->decode ? 1 : IMAGE, .state = torn };
}

static void assert_batch(const struct loader_plan *plan, const struct batch *batch, int64_t number)
{
    int64_t n = plan->dataset->n, in_epoch = number % loader_batches_per_epoch(plan), epoch = number / loader_batches_per_epoch(plan);
    int64_t from = (plan->same_for_all ? in_epoch / plan->workers * plan->workers : in_epoch) * plan->batch;
    assert_int_equal(batch->number, number);
    assert_int_equal(batch->epoch, epoch);
    assert_int_equal(batch->n, n - from < plan->batch ? n - from : plan->batch);
    for (int i = 0; i < plan->batch; i++) {
        bool counts = i < batch->n;
        int64_t sample = !counts ? -1 : plan->shuffle ? order_at(plan->seed, epoch, n, from + i) : from + i;
        assert_int_equal(batch->index[i], sample);
        assert_int_equal(batch->labels[i], counts ? sample % CLASSES : 0);
        for (int p = 0; p < IMAGE; p++)
            assert_int_equal(batch->pixels[i * IMAGE + p], counts ? pixel_of(sample) : 0);
    }
}

static void assert_all_batches(const struct loader_plan *plan)
{
    struct error error = { 0 };
    struct loader *loader;
    assert_int_equal(loader_open(&loader, plan, &error), 0);
    int64_t allocations = door_calls(DOOR_ALLOCATE), waited = 0;
    for (int64_t j = plan->first; j < plan->end; j++) {
        const struct batch *batch;
        assert_int_equal(loader_take(loader, j, &batch, &waited, &error), 0);
        assert_batch(plan, batch, j);
        loader_give_back(loader, batch);
    }
    assert_true(waited >= 0);
    assert_int_equal(door_calls(DOOR_ALLOCATE), allocations);
    assert_int_equal(loader_bytes(loader), (size_t)plan->depth * (size_t)plan->batch * (IMAGE + sizeof(int64_t) + sizeof(int32_t)));
    loader_close(loader);
}

/* Several passes, from the start and from the middle of a pass, for one loader thread and four. */
static void batches_follow_from_their_number(void **state)
{
    (void)state;
    int64_t torn = NO_SAMPLE;
    for (int variant = 0; variant < 2 * 2 * 2 * 2 * 3; variant++) {
        struct dataset dataset = numbered(variant & 1 ? &packed : &plain, 47, &torn);
        struct loader_plan plan = { .dataset = &dataset, .batch = 5, .workers = 1 + variant / 16, .drop_last = variant & 2, .shuffle = variant & 4,
                                    .seed = 11, .first = variant & 8 ? 13 : 0, .end = END, .depth = 4 };
        for (plan.threads = 1; plan.threads <= 4; plan.threads += 3)
            assert_all_batches(&plan);
    }
}

static void same_for_all_repeats_the_first_worker_s_batch(void **state)
{
    (void)state;
    int64_t torn = NO_SAMPLE;
    struct dataset dataset = numbered(&plain, 47, &torn);
    struct loader_plan plan = { .dataset = &dataset, .batch = 4, .workers = 3, .drop_last = true, .shuffle = true, .same_for_all = true, .seed = 3,
                                .end = END, .threads = 2, .depth = 6 };
    assert_all_batches(&plan);
}

static void passes_are_counted_in_whole_batches(void **state)
{
    (void)state;
    struct dataset dataset = { .n = 100 };
    struct loader_plan plan = { .dataset = &dataset, .batch = 8, .workers = 3, .drop_last = true };
    assert_int_equal(loader_batches_per_epoch(&plan), 12);
    plan.drop_last = false;
    assert_int_equal(loader_batches_per_epoch(&plan), 13);
    plan.drop_last = true;
    plan.batch = 34;
    assert_int_equal(loader_batches_per_epoch(&plan), 0);
}

/* K workers each take their own batches and hold one while they wait for the next; together they see every position of a pass once. */
struct worker { struct loader *loader; const struct loader_plan *plan; int number; pthread_t thread; _Atomic int *seen; int failures; struct error error; };

static void *run_worker(void *context)
{
    struct worker *worker = context;
    for (int64_t j = worker->number; j < worker->plan->end; j += worker->plan->workers) {
        const struct batch *batch;
        if (loader_take(worker->loader, j, &batch, NULL, &worker->error)) {
            worker->failures++;
            return NULL;
        }
        for (int i = 0; i < batch->n; i++)
            atomic_fetch_add(&worker->seen[batch->index[i]], 1);
        loader_give_back(worker->loader, batch);
    }
    return NULL;
}

static int run_workers(const struct loader_plan *plan, struct loader *loader, struct worker *workers, _Atomic int *seen)
{
    struct error error = { 0 };
    int failures = 0;
    for (int k = 0; k < plan->workers; k++) {
        workers[k] = (struct worker){ .loader = loader, .plan = plan, .number = k, .seen = seen };
        assert_int_equal(thread_start(&workers[k].thread, "worker", run_worker, &workers[k], &error), 0);
    }
    for (int k = 0; k < plan->workers; k++) {
        thread_join(workers[k].thread);
        failures += workers[k].failures;
    }
    return failures;
}

static void workers_share_a_pass(void **state)
{
    (void)state;
    enum { PASSES = 5, N = 600 };
    int64_t torn = NO_SAMPLE;
    for (int threads = 1; threads <= 4; threads += 3)
        for (int k = 1; k <= 3; k++) {
            _Atomic int seen[N] = { 0 };
            struct worker workers[3];
            struct error error = { 0 };
            struct loader *loader;
            struct dataset dataset = numbered(&packed, N, &torn);
            struct loader_plan plan = { .dataset = &dataset, .batch = 10, .workers = k, .drop_last = true, .shuffle = true, .seed = 5,
                                        .end = PASSES * N / 10, .threads = threads, .depth = 2 * k };
            assert_int_equal(loader_open(&loader, &plan, &error), 0);
            assert_int_equal(run_workers(&plan, loader, workers, seen), 0);
            loader_close(loader);
            for (int i = 0; i < N; i++)
                assert_int_equal(seen[i], PASSES);
        }
}

static void a_torn_sample_reaches_every_taker(void **state)
{
    (void)state;
    int64_t torn = 77;
    for (int threads = 1; threads <= 4; threads += 3) {
        _Atomic int seen[100] = { 0 };
        struct worker workers[3];
        struct error error = { 0 };
        struct loader *loader;
        struct dataset dataset = numbered(&plain, 100, &torn);
        struct loader_plan plan = { .dataset = &dataset, .batch = 5, .workers = 3, .drop_last = false, .end = INT64_MAX, .threads = threads, .depth = 6 };
        assert_int_equal(loader_open(&loader, &plan, &error), 0);
        assert_int_equal(run_workers(&plan, loader, workers, seen), 3);
        for (int k = 0; k < 3; k++) {
            assert_int_equal(workers[k].error.code, EXIT_INPUT);
            assert_string_equal(workers[k].error.text, "sample 77 is torn");
        }
        assert_int_equal(seen[77], 0);
        loader_close(loader);
    }
}

static void a_sample_of_the_wrong_length_is_refused(void **state)
{
    (void)state;
    int64_t torn = NO_SAMPLE;
    struct error error = { 0 };
    struct loader *loader;
    const struct batch *batch;
    struct dataset dataset = numbered(&short_of_one, 8, &torn);
    struct loader_plan plan = { .dataset = &dataset, .batch = 8, .workers = 1, .drop_last = true, .end = INT64_MAX, .threads = 1, .depth = 2 };
    assert_int_equal(loader_open(&loader, &plan, &error), 0);
    assert_int_equal(loader_take(loader, 0, &batch, NULL, &error), -1);
    assert_string_equal(error.text, "short: sample 3: want 12 bytes of pixels, found 11");
    loader_close(loader);
}

/* Takers that wait for a batch which cannot come, because the one before it in its slot is still held. */
static void a_stop_wakes_a_waiting_taker(void **state)
{
    (void)state;
    int64_t torn = NO_SAMPLE;
    struct error error = { 0 };
    struct loader *loader;
    const struct batch *held;
    struct dataset dataset = numbered(&plain, 100, &torn);
    struct loader_plan plan = { .dataset = &dataset, .batch = 5, .workers = 1, .drop_last = true, .end = INT64_MAX, .threads = 4, .depth = 2 };
    assert_int_equal(loader_open(&loader, &plan, &error), 0);
    assert_int_equal(loader_take(loader, 0, &held, NULL, &error), 0);
    struct worker waiter = { .loader = loader, .plan = &plan, .number = 2, .seen = NULL };
    assert_int_equal(thread_start(&waiter.thread, "worker", run_worker, &waiter, &error), 0);
    door_sleep_until_ns(door_now_ns() + 20 * 1000 * 1000);
    loader_stop(loader);
    thread_join(waiter.thread);
    assert_int_equal(waiter.failures, 1);
    assert_int_equal(waiter.error.code, 0);
    assert_int_equal(loader_take(loader, 1, &held, NULL, &error), -1);
    assert_int_equal(error.code, 0);
    loader_close(loader);
}

static struct { char *begin[3]; size_t bytes[3]; int taken, given_back; } lent;

static int lend(void **block, size_t bytes, const char *what, struct error *error)
{
    if (door_allocate(block, bytes, what, error))
        return -1;
    assert_true(lent.taken < 3);
    lent.begin[lent.taken] = *block;
    lent.bytes[lent.taken++] = bytes;
    return 0;
}

static void take_back(void *block)
{
    lent.given_back += block != NULL;
    door_free(block);
}

static void assert_lent(const void *from, size_t bytes)
{
    bool inside = false;
    for (int i = 0; i < lent.taken; i++)
        inside = inside || ((const char *)from >= lent.begin[i] && (const char *)from + bytes <= lent.begin[i] + lent.bytes[i]);
    assert_true(inside);
}

static void batches_lie_where_the_plan_wants_them(void **state)
{
    (void)state;
    int64_t torn = NO_SAMPLE;
    struct error error = { 0 };
    struct loader *loader;
    const struct batch *batch;
    struct dataset dataset = numbered(&plain, 100, &torn);
    const struct loader_plan plan = { .dataset = &dataset, .batch = 5, .workers = 1, .drop_last = true, .end = 6, .threads = 2, .depth = 4, .allocate = lend, .release = take_back };
    memset(&lent, 0, sizeof lent);
    assert_int_equal(loader_open(&loader, &plan, &error), 0);
    for (int64_t i = 0; i < plan.end; i++) {
        assert_int_equal(loader_take(loader, i, &batch, NULL, &error), 0);
        assert_lent(batch->pixels, 5 * IMAGE);
        assert_lent(batch->labels, 5 * sizeof *batch->labels);
        assert_lent(batch->index, 5 * sizeof *batch->index);
        loader_give_back(loader, batch);
    }
    loader_close(loader);
    assert_int_equal(lent.given_back, 3);
}

static void a_plan_that_cannot_work_is_refused(void **state)
{
    (void)state;
    int64_t torn = NO_SAMPLE;
    struct dataset dataset = numbered(&plain, 100, &torn);
    const struct loader_plan good = { .dataset = &dataset, .batch = 50, .workers = 2, .drop_last = true, .end = END, .threads = 1, .depth = 2 };
    struct loader_plan plans[] = { good, good, good, good };
    static const char *const want[] = {
        "batch: 3 workers of 50 samples want 150 samples in the dataset, found 100", "batch: want 1..65536 samples, found 65537",
        "loader threads: want 1..256, found 0", "loader: want at least 1 worker and 2 slots, found 2 and 1",
    };
    plans[0].workers = 3;
    plans[1].batch = 65537;
    plans[2].threads = 0;
    plans[3].depth = 1;
    for (int i = 0; i < 4; i++) {
        struct error error = { 0 };
        struct loader *loader;
        assert_int_equal(loader_open(&loader, &plans[i], &error), -1);
        assert_null(loader);
        assert_int_equal(error.code, EXIT_USAGE);
        assert_string_equal(error.text, want[i]);
    }
    loader_close(NULL);
}

static void memory_that_runs_out_is_an_error(void **state)
{
    (void)state;
    int64_t torn = NO_SAMPLE;
    struct dataset dataset = numbered(&packed, 100, &torn);
    const struct loader_plan plan = { .dataset = &dataset, .batch = 50, .workers = 2, .drop_last = true, .end = END, .threads = 1, .depth = 2 };
    struct loader *loader = NULL;
    int n = 0;
    for (bool opened = false; !opened; n++) {
        struct error error = { 0 };
        door_fail_at(DOOR_ALLOCATE, n + 1, ENOMEM, false);
        opened = loader_open(&loader, &plan, &error) == 0;
        assert_int_equal(error.code, opened ? 0 : EXIT_MEMORY);
    }
    door_fail_at(DOOR_ALLOCATE, 0, 0, false);
    loader_close(loader);
    assert_int_equal(n, 8); /* seven blocks fail in turn, then it opens */
}

int test_loader(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_follow_from_their_number),
        cmocka_unit_test(same_for_all_repeats_the_first_worker_s_batch),
        cmocka_unit_test(passes_are_counted_in_whole_batches),
        cmocka_unit_test(workers_share_a_pass),
        cmocka_unit_test(a_torn_sample_reaches_every_taker),
        cmocka_unit_test(a_sample_of_the_wrong_length_is_refused),
        cmocka_unit_test(a_stop_wakes_a_waiting_taker),
        cmocka_unit_test(batches_lie_where_the_plan_wants_them),
        cmocka_unit_test(a_plan_that_cannot_work_is_refused),
        cmocka_unit_test(memory_that_runs_out_is_an_error),
    };
    return cmocka_run_group_tests_name("loader", tests, NULL, NULL);
}
