/* What must be the same bits, or nearly: the identities of OD-SGD and its relatives, and everything that is promised to change no result. */
#include "base/door.h"
#include "tests/session.h"
#include "tests/simulation.h"
#include "tests/tests.h"
#include "trainer/server.h"
#include "trainer/worker.h"

#include <math.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#define LIST(...) (const char *const[]){ __VA_ARGS__, NULL }
#define ODSGD "train.algorithm=odsgd"

/* The simulation of SSGD with one worker is three lines of plain SGD. */
static void one_worker_is_plain_sgd(void **state)
{
    (void)state;
    struct session session;
    session_open(&session, LIST("workers.count=1"));
    float *plain = simulate(&session, session.config.train.iterations, NULL);
    size_t bytes = session_floats(&session) * sizeof *plain;
    session_close(&session);
    const char *const algorithms[] = { "train.algorithm=ssgd", "train.algorithm=asgd" };
    for (int i = 0; i < 2; i++) {
        float *trained = session_trained(LIST("workers.count=1", algorithms[i], "async.scale=1"));
        assert_memory_equal(trained, plain, bytes);
        free(trained);
    }
    free(plain);
}

static void a_warmup_as_long_as_the_run_is_ssgd(void **state)
{
    (void)state;
    assert_true(session_same(LIST("workers.count=3"), LIST("workers.count=3", ODSGD, "odsgd.warmup=50")));
    assert_true(session_same(LIST("workers.count=3"), LIST("workers.count=3", ODSGD, "odsgd.warmup=1000", "odsgd.local_update=dc")));
    /* with n = 49 the delay begins after the last gradient; with 48 it is felt */
    assert_true(session_same(LIST("workers.count=3"), LIST("workers.count=3", ODSGD, "odsgd.warmup=49")));
    assert_false(session_same(LIST("workers.count=3"), LIST("workers.count=3", ODSGD, "odsgd.warmup=48")));
}

static void no_compensation_is_the_plain_local_update(void **state)
{
    (void)state;
    const char *const warmups[] = { "odsgd.warmup=0", "odsgd.warmup=1", "odsgd.warmup=5" };
    const char *const rules[] = { "odsgd.local_update=dc", "odsgd.local_update=adc" };
    for (int i = 0; i < 6; i++)
        assert_true(session_same(LIST(ODSGD, warmups[i % 3], "workers.count=3", "odsgd.local_update=sgd"), LIST(ODSGD, warmups[i % 3], "workers.count=3", rules[i / 3], "odsgd.lambda=0")));
    assert_false(session_same(LIST(ODSGD, "odsgd.warmup=0", "odsgd.local_update=sgd"), LIST(ODSGD, "odsgd.warmup=0", "odsgd.local_update=dc")));
}

static void assert_predicted(const struct simulated_step *step)
{
    for (size_t i = 0; i < step->n; i++)
        for (int k = 0; k < step->k; k++) {
            double w = fabs(step->w[i]), v = fabs(step->v[i]), g = fabs(step->gradients[k][i]), error = fabs((double)step->locals[k][i] - step->w_next[i]);
            double bound = 8 * 0x1p-24 * (w + step->rate * (v + 2 * g + step->decay[i] * w));
            if (step->t > 0 && error > bound)
                fail_msg("iteration %d, worker %d, element %zu: %g beside %g: off by %g, want at most %g", (int)step->t, k, i, step->locals[k][i], step->w_next[i], error, bound);
        }
}

/* The bits of the simulation are those of the run, so what holds in it holds there. */
static void predict_foresees_the_update(void **state)
{
    (void)state;
    const char *const crowds[][2] = { { "workers.count=1", "data.same_for_all=false" }, { "workers.count=4", "data.same_for_all=true" } };
    const char *const nesterov[] = { "optimizer.nesterov=false", "optimizer.nesterov=true" };
    for (int i = 0; i < 4; i++) {
        struct session session;
        session_open(&session, LIST(ODSGD, "odsgd.warmup=0", "odsgd.local_update=predict", crowds[i / 2][0], crowds[i / 2][1], nesterov[i % 2]));
        session_train(&session);
        float *simulated = simulate(&session, session.run->iterations, assert_predicted);
        assert_memory_equal(simulated, session_weights(&session), session_floats(&session) * sizeof *simulated);
        free(simulated);
        session_close(&session);
    }
}

static void buckets_change_nothing(void **state)
{
    (void)state;
    const char *const rules[] = { "odsgd.local_update=predict", "odsgd.local_update=adc" };
    for (int i = 0; i < 2; i++) {
        const char *const common[] = { ODSGD, "odsgd.warmup=1", "net.name=mlp", "train.iterations=12", rules[i], "odsgd.momentum_local=0.5", NULL };
        struct settings one = settings_join(common, LIST("train.bucket_kib=1024")), forty = settings_join(common, LIST("train.bucket_kib=10"));
        struct session session;
        session_open(&session, forty.rows);
        session_train(&session);
        assert_int_equal(session.run->buckets.n, 40);
        session_close(&session);
        assert_true(session_same(one.rows, forty.rows));
    }
}

static void loader_threads_change_nothing(void **state)
{
    (void)state;
    assert_true(session_same(LIST("workers.count=3", "data.loader_threads=1"), LIST("workers.count=3", "data.loader_threads=4", "data.prefetch=17")));
    assert_false(session_same(LIST("workers.count=3", "data.shuffle=false"), LIST("workers.count=3")));
}

/* The session's networks do not read data.mean; the squares are of the nearest byte to it: 51 twice, then 230. */
static void cutout_fills_with_the_mean(void **state)
{
    (void)state;
    assert_true(session_same(LIST("data.mean=0.2"), LIST("data.mean=0.9")));
    assert_true(session_same(LIST("data.cutout=9", "data.mean=0.2"), LIST("data.cutout=9", "data.mean=0.201")));
    assert_false(session_same(LIST("data.cutout=9", "data.mean=0.2"), LIST("data.cutout=9", "data.mean=0.9")));
}

/* A norm that no gradient has leaves every bit; a small one does not, and it is the whole gradient's: buckets and what else moves change nothing. */
static void clipping_is_of_the_whole_gradient(void **state)
{
    (void)state;
    const char *const algorithms[][2] = {
        { "train.algorithm=ssgd", "async.adaptive=false" }, { "train.algorithm=asgd", "async.adaptive=false" }, { "train.algorithm=dcasgd", "async.adaptive=true" },
        { ODSGD, "odsgd.local_update=none" }, { ODSGD, "odsgd.local_update=dc" }, { ODSGD, "odsgd.local_update=predict" },
    };
    for (int i = 0; i < 6; i++) {
        const char *const common[] = { algorithms[i][0], algorithms[i][1], "odsgd.warmup=1", "workers.count=3", "workers.jitter=1", "train.iterations=20", NULL };
        struct settings never = settings_join(common, LIST("optimizer.clip_norm=1e9")), always = settings_join(common, LIST("optimizer.clip_norm=0.1"));
        struct settings other = settings_join(always.rows, LIST("train.bucket_kib=7", "train.evaluate_every=0.001", "link.bandwidth_gbps=1", "link.latency_us=50"));
        assert_true(session_same(common, never.rows));
        assert_false(session_same(common, always.rows));
        assert_true(session_same(always.rows, other.rows));
    }
}

static void an_average_changes_no_weight(void **state)
{
    (void)state;
    const char *const algorithms[][2] = {
        { "train.algorithm=ssgd", "async.adaptive=false" }, { "train.algorithm=dcasgd", "async.adaptive=true" }, { ODSGD, "odsgd.local_update=dc" }, { ODSGD, "odsgd.local_update=predict" },
    };
    for (int i = 0; i < 4; i++) {
        const char *const common[] = { algorithms[i][0], algorithms[i][1], "odsgd.warmup=1", "workers.count=3", "train.evaluate_every=0.2", NULL };
        struct settings with = settings_join(common, LIST("train.ema_decay=0.99"));
        assert_true(session_same(common, with.rows));
    }
}

/* The running statistics that a run of so many iterations ends on and, behind them, their averages; free(). Evaluation used the latter. */
static float *normalized(const char *workers, const char *iterations, size_t *n)
{
    struct session session;
    session_open(&session, LIST("data.dataset=synthetic-cifar10", "data.limit=40", "data.test_limit=4", "net.name=resnet20", "data.batch=2", "schedule.kind=constant", "train.ema_decay=0.15",
                                workers, iterations));
    session_train(&session);
    *n = session.graph.stats.total;
    float *stats = malloc(2 * *n * sizeof *stats);
    assert_non_null(stats);
    assert_int_equal(session.run->n_stats, 2 * *n);
    assert_int_equal(run_final_stats(session.run, stats, &session.error), 0);
    assert_memory_equal(session.run->evaluation.stats, stats + *n, *n * sizeof *stats);
    session_close(&session);
    return stats;
}

/* Decays are 0.1 at first and 0.15 from then on; means begin at 0 and variances at 1. */
static void normalization_is_averaged_too(void **state)
{
    (void)state;
    size_t n;
    float *one = normalized("workers.count=1", "train.iterations=1", &n), *two = normalized("workers.count=1", "train.iterations=2", &n);
    const float first = (float)(1 - 0.1), later = (float)(1 - 0.15);
    for (size_t i = 0; i < n; i++) {
        float from_mean = 0 + first * (one[i] - 0), from_variance = 1 + first * (one[i] - 1);
        assert_true(one[n + i] == from_mean || one[n + i] == from_variance);
        assert_true(two[n + i] == one[n + i] + later * (two[i] - one[n + i]));
    }
    assert_memory_not_equal(one, two, n * sizeof *one);
    free(one);
    free(two);
    free(normalized("workers.count=2", "train.iterations=2", &n));
}

static void in_turn_repeats(void **state)
{
    (void)state;
    const char *const algorithms[] = { "train.algorithm=asgd", "train.algorithm=dcasgd" };
    for (int i = 0; i < 2; i++)
        assert_true(session_same(LIST(algorithms[i], "workers.count=4", "workers.jitter=2"), LIST(algorithms[i], "workers.count=4", "workers.slowdown=2,1,1,1", "train.bucket_kib=4")));
}

/* 200 samples take longer than an iteration, so an evaluation that did not hold the next one back would be run over. */
static void assert_unchanged_by_evaluation(const char *algorithm, const char *rule)
{
    struct session session;
    const char *const common[] = { algorithm, rule, "odsgd.warmup=2", "workers.count=3", "data.test_limit=200", NULL };
    static const struct { const char *every; int evaluations; } times[] = {
        { "train.evaluate_every=0.001", 50 }, { "train.evaluate_every=0.1", 20 }, { "train.evaluate_every=1", 2 }, { "train.evaluate_every=0", 1 },
    };
    double losses[SESSION_ITERATIONS + 1];
    float *never = session_trained(common);
    for (int i = 0; i < 4; i++) {
        struct settings settings = settings_join(common, LIST(times[i].every));
        session_open(&session, settings.rows);
        session_train(&session);
        assert_int_equal(session.evaluations, times[i].evaluations);
        assert_memory_equal(session_weights(&session), never, session_floats(&session) * sizeof *never);
        /* the newest evaluation saw the final weights */
        assert_memory_equal(session.run->evaluation.weights, never, session_floats(&session) * sizeof *never);
        if (i == 0)
            memcpy(losses, session.test_loss, sizeof losses);
        for (int t = 1; t <= 50; t++)
            assert_true(session.test_loss[t] == 0 || session.test_loss[t] == losses[t]);
        assert_true(losses[50] < losses[1]);
        session_close(&session);
    }
    free(never);
}

static void evaluation_changes_nothing(void **state)
{
    (void)state;
    assert_unchanged_by_evaluation("train.algorithm=ssgd", "odsgd.local_update=none");
    assert_unchanged_by_evaluation("train.algorithm=asgd", "odsgd.local_update=none");
    assert_unchanged_by_evaluation("train.algorithm=dcasgd", "odsgd.local_update=none");
    assert_unchanged_by_evaluation(ODSGD, "odsgd.local_update=predict");
    assert_unchanged_by_evaluation(ODSGD, "odsgd.local_update=dc");
}

/* Training sends so many bytes in each direction: every push, and every reply. */
static void assert_unchanged_by_link(const char *algorithm, const char *rule)
{
    const char *const common[] = { algorithm, rule, "odsgd.warmup=2", "workers.count=2", "train.iterations=20", NULL };
    float *unlinked = session_trained(common);
    const char *const duplexes[] = { "link.duplex=full", "link.duplex=half" };
    for (int i = 0; i < 2; i++) {
        struct session session;
        struct settings settings = settings_join(common, LIST("link.bandwidth_gbps=1", "link.latency_us=100", duplexes[i]));
        session_open(&session, settings.rows);
        session_train(&session);
        assert_memory_equal(session_weights(&session), unlinked, session_floats(&session) * sizeof *unlinked);
        int64_t bytes = 20 * 2 * (int64_t)session_floats(&session) * 4, expected = bytes * 8 * (1 + i); /* 1 Gbit/s: 8 ns a byte */
        int64_t extra = link_occupied_ns(&session.run->server->link) - expected;
        /* at the start and at the end of the warm-up W and P of one version both travel */
        int64_t twice = strcmp(rule, "odsgd.local_update=predict") == 0 ? 2 * (int64_t)session_floats(&session) * 4 * 8 : 0;
        assert_int_equal(extra, twice);
        session_close(&session);
    }
    free(unlinked);
}

static void a_link_changes_nothing(void **state)
{
    (void)state;
    assert_unchanged_by_link("train.algorithm=ssgd", "odsgd.local_update=none");
    assert_unchanged_by_link(ODSGD, "odsgd.local_update=none");
    assert_unchanged_by_link(ODSGD, "odsgd.local_update=predict");
    assert_unchanged_by_link("train.algorithm=asgd", "odsgd.local_update=none");
}

static int64_t allocations(const char *algorithm, const char *iterations, bool *captures)
{
    struct session session;
    session_open(&session, LIST(algorithm, iterations, "odsgd.warmup=1", "odsgd.local_update=adc", "train.evaluate_every=0.2", "link.bandwidth_gbps=10"));
    session_train(&session);
    int64_t n = session.allocations;
    *captures = session.backend->captures != NULL;
    session_close(&session);
    return n;
}

/* Captures are made in the second step of each turn, and no more of them later. */
static void steps_allocate_nothing(void **state)
{
    (void)state;
    const char *const algorithms[] = { "train.algorithm=ssgd", "train.algorithm=dcasgd", ODSGD };
    for (int i = 0; i < 3; i++) {
        bool captures;
        int64_t n = allocations(algorithms[i], "train.iterations=50", &captures);
        assert_int_equal(n, captures ? allocations(algorithms[i], "train.iterations=25", &captures) : 0);
    }
}

/* With no processor to itself the server goes beside the worker that is ahead, which changes no bit. */
static void the_server_goes_beside_the_first(void **state)
{
    (void)state;
    struct session session;
    cpu_set_t allowed;
    int processors[2], n = 0;
    session_open(&session, LIST("workers.count=2", "workers.slowdown=3,1"));
    assert_int_equal(sched_getaffinity(0, sizeof allowed, &allowed), 0);
    for (int i = 0; i < CPU_SETSIZE && n < 2; i++)
        if (CPU_ISSET((size_t)i, &allowed))
            processors[n++] = i;
    if (n < 2 || session.devices.n) {
        session_close(&session);
        test_skip(n < 2 ? "one processor" : "workers on GPUs are not pinned");
    }
    session.processors = processors;
    session_train(&session);
    assert_int_equal(session.run->server->beside, 1);
    float *alone = session_trained(LIST("workers.count=2"));
    assert_memory_equal(session_weights(&session), alone, session_floats(&session) * sizeof *alone);
    free(alone);
    session_close(&session);
}

int test_identities(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_worker_is_plain_sgd), cmocka_unit_test(a_warmup_as_long_as_the_run_is_ssgd), cmocka_unit_test(no_compensation_is_the_plain_local_update),
        cmocka_unit_test(predict_foresees_the_update), cmocka_unit_test(buckets_change_nothing), cmocka_unit_test(loader_threads_change_nothing), cmocka_unit_test(cutout_fills_with_the_mean),
        cmocka_unit_test(clipping_is_of_the_whole_gradient), cmocka_unit_test(an_average_changes_no_weight), cmocka_unit_test(normalization_is_averaged_too),
        cmocka_unit_test(in_turn_repeats), cmocka_unit_test(evaluation_changes_nothing), cmocka_unit_test(a_link_changes_nothing), cmocka_unit_test(steps_allocate_nothing),
        cmocka_unit_test(the_server_goes_beside_the_first),
    };
    return cmocka_run_group_tests_name("identities", tests, NULL, NULL);
}
