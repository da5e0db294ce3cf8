/* data/order: a permutation for every n, another for every seed and epoch, any of them as likely as the next, at no cost that grows with n.
 * The bounds on chi-square are those that one true random sample in a thousand would pass. */
#include "data/order.h"
#include "tests/tests.h"

#include <stdlib.h>

static void every_position_holds_another_sample(void **state)
{
    (void)state;
    static const int64_t sizes[] = { 1, 2, 3, 4, 5, 16, 17, 64, 65, 1000, 60000 };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int64_t epoch = 0; epoch < 3; epoch++) {
            int64_t n = sizes[i];
            char *seen = calloc((size_t)n, 1);
            assert_non_null(seen);
            for (int64_t position = 0; position < n; position++) {
                int64_t sample = order_at(42, epoch, n, position);
                assert_true(sample >= 0 && sample < n);
                assert_int_equal(seen[sample]++, 0);
            }
            free(seen);
        }
}

static int agreements(uint64_t seed_a, int64_t epoch_a, uint64_t seed_b, int64_t epoch_b)
{
    int same = 0;
    for (int64_t position = 0; position < 1000; position++)
        same += order_at(seed_a, epoch_a, 1000, position) == order_at(seed_b, epoch_b, 1000, position);
    return same;
}

/* Two random permutations agree in one place on average, and in eight or more once in 100,000. */
static void seeds_and_epochs_have_orders_of_their_own(void **state)
{
    (void)state;
    assert_int_equal(agreements(1, 0, 1, 0), 1000);
    assert_true(agreements(1, 0, 1, 1) < 8);
    assert_true(agreements(1, 0, 2, 0) < 8);
    assert_true(agreements(0, 1, 1, 0) < 8);
    int fixed = 0;
    for (int64_t position = 0; position < 1000; position++)
        fixed += order_at(1, 0, 1000, position) == position;
    assert_true(fixed < 8);
}

static double chi_square(const int *counts, int cells, int draws)
{
    double expected = (double)draws / cells, sum = 0;
    for (int i = 0; i < cells; i++)
        sum += (counts[i] - expected) * (counts[i] - expected) / expected;
    return sum;
}

static void any_sample_may_stand_first(void **state)
{
    (void)state;
    enum { N = 10, DRAWS = 20000 };
    int by_seed[N] = { 0 }, by_epoch[N] = { 0 }, pairs[N * N] = { 0 };
    for (int i = 0; i < DRAWS; i++) {
        int64_t first = order_at((uint64_t)i, 0, N, 0), second = order_at((uint64_t)i, 0, N, 1);
        by_seed[first]++;
        by_epoch[order_at(9, i, N, 0)]++;
        /* The pairs without equals, numbered 0..N(N-1)-1. */
        pairs[first * (N - 1) + second - (second > first)]++;
    }
    assert_true(chi_square(by_seed, N, DRAWS) < 27.9);             /* 9 degrees of freedom */
    assert_true(chi_square(by_epoch, N, DRAWS) < 27.9);
    assert_true(chi_square(pairs, N * (N - 1), DRAWS) < 135.9);    /* 89 */
}

/* Halves of one and two bits are where a Feistel network is weakest, and where its being an even permutation shows. */
static void all_orders_of_a_few_are_alike(void **state)
{
    (void)state;
    enum { THREE = 3 * 3 * 3, FIVE = 5 * 5 * 5 * 5, DRAWS = 30000 };
    int of_three[THREE] = { 0 }, of_five[FIVE] = { 0 }, three[6], five[120], n_three = 0, n_five = 0;
    for (uint64_t seed = 0; seed < DRAWS; seed++) {
        int code3 = 0, code5 = 0;
        for (int p = 0; p < 3; p++)
            code3 = code3 * 3 + (int)order_at(seed, 0, 3, p);
        for (int p = 0; p < 4; p++)
            code5 = code5 * 5 + (int)order_at(seed, 0, 5, p);
        of_three[code3]++;
        of_five[code5]++;
    }
    for (int i = 0; i < THREE; i++)
        if (of_three[i] && n_three < 6)
            three[n_three++] = of_three[i];
    for (int i = 0; i < FIVE; i++)
        if (of_five[i] && n_five < 120)
            five[n_five++] = of_five[i];
    assert_int_equal(n_three, 6);
    assert_int_equal(n_five, 120);
    assert_true(chi_square(three, 6, DRAWS) < 20.5);   /* 5 degrees of freedom */
    assert_true(chi_square(five, 120, DRAWS) < 172.7); /* 119 */
}

/* An order that had to be stored or walked from its start would not come back from this. */
static void a_position_far_out_is_as_near_as_any(void **state)
{
    (void)state;
    int64_t n = ((int64_t)1 << 60) + 1, before = -1;
    for (int64_t i = 0; i < 1000; i++) {
        int64_t sample = order_at(1, INT64_MAX, n, n - 1 - i);
        assert_true(sample >= 0 && sample < n && sample != before);
        before = sample;
    }
}

int test_order(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_position_holds_another_sample),
        cmocka_unit_test(seeds_and_epochs_have_orders_of_their_own),
        cmocka_unit_test(any_sample_may_stand_first),
        cmocka_unit_test(all_orders_of_a_few_are_alike),
        cmocka_unit_test(a_position_far_out_is_as_near_as_any),
    };
    return cmocka_run_group_tests_name("order", tests, NULL, NULL);
}
