/* trainer/interval: what an interval may say, and the multiples of it. */
#include "tests/tests.h"
#include "trainer/interval.h"

static void words(void **state)
{
    (void)state;
    static const struct { const char *text; enum interval_unit unit; double every; } rows[] = {
        { "2 epochs", EVERY_EPOCHS, 2 }, { "1 epoch", EVERY_EPOCHS, 1 }, { "0.25 epochs", EVERY_EPOCHS, 0.25 }, { ".5 epochs", EVERY_EPOCHS, 0.5 }, { "500 iterations", EVERY_ITERATIONS, 500 },
        { "1 iteration", EVERY_ITERATIONS, 1 }, { "1e3 iterations", EVERY_ITERATIONS, 1000 }, { "10  minutes", EVERY_MINUTES, 10 }, { "0.01 minute", EVERY_MINUTES, 0.01 },
        { "1e8 minutes", EVERY_MINUTES, 1e8 }, { "off", EVERY_EPOCHS, 0 },
    };
    static const char *const wrong[] = {
        "", " ", "often", "2", "2epochs", "epochs", "0 epochs", "-1 epochs", "+1 epochs", " 2 epochs", "2 epochs ", "2 epoch s", "2 hours", "nan epochs", "inf epochs", "1e9 minutes", "1e300 epochs",
        "0.5 iterations", "1.5 iterations", "2 Epochs", "off ", "0", "2\tepochs", "two epochs",
    };
    struct interval interval;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!interval_parse(rows[i].text, &interval) || interval.unit != rows[i].unit || interval.every != rows[i].every)
            fail_msg("%s: found %g of unit %d", rows[i].text, interval.every, (int)interval.unit);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (interval_parse(wrong[i], &interval))
            fail_msg("\"%s\" was taken", wrong[i]);
}

/* One after the other they are the multiples, rounded down; none is left out, whatever lies between. */
static void multiples(void **state)
{
    (void)state;
    static const double every[] = { 1, 2, 7, 500, 2.5, 97.5, 1.0 / 3, 0, 195.3125, 10.0 / 3 };
    for (size_t i = 0; i < sizeof every / sizeof *every; i++) {
        double step = every[i] < 1 ? 1 : every[i];
        int64_t at = 0;
        for (int64_t number = 1; number < 2000; number++) {
            int64_t next = (int64_t)((double)number * step);
            assert_int_equal(interval_next(every[i], at), next);
            assert_int_equal(interval_next(every[i], next - 1), next);
            at = next;
        }
    }
    assert_int_equal(interval_next(1e14, 5), (int64_t)1e14);
    assert_int_equal(interval_next(7, 0), 7);
}

int test_interval(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(words), cmocka_unit_test(multiples) };
    return cmocka_run_group_tests_name("interval", tests, NULL, NULL);
}
