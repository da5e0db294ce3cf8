/* Every algorithm, with threads, delays and buckets, ends on the bits of its sequential simulation. */
#include "base/door.h"
#include "tests/session.h"
#include "tests/simulation.h"
#include "tests/tests.h"
#include "trainer/server.h"
#include "trainer/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* K, and how its workers dawdle. */
static const char *const crowds[][5] = {
    { "workers.count=1", "odsgd.warmup=5", NULL },
    { "workers.count=2", "odsgd.warmup=0", "workers.jitter=3", NULL },
    { "workers.count=4", "odsgd.warmup=1", "workers.jitter=1", "workers.slowdown=1,3,1,1.5", NULL },
    { "workers.count=7", "odsgd.warmup=5", "workers.jitter=2", NULL },
    { "workers.count=1", "odsgd.warmup=0", NULL },
    { "workers.count=3", "odsgd.warmup=0", "workers.jitter=1", "cpu.backend=reference", NULL },
};
enum { CROWDS = sizeof crowds / sizeof *crowds };

static void assert_simulated(const char *const *settings)
{
    struct session session;
    session_open(&session, settings);
    session_train(&session);
    float *expected = simulate(&session, session.run->iterations, NULL);
    assert_memory_equal(session_weights(&session), expected, session_floats(&session) * sizeof *expected);
    free(expected);
    session_close(&session);
}

static void in_all_crowds(const char *const *settings)
{
    for (int i = 0; i < CROWDS; i++) {
        struct settings both = settings_join(settings, crowds[i]);
        assert_simulated(both.rows);
    }
}

#define SIMULATED(test, ...) \
    static void test(void **state) \
    { \
        (void)state; \
        in_all_crowds((const char *const[]){ __VA_ARGS__, NULL }); \
    }

SIMULATED(ssgd, "train.algorithm=ssgd")
SIMULATED(ssgd_nesterov_by_steps, "train.algorithm=ssgd", "optimizer.nesterov=true", "optimizer.decay_all=true", "schedule.kind=step", "schedule.steps=0.5,1", "schedule.warmup_epochs=0.4")
SIMULATED(asgd, "train.algorithm=asgd")
SIMULATED(asgd_unscaled, "train.algorithm=asgd", "async.scale=0.6", "async.server_momentum=0", "schedule.kind=step", "schedule.steps=0.5")
SIMULATED(dcasgd, "train.algorithm=dcasgd")
SIMULATED(dcasgd_adaptive, "train.algorithm=dcasgd", "async.adaptive=true")
SIMULATED(odsgd_none, "train.algorithm=odsgd", "odsgd.local_update=none")
SIMULATED(odsgd_sgd, "train.algorithm=odsgd", "odsgd.local_update=sgd")
SIMULATED(odsgd_sgd_with_momentum, "train.algorithm=odsgd", "odsgd.local_update=sgd", "odsgd.momentum_local=0.5", "odsgd.lr_local=0.03")
SIMULATED(odsgd_dc, "train.algorithm=odsgd", "odsgd.local_update=dc")
SIMULATED(odsgd_dc_from_local, "train.algorithm=odsgd", "odsgd.local_update=dc", "odsgd.dc_backup=local", "odsgd.lambda=1")
SIMULATED(odsgd_adc, "train.algorithm=odsgd", "odsgd.local_update=adc")
SIMULATED(odsgd_adc_from_local, "train.algorithm=odsgd", "odsgd.local_update=adc", "odsgd.dc_backup=local", "odsgd.ms_decay=0.9", "odsgd.momentum_local=0.3")
SIMULATED(odsgd_predict, "train.algorithm=odsgd", "odsgd.local_update=predict")
SIMULATED(odsgd_predict_nesterov, "train.algorithm=odsgd", "odsgd.local_update=predict", "optimizer.nesterov=true", "schedule.kind=step", "schedule.steps=0.5,1")

/* The average is the simulation's too, and it is what is evaluated. */
static void averaged(void **state)
{
    (void)state;
    static const char *const kinds[][2] = {
        { "train.algorithm=ssgd", "optimizer.clip_norm=0.5" }, { "train.algorithm=asgd", "async.scale=0.6" }, { "train.algorithm=dcasgd", "async.adaptive=true" },
        { "train.algorithm=odsgd", "odsgd.local_update=predict" }, { "train.algorithm=odsgd", "odsgd.local_update=adc" },
    };
    for (size_t i = 0; i < CROWDS * sizeof kinds / sizeof *kinds; i++) {
        const char *const own[] = { kinds[i / CROWDS][0], kinds[i / CROWDS][1], "train.ema_decay=0.8", NULL };
        struct settings settings = settings_join(own, crowds[i % CROWDS]);
        struct session session;
        float *average;
        session_open(&session, settings.rows);
        session_train(&session);
        float *weights = simulate_average(&session, session.run->iterations, &average, NULL);
        size_t bytes = session_floats(&session) * sizeof *weights;
        assert_memory_equal(session_weights(&session), weights, bytes);
        float *kept = malloc(bytes);
        assert_non_null(kept);
        assert_int_equal(run_final_average(session.run, kept, &session.error), 0);
        assert_memory_equal(kept, average, bytes);
        free(kept);
        assert_memory_equal(session.run->evaluation.weights, average, bytes);
        assert_memory_not_equal(average, weights, bytes);
        free(weights);
        free(average);
        session_close(&session);
    }
}

#define CLIPPED "optimizer.clip_norm=0.3"
SIMULATED(ssgd_clipped, "train.algorithm=ssgd", CLIPPED)
SIMULATED(asgd_clipped, "train.algorithm=asgd", CLIPPED)
SIMULATED(dcasgd_clipped, "train.algorithm=dcasgd", "async.adaptive=true", CLIPPED)
SIMULATED(odsgd_none_clipped, "train.algorithm=odsgd", "odsgd.local_update=none", CLIPPED)
SIMULATED(odsgd_sgd_clipped, "train.algorithm=odsgd", "odsgd.local_update=sgd", "odsgd.momentum_local=0.5", CLIPPED)
SIMULATED(odsgd_adc_clipped, "train.algorithm=odsgd", "odsgd.local_update=adc", CLIPPED)
SIMULATED(odsgd_predict_clipped, "train.algorithm=odsgd", "odsgd.local_update=predict", "optimizer.nesterov=true", CLIPPED)

int test_algorithms(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ssgd), cmocka_unit_test(ssgd_nesterov_by_steps), cmocka_unit_test(asgd), cmocka_unit_test(asgd_unscaled), cmocka_unit_test(dcasgd),
        cmocka_unit_test(dcasgd_adaptive), cmocka_unit_test(odsgd_none), cmocka_unit_test(odsgd_sgd), cmocka_unit_test(odsgd_sgd_with_momentum), cmocka_unit_test(odsgd_dc),
        cmocka_unit_test(odsgd_dc_from_local), cmocka_unit_test(odsgd_adc), cmocka_unit_test(odsgd_adc_from_local), cmocka_unit_test(odsgd_predict),
        cmocka_unit_test(odsgd_predict_nesterov), cmocka_unit_test(averaged), cmocka_unit_test(ssgd_clipped), cmocka_unit_test(asgd_clipped), cmocka_unit_test(dcasgd_clipped),
        cmocka_unit_test(odsgd_none_clipped), cmocka_unit_test(odsgd_sgd_clipped), cmocka_unit_test(odsgd_adc_clipped), cmocka_unit_test(odsgd_predict_clipped),
    };
    return cmocka_run_group_tests_name("algorithms", tests, NULL, NULL);
}
