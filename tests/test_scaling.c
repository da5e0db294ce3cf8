/* Dynamic loss scaling: the rule by itself, runs in fp16 whose gradients overflow against their simulation, and what must not change them. */
#include "tests/session.h"
#include "tests/simulation.h"
#include "tests/tests.h"
#include "trainer/loss_scale.h"
#include "trainer/server.h"

#include <stdlib.h>
#include <string.h>

#define LIST(...) (const char *const[]){ __VA_ARGS__, NULL }

/* The session's gradients overflow from about 2^19 on: the scale falls from the largest there is, and rises and falls around that. */
#define FP16 "cpu.backend=reference", "train.precision=fp16", "train.loss_scale=16777216", "train.loss_scale_every=3", "train.iterations=30"

/* ---- the rule ---- */

static struct config config_of(const char *every, const char *scale)
{
    struct config config;
    struct error error = { 0 };
    config_defaults(&config);
    assert_int_equal(config_set(&config, "train.precision=fp16", &error) || config_set(&config, every, &error) || config_set(&config, scale, &error), 0);
    return config;
}

static void judge(struct loss_scale *scale, const struct config *config, int64_t used, bool finite)
{
    struct error error = { 0 };
    assert_int_equal(loss_scale_judge(scale, config, used, finite, &error), 0);
}

static void it_halves_and_doubles(void **state)
{
    (void)state;
    const struct config config = config_of("train.loss_scale_every=3", "train.loss_scale=1024");
    struct loss_scale scale = loss_scale_start(&config);
    static const struct { bool finite; int exponent, before; } course[] = {
        { true, 10, 10 }, { true, 10, 10 }, { true, 11, 10 }, { true, 11, 11 }, { false, 10, 11 }, { false, 9, 10 }, { true, 9, 9 }, { true, 9, 9 }, { false, 8, 9 },
        { true, 8, 8 }, { true, 8, 8 }, { true, 9, 8 },
    };
    for (size_t i = 0; i < sizeof course / sizeof *course; i++) {
        judge(&scale, &config, scale.exponent, course[i].finite);
        assert_int_equal(scale.exponent, course[i].exponent);
        assert_int_equal(scale.before, course[i].before);
        assert_int_equal(scale.judged, i + 1);
    }
    assert_int_equal(scale.skipped, 3);
}

/* With a delay the iteration after the one that overflows has begun with the same scale: that it overflows too says nothing new. */
static void what_was_lowered_since_is_not_lowered_twice(void **state)
{
    (void)state;
    const struct config config = config_of("train.loss_scale_every=3", "train.loss_scale=1024");
    struct loss_scale scale = loss_scale_start(&config);
    judge(&scale, &config, 10, false);
    assert_int_equal(scale.exponent, 9);
    judge(&scale, &config, 10, false);
    assert_int_equal(scale.exponent, 9);
    judge(&scale, &config, 9, false);
    assert_int_equal(scale.exponent, 8);
    judge(&scale, &config, 8, true);
    assert_int_equal(scale.exponent, 8);
}

static void it_has_ends(void **state)
{
    (void)state;
    const struct config rising = config_of("train.loss_scale_every=1", "train.loss_scale=8388608"), fixed = config_of("train.loss_scale_every=0", "train.loss_scale=1024");
    struct loss_scale scale = loss_scale_start(&rising);
    for (int i = 0; i < 3; i++)
        judge(&scale, &rising, scale.exponent, true);
    assert_int_equal(scale.exponent, LOSS_SCALE_MOST);
    for (int i = 0; i < LOSS_SCALE_MOST + LOSS_SCALE_PATIENCE - 1; i++)
        judge(&scale, &rising, scale.exponent, false);
    assert_int_equal(scale.exponent, 0);
    judge(&scale, &rising, 0, true); /* the patience begins anew */
    assert_int_equal(scale.stuck, 0);
    scale = loss_scale_start(&fixed);
    for (int i = 0; i < 5; i++)
        judge(&scale, &fixed, scale.exponent, i % 2);
    assert_int_equal(scale.exponent, 10);
}

static void it_gives_up(void **state)
{
    (void)state;
    const struct config config = config_of("train.loss_scale_every=100", "train.loss_scale=1");
    struct loss_scale scale = loss_scale_start(&config);
    struct error error = { 0 };
    for (int i = 1; i < LOSS_SCALE_PATIENCE; i++)
        judge(&scale, &config, 0, false);
    assert_int_equal(loss_scale_judge(&scale, &config, 0, false, &error), -1);
    assert_int_equal(error.code, EXIT_NOT_FINITE);
    assert_non_null(strstr(error.text, "20 iterations in a row overflow in fp16 with a loss scale of 1"));
}

/* ---- runs ---- */

static int64_t skipped(const struct session *session)
{
    int64_t sum = 0;
    for (int k = 0; k < session->run->k; k++)
        sum += session->run->server->clip.scales[k].skipped;
    return sum;
}

/* As those of test_algorithms, and each of them has skipped, and has settled. */
static void assert_simulated(const char *const *settings)
{
    static const char *const crowds[][5] = {
        { "workers.count=1", "odsgd.warmup=5", NULL },
        { "workers.count=2", "odsgd.warmup=0", "workers.jitter=1", NULL },
        { "workers.count=3", "odsgd.warmup=1", "workers.jitter=0.5", "workers.slowdown=1,2,1", NULL },
    };
    for (int i = 0; i < 3; i++) {
        struct settings common = settings_join(LIST(FP16), crowds[i]), all = settings_join(common.rows, settings);
        struct session session;
        float *average;
        session_open(&session, all.rows);
        session_train(&session);
        float *expected = simulate_average(&session, session.run->iterations, &average, NULL);
        assert_memory_equal(session_weights(&session), expected, session_floats(&session) * sizeof *expected);
        if (run_has_average(session.run))
            assert_memory_equal(session.run->evaluation.weights, average, session_floats(&session) * sizeof *average);
        const int64_t judged = session.run->algorithm->synchronous ? 30 : 30 * session.run->k;
        assert_true(skipped(&session) >= 4 && skipped(&session) < judged * 2 / 3);
        free(expected);
        free(average);
        session_close(&session);
    }
}

#define SIMULATED(test, ...) static void test(void **state) { (void)state, assert_simulated(LIST(__VA_ARGS__)); }
SIMULATED(ssgd, "train.algorithm=ssgd", "train.ema_decay=0.8")
SIMULATED(ssgd_clipped, "train.algorithm=ssgd", "optimizer.clip_norm=0.3")
SIMULATED(asgd, "train.algorithm=asgd", "train.ema_decay=0.8")
SIMULATED(dcasgd, "train.algorithm=dcasgd", "async.adaptive=true")
SIMULATED(odsgd_none, "train.algorithm=odsgd", "odsgd.local_update=none")
SIMULATED(odsgd_sgd, "train.algorithm=odsgd", "odsgd.local_update=sgd", "odsgd.momentum_local=0.5")
SIMULATED(odsgd_adc, "train.algorithm=odsgd", "odsgd.local_update=adc", "odsgd.ms_decay=0.5")
SIMULATED(odsgd_predict, "train.algorithm=odsgd", "odsgd.local_update=predict", "optimizer.nesterov=true")
SIMULATED(odsgd_predict_clipped, "train.algorithm=odsgd", "odsgd.local_update=predict", "optimizer.clip_norm=0.3")

static bool same(const char *const *first, const char *const *second)
{
    struct session session;
    session_open(&session, first);
    const size_t bytes = session_floats(&session) * sizeof(float);
    session_close(&session);
    float *a = session_trained(first), *b = session_trained(second);
    const bool equal = memcmp(a, b, bytes) == 0;
    free(a);
    free(b);
    return equal;
}

static void nothing_else_changes_a_run(void **state)
{
    (void)state;
    static const char *const kinds[][3] = {
        { "train.algorithm=ssgd", "workers.count=2", NULL }, { "train.algorithm=asgd", "workers.count=3", NULL }, { "train.algorithm=odsgd", "odsgd.warmup=2", NULL },
    };
    for (int i = 0; i < 3; i++) {
        struct settings run = settings_join(LIST(FP16), kinds[i]);
        struct settings other = settings_join(run.rows, LIST("train.bucket_kib=7", "train.evaluate_every=0.1", "link.bandwidth_gbps=1", "link.latency_us=50", "workers.jitter=1"));
        assert_true(same(run.rows, other.rows));
    }
}

/* Without overflows the scale changes little, and none in other precisions. */
static void scales_are_fp16s_alone(void **state)
{
    (void)state;
    const char *const large[] = { "cpu.backend=reference", "train.loss_scale=16777216", NULL }, *const small[] = { "cpu.backend=reference", "train.loss_scale=1", NULL };
    const char *const precisions[] = { "train.precision=fp32", "train.precision=bf16", "train.precision=fp16" };
    for (int i = 0; i < 3; i++) {
        struct settings a = settings_join(large, LIST(precisions[i])), b = settings_join(small, LIST(precisions[i]));
        assert_int_equal(same(a.rows, b.rows), i < 2);
    }
}

static void a_run_that_always_overflows_stops(void **state)
{
    (void)state;
    struct session session;
    session_open(&session, LIST(FP16, "train.loss_scale_every=0"));
    assert_int_equal(session_run(&session), -1);
    assert_int_equal(session.error.code, EXIT_NOT_FINITE);
    assert_non_null(strstr(session.error.text, "the gradients of 20 iterations in a row overflow in fp16 with a loss scale of 1.67772e+07"));
    assert_int_equal(skipped(&session), LOSS_SCALE_PATIENCE);
    session_close(&session);
}

/* It begins too high, settles, and learns what fp32 does. */
static void it_learns(void **state)
{
    (void)state;
    const char *const common[] = { "cpu.backend=reference", "train.iterations=60", "data.limit=2000", "data.test_limit=500", "data.batch=16", "optimizer.momentum=0.9", NULL };
    struct settings wide = settings_join(common, LIST("train.precision=fp32")), narrow = settings_join(common, LIST("train.precision=fp16", "train.loss_scale=8388608"));
    struct session a, b;
    session_open(&a, wide.rows);
    session_train(&a);
    session_open(&b, narrow.rows);
    session_train(&b);
    assert_true(skipped(&b) > 0 && skipped(&b) < 10);
    assert_true(a.test_loss[60] < 2 && fabs(b.test_loss[60] / a.test_loss[60] - 1) < 0.15);
    session_close(&a);
    session_close(&b);
}

static void a_scale_is_a_power_of_two(void **state)
{
    (void)state;
    struct config config;
    struct error error = { 0 };
    config_defaults(&config);
    assert_int_equal(config_set(&config, "data.dataset=synthetic", &error) || config_set(&config, "net.name=lenet", &error) || config_set(&config, "train.epochs=1", &error), 0);
    assert_int_equal(config_set(&config, "train.loss_scale=1000", &error), 0);
    assert_int_equal(config_check(&config, "a.ini", &error), -1);
    assert_string_equal(error.text, "a.ini: [train] loss_scale: want a power of two, which changes no bit of a gradient, got 1000");
    assert_int_equal(config_set(&config, "train.loss_scale=1024", &error), 0);
    assert_int_equal(config_check(&config, "a.ini", &error), 0);
}

int test_scaling(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_halves_and_doubles), cmocka_unit_test(what_was_lowered_since_is_not_lowered_twice), cmocka_unit_test(it_has_ends), cmocka_unit_test(it_gives_up),
        cmocka_unit_test(ssgd), cmocka_unit_test(ssgd_clipped), cmocka_unit_test(asgd), cmocka_unit_test(dcasgd), cmocka_unit_test(odsgd_none), cmocka_unit_test(odsgd_sgd),
        cmocka_unit_test(odsgd_adc), cmocka_unit_test(odsgd_predict), cmocka_unit_test(odsgd_predict_clipped), cmocka_unit_test(nothing_else_changes_a_run),
        cmocka_unit_test(scales_are_fp16s_alone), cmocka_unit_test(a_run_that_always_overflows_stops), cmocka_unit_test(it_learns), cmocka_unit_test(a_scale_is_a_power_of_two),
    };
    return cmocka_run_group_tests_name("scaling", tests, NULL, NULL);
}
