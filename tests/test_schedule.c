/* trainer/schedule: the learning rate by iteration, beside values worked out by hand. */
#include "tests/tests.h"
#include "trainer/schedule.h"

#include <math.h>

static struct config made(const char *const *settings)
{
    struct config config;
    struct error error = { 0 };
    config_defaults(&config);
    for (int i = 0; settings[i]; i++)
        if (config_set(&config, settings[i], &error))
            fail_msg("%s", error.text);
    return config;
}

#define MADE(...) made((const char *const[]){ __VA_ARGS__, NULL })

static void assert_near(double found, double expected)
{
    if (!(fabs(found - expected) <= 1e-12))
        fail_msg("want %.15g, found %.15g", expected, found);
}

static void constant(void **state)
{
    (void)state;
    struct config config = MADE("optimizer.lr=0.3");
    struct schedule schedule = { &config, 100, 10 };
    for (int64_t t = 0; t <= 100; t++) {
        assert_near(schedule_factor(&schedule, t), 1);
        assert_true(schedule_rate(&schedule, t) == 0.3f);
    }
}

static void linear_warmup(void **state)
{
    (void)state;
    struct config config = MADE("schedule.warmup_epochs=0.59");
    struct schedule schedule = { &config, 100, 10 }; /* floor(5.9) iterations */
    const double expected[] = { 0.2, 0.4, 0.6, 0.8, 1, 1, 1 };
    for (int t = 0; t < 7; t++)
        assert_near(schedule_factor(&schedule, t), expected[t]);
}

static void steps(void **state)
{
    (void)state;
    struct config config = MADE("schedule.kind=step", "schedule.steps=1,2.5", "schedule.gamma=0.5");
    struct schedule schedule = { &config, 100, 10 };
    static const struct { int64_t t; double factor; } rows[] = { { 0, 1 }, { 9, 1 }, { 10, 0.5 }, { 24, 0.5 }, { 25, 0.25 }, { 99, 0.25 } };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_near(schedule_factor(&schedule, rows[i].t), rows[i].factor);
}

static void steps_after_warmup(void **state)
{
    (void)state;
    struct config config = MADE("schedule.kind=step", "schedule.steps=1", "schedule.warmup_epochs=2");
    struct schedule schedule = { &config, 100, 10 };
    assert_near(schedule_factor(&schedule, 19), 1);
    assert_near(schedule_factor(&schedule, 20), 0.1);
}

static void cosine(void **state)
{
    (void)state;
    struct config config = MADE("schedule.kind=cosine", "schedule.warmup_epochs=1", "schedule.final=0.2");
    struct schedule schedule = { &config, 110, 10 }; /* 10 of warm-up, 100 down */
    static const struct { int64_t t; double factor; } rows[] = {
        { 9, 1 }, { 10, 1 }, { 35, 0.2 + 0.4 * (1 + 0.70710678118654752440) }, { 60, 0.6 }, { 85, 0.2 + 0.4 * (1 - 0.70710678118654752440) }, { 110, 0.2 }, { 111, 0.2 }, { 1000, 0.2 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_near(schedule_factor(&schedule, rows[i].t), rows[i].factor);
    for (int64_t t = 10; t < 109; t++)
        assert_true(schedule_factor(&schedule, t + 1) < schedule_factor(&schedule, t));
}

/* What torch.optim.lr_scheduler.OneCycleLR(max_lr=1, total_steps=10, cycle_momentum=False) gives. */
static void one_cycle_of_ten(void **state)
{
    (void)state;
    struct config config = MADE("schedule.kind=one-cycle");
    struct schedule schedule = { &config, 10, 5 };
    static const double expected[] = { 0.04, 0.52, 1, 0.9504846320134737, 0.8117456539497631, 0.6112620219362893, 0.38874197806371075, 0.18825834605023697, 0.049519367986526286, 4e-06 };
    for (int t = 0; t < 10; t++)
        assert_near(schedule_factor(&schedule, t), expected[t]);
    assert_near(schedule_factor(&schedule, 10), 4e-06);
}

/* The rise ends at step 0.455 * 100 - 1 = 44.5, between two steps. */
static void one_cycle_by_its_definition(void **state)
{
    (void)state;
    struct config config = MADE("optimizer.lr=2", "schedule.kind=one-cycle", "schedule.pct_start=0.455", "schedule.div_factor=10", "schedule.final_div_factor=100");
    struct schedule schedule = { &config, 100, 10 };
    for (int64_t t = 0; t < 100; t++) {
        double rise = 0.1 + 0.9 * (1 - cos(acos(-1) * (double)t / 44.5)) / 2, fall = 0.001 + 0.999 * (1 + cos(acos(-1) * ((double)t - 44.5) / 54.5)) / 2;
        assert_near(schedule_factor(&schedule, t), t <= 44 ? rise : fall);
    }
    assert_true(schedule_rate(&schedule, 0) == 0.2f);
    assert_true(schedule_rate(&schedule, 99) == 0.002f);
}

static void one_cycle_in_one_direction(void **state)
{
    (void)state;
    struct config down = MADE("schedule.kind=one-cycle", "schedule.pct_start=0"), up = MADE("schedule.kind=one-cycle", "schedule.pct_start=1");
    struct schedule falls = { &down, 5, 5 }, rises = { &up, 5, 5 }, once = { &down, 1, 1 };
    for (int64_t t = 0; t < 4; t++) {
        assert_true(schedule_factor(&falls, t) > schedule_factor(&falls, t + 1));
        assert_true(schedule_factor(&rises, t) < schedule_factor(&rises, t + 1));
    }
    assert_near(schedule_factor(&rises, 0), 0.04);
    assert_near(schedule_factor(&rises, 4), 1);
    assert_near(schedule_factor(&falls, 4), 4e-06);
    assert_near(schedule_factor(&once, 0), 4e-06);
}

/* 1 - min(0.99, (1+t)/(10+t)): the two meet at t = 890. */
static void average_rates(void **state)
{
    (void)state;
    struct config config = MADE("train.ema_decay=0.99");
    struct schedule schedule = { &config, 2000, 10 };
    assert_true(schedule_average_rate(&schedule, 0, 1) == 0.9f);
    assert_true(schedule_average_rate(&schedule, 8, 1) == 0.5f);
    assert_true(schedule_average_rate(&schedule, 889, 1) > (float)(1 - 0.99));
    assert_true(schedule_average_rate(&schedule, 890, 1) == (float)(1 - 0.99));
    assert_true(schedule_average_rate(&schedule, 1999, 1) == (float)(1 - 0.99));
    assert_true(schedule_average_rate(&schedule, 8, 2) == (float)(1 - sqrt(0.5)));
}

/* A run shorter than its warm-up, and one of a single iteration. */
static void short_runs(void **state)
{
    (void)state;
    struct config config = MADE("schedule.kind=cosine", "schedule.warmup_epochs=3");
    struct schedule schedule = { &config, 20, 10 };
    assert_near(schedule_factor(&schedule, 19), 20.0 / 30);
    config = MADE("schedule.kind=cosine");
    schedule = (struct schedule){ &config, 1, 1 };
    assert_near(schedule_factor(&schedule, 0), 1);
    assert_near(schedule_factor(&schedule, 1), 0);
}

int test_schedule(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(constant), cmocka_unit_test(linear_warmup), cmocka_unit_test(steps), cmocka_unit_test(steps_after_warmup), cmocka_unit_test(cosine),
        cmocka_unit_test(one_cycle_of_ten), cmocka_unit_test(one_cycle_by_its_definition), cmocka_unit_test(one_cycle_in_one_direction), cmocka_unit_test(average_rates), cmocka_unit_test(short_runs),
    };
    return cmocka_run_group_tests_name("schedule", tests, NULL, NULL);
}
