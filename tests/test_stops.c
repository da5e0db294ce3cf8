/* Runs that end early: on request, at any moment, or because something failed. All threads end, and what is there is what so many iterations make. */
#include "base/door.h"
#include "base/philox.h"
#include "data/formats.h"
#include "tests/session.h"
#include "tests/simulation.h"
#include "tests/tests.h"
#include "trainer/message.h"
#include "trainer/server.h"
#include "trainer/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIST(...) (const char *const[]){ __VA_ARGS__, NULL }

/* The iteration that all workers stopped at; they must agree. */
static int64_t stopped_at(const struct session *session)
{
    const struct run *run = session->run;
    int64_t t = run->workers[0].iteration;
    for (int k = 0; k < run->k; k++)
        assert_int_equal(run->workers[k].iteration, t);
    assert_int_equal(run->server->tally.iterations, t);
    for (int bucket = 0; bucket < run->buckets.n; bucket++)
        assert_int_equal(run->server->versions[bucket], run->algorithm->synchronous ? t : t * run->k);
    return t;
}

static void assert_stops(const char *const *settings, int64_t at, int64_t after_ns)
{
    struct session session;
    struct settings all = settings_join(LIST("workers.jitter=1", "train.iterations=60"), settings);
    session_open(&session, all.rows);
    session.ask_stop_at = at;
    session.ask_after_ns = after_ns;
    session_train(&session);
    int64_t t = stopped_at(&session);
    assert_in_range(t, at, 60);
    float *expected = simulate(&session, t, NULL);
    assert_memory_equal(session_weights(&session), expected, session_floats(&session) * sizeof *expected);
    free(expected);
    session_close(&session);
}

/* Moments drawn from a seed: a step, and up to 3 ms after it. */
static void assert_stops_at_moments(uint64_t seed, const char *const *settings)
{
    for (int i = 0; i < 8; i++) {
        struct philox_block block = philox(seed, 0, (uint64_t)i);
        assert_stops(settings, i == 0 ? 0 : block.word[0] % 50, block.word[1] % 3000000);
    }
}

static void ssgd_stops(void **state) { (void)state, assert_stops_at_moments(1, LIST("train.algorithm=ssgd", "workers.count=3")); }
static void odsgd_stops(void **state) { (void)state, assert_stops_at_moments(2, LIST("train.algorithm=odsgd", "workers.count=3", "odsgd.warmup=10", "odsgd.local_update=predict")); }
static void odsgd_stops_without_warmup(void **state) { (void)state, assert_stops_at_moments(3, LIST("train.algorithm=odsgd", "workers.count=4", "odsgd.warmup=0", "odsgd.local_update=dc")); }
static void asgd_in_turn_stops(void **state) { (void)state, assert_stops_at_moments(4, LIST("train.algorithm=asgd", "workers.count=3")); }
static void odsgd_stops_between_evaluations(void **state) { (void)state, assert_stops_at_moments(5, LIST("train.algorithm=odsgd", "workers.count=3", "odsgd.warmup=2", "train.evaluate_every=0.1")); }

static void odsgd_stops_behind_a_link(void **state)
{
    (void)state;
    assert_stops_at_moments(6, LIST("train.algorithm=odsgd", "workers.count=2", "odsgd.warmup=3", "link.bandwidth_gbps=1", "link.latency_us=1000"));
}

static void asgd_stops(void **state)
{
    (void)state;
    for (int i = 0; i < 8; i++) {
        struct philox_block block = philox(7, 0, (uint64_t)i);
        struct session session;
        session_open(&session, LIST("train.algorithm=asgd", "async.order=free", "workers.count=4", "workers.jitter=1", "train.evaluate_every=0.2"));
        session.ask_stop_at = i == 0 ? 0 : block.word[0] % 40;
        session.ask_after_ns = block.word[1] % 3000000;
        session_train(&session);
        int64_t pushes = 0;
        for (int k = 0; k < session.run->k; k++)
            pushes += session.run->workers[k].iteration;
        for (int bucket = 0; bucket < session.run->buckets.n; bucket++)
            assert_int_equal(session.run->server->versions[bucket], pushes);
        assert_int_equal(session.run->server->n_pending, 0);
        session_close(&session);
    }
}

/* The built-in digits, of which one cannot be read. */
enum { TORN = 123 };
static int read_but_one(const struct dataset *dataset, int64_t index, void *raw, size_t *bytes, int32_t *label, struct error *error)
{
    if (index == TORN)
        return fail(error, EXIT_INPUT, "digits: sample %d: torn", TORN);
    return dataset_synthetic.read(dataset, index, raw, bytes, label, error);
}

static const char *const everybody[] = { "train.algorithm=ssgd", "train.algorithm=odsgd", "train.algorithm=asgd", "train.algorithm=dcasgd" };
enum { EVERYBODY = sizeof everybody / sizeof *everybody };

static void a_sample_that_cannot_be_read(void **state)
{
    (void)state;
    const struct dataset_format torn = { .name = "synthetic", .read = read_but_one, .close = dataset_synthetic.close };
    for (int i = 0; i < 2 * EVERYBODY; i++) {
        struct session session;
        session_open(&session, LIST(everybody[i / 2], "odsgd.warmup=1", "workers.count=3", "workers.jitter=1", "async.order=free"));
        *(i % 2 ? &session.train.format : &session.test.format) = &torn;
        session.test.n = 200;
        assert_int_equal(session_run(&session), -1);
        assert_int_equal(session.error.code, EXIT_INPUT);
        assert_string_equal(session.error.text, "digits: sample 123: torn");
        session_close(&session);
    }
}

static void numbers_that_are_not_finite(void **state)
{
    (void)state;
    for (int i = 0; i < 2 * EVERYBODY; i++) {
        const char *const counts[] = { "workers.count=1", "workers.count=3" };
        struct session session;
        session_open(&session, LIST(everybody[i / 2], counts[i % 2], "odsgd.warmup=1", "optimizer.lr=1e6", "schedule.kind=constant", "workers.jitter=1", "async.order=free"));
        assert_int_equal(session_run(&session), -1);
        assert_int_equal(session.error.code, EXIT_NOT_FINITE);
        int iteration, worker;
        if (sscanf(session.error.text, "iteration %d, worker %d: the loss is ", &iteration, &worker) != 2)
            fail_msg("found \"%s\"", session.error.text);
        assert_in_range(iteration, 1, 49);
        assert_in_range(worker, 0, session.run->k - 1);
        assert_int_equal(session.run->workers[worker].iteration, iteration);
        session_close(&session);
    }
}

/* Main is writing a file while the reports pile up and somebody fails: the last report comes all the same. */
static void the_last_report_comes(void **state)
{
    (void)state;
    struct session session;
    session_open(&session, LIST("workers.count=1", "train.iterations=100000"));
    session.busy_ns = 300000000;
    assert_int_equal(session_run(&session), -1);
    assert_string_equal(session.error.text, "called off");
    assert_in_range(session.run->server->tally.iterations, 1, 99999);
    session_close(&session);
}

/* Weights built on another version than the algorithm says. */
static void wrong_staleness_is_found(void **state)
{
    (void)state;
    struct session session;
    session_open(&session, LIST("train.algorithm=odsgd", "odsgd.warmup=3"));
    session_train(&session);
    struct worker *worker = &session.run->workers[1];
    struct error error = { 0 };
    assert_int_equal(worker_built_on(worker, 9, 4, 8, 1, &error), 0);
    assert_int_equal(worker_built_on(worker, 9, 4, 7, 1, &error), -1);
    assert_int_equal(error.code, EXIT_INVARIANT);
    assert_string_equal(error.text, "worker 1: iteration 9, bucket 4: staleness 2, want exactly 1");
    error = (struct error){ 0 };
    assert_int_equal(worker_built_on(worker, 9, 4, 9, 1, &error), -1);
    assert_string_equal(error.text, "worker 1: iteration 9, bucket 4: staleness 0, want exactly 1");
    session_close(&session);
}

static void assert_ledger(const struct ledger *ledger, const int64_t *counts, int n)
{
    for (int bin = 0; bin < LEDGER_BINS; bin++)
        assert_int_equal(ledger->count[bin], bin < n ? counts[bin] : 0);
}

static void the_ledger_says_what_was_delayed(void **state)
{
    (void)state;
    static const struct { const char *warmup; int prompt; } rows[] = { { "odsgd.warmup=0", 1 }, { "odsgd.warmup=5", 6 }, { "odsgd.warmup=100", 50 } };
    for (int i = 0; i < 3; i++) {
        struct session session;
        session_open(&session, LIST("train.algorithm=odsgd", rows[i].warmup, "workers.count=3", "workers.jitter=1"));
        session_train(&session);
        int64_t buckets = session.run->buckets.n;
        for (int k = 0; k < 3; k++)
            assert_ledger(&session.run->workers[k].ledger, (int64_t[]){ rows[i].prompt * buckets, (50 - rows[i].prompt) * buckets }, 2);
        session_close(&session);
    }
    for (int i = 0; i < 2; i++) {
        struct session session;
        session_open(&session, LIST(everybody[2 + i], "workers.count=4", "workers.jitter=1"));
        session_train(&session);
        int64_t buckets = session.run->buckets.n;
        /* all four start on W_0, so the first round lacks 0, 1, 2 and 3 updates; then it is the round of the three others */
        assert_ledger(&session.run->server->ledger, (int64_t[]){ buckets, buckets, buckets, (4 * 49 + 1) * buckets }, 4);
        session_close(&session);
    }
}

int test_stops(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ssgd_stops), cmocka_unit_test(odsgd_stops), cmocka_unit_test(odsgd_stops_without_warmup), cmocka_unit_test(asgd_in_turn_stops),
        cmocka_unit_test(odsgd_stops_between_evaluations), cmocka_unit_test(odsgd_stops_behind_a_link), cmocka_unit_test(asgd_stops),
        cmocka_unit_test(a_sample_that_cannot_be_read), cmocka_unit_test(numbers_that_are_not_finite), cmocka_unit_test(the_last_report_comes), cmocka_unit_test(wrong_staleness_is_found),
        cmocka_unit_test(the_ledger_says_what_was_delayed),
    };
    return cmocka_run_group_tests_name("stops", tests, NULL, NULL);
}
