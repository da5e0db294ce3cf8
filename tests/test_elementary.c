/* base/elementary.h: how far from the C library's long double functions, what becomes of NaNs, infinities, zeros and
 * subnormal numbers, that what should rise rises, and one number made of many results, which is the same on every
 * machine and with every compiler. ELEMENTARY_STRIDE=1 looks at every float that e^x of a float is asked for, which
 * takes a minute; otherwise at one in 61, or fewer where long double is computed in software, as on ARM. */
#include "base/elementary.h"

#include "base/philox.h"
#include "tests/tests.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { DRAWS = 1000000, STRIDE = 61 };

/* In software it takes a hundred times as long: that many times fewer are compared with it. */
enum { SLOWER = LDBL_MANT_DIG > 64 ? 100 : 1, COMPARED = DRAWS / SLOWER };

static double uniform(uint64_t i, uint64_t which)
{
    struct philox_block block = philox(which, 0, i);
    return uniform_double(block.word[0], block.word[1]);
}

static double between(double least, double most, uint64_t i, uint64_t which)
{
    return least + (most - least) * uniform(i, which);
}

/* Any positive double, subnormal ones too, all exponents alike. */
static double any_positive(uint64_t i, uint64_t which)
{
    struct philox_block block = philox(which, 1, i);
    return ldexp(1 + uniform_double(block.word[0], block.word[1]), (int)(block.word[2] % 2098) - 1074);
}

/* In units of the last place of a type with `digits` bits whose smallest normal number is 2^least. */
static double units(double got, long double want, int digits, int least)
{
    int exponent = 0;
    frexpl(want, &exponent);
    exponent = exponent - 1 < least ? least : exponent - 1;
    return (double)fabsl(ldexpl((long double)got - want, digits - 1 - exponent));
}

static double units_of_double(double got, long double want) { return units(got, want, DBL_MANT_DIG, DBL_MIN_EXP - 1); }

/* The worst of many. */
struct worst {
    double units, at, and;
};

static void take(struct worst *worst, double got, long double want, double at, double and)
{
    double error = units_of_double(got, want);
    if (!(error <= worst->units))
        *worst = (struct worst){ error, at, and};
}

static void expect_within(const char *what, const struct worst *worst, double bound)
{
    print_message("# %s: within %.4f units\n", what, worst->units);
    if (!(worst->units <= bound))
        fail_msg("%s: %.4f units at %a, %a; the bound is %.4f", what, worst->units, worst->at, worst->and, bound);
}

#define NEEDS_LONG_DOUBLE()                                                                                            \
    do {                                                                                                               \
        if (LDBL_MANT_DIG < 64)                                                                                        \
            test_skip("long double is not wider than double here");                                                    \
    } while (0)

static void test_exp(void **state)
{
    (void)state;
    NEEDS_LONG_DOUBLE();
    struct worst worst = { 0 }, subnormal = { 0 };
    for (uint64_t i = 0; i < COMPARED; i++) {
        double wide = between(-708, 709.78, i, 1), small = between(-1, 1, i, 2), tiny = any_positive(i, 3),
               deep = between(-745, -708.5, i, 4);
        take(&worst, elementary_exp(wide), expl(wide), wide, 0);
        take(&worst, elementary_exp(small), expl(small), small, 0);
        if (tiny < 1)
            take(&worst, elementary_exp(-tiny), expl(-tiny), -tiny, 0);
        take(&subnormal, elementary_exp(deep), expl(deep), deep, 0);
    }
    expect_within("exp", &worst, 0.53);
    expect_within("exp, subnormal", &subnormal, 0.77);
}

static void test_log(void **state)
{
    (void)state;
    NEEDS_LONG_DOUBLE();
    struct worst worst = { 0 };
    for (uint64_t i = 0; i < COMPARED; i++) {
        double any = any_positive(i, 5), near = 1 + between(-0.1, 0.1, i, 6),
               nearer = 1 + ldexp(between(-1, 1, i, 7), -(int)(i % 52)), unit = 1 - uniform(i, 8);
        take(&worst, elementary_log(any), logl(any), any, 0);
        take(&worst, elementary_log(near), logl(near), near, 0);
        if (nearer > 0)
            take(&worst, elementary_log(nearer), logl(nearer), nearer, 0);
        take(&worst, elementary_log(unit), logl(unit), unit, 0);
    }
    expect_within("log", &worst, 0.51);
}

/* As response normalization and the moving average take them, and over all that a double holds. */
static void test_pow(void **state)
{
    (void)state;
    NEEDS_LONG_DOUBLE();
    struct worst usual = { 0 }, wide = { 0 };
    for (uint64_t i = 0; i < COMPARED; i++) {
        double s = between(1, 50, i, 9), beta = -between(0, 3, i, 10),
               decay = 1 - ldexp(uniform(i, 11), -(int)(i % 30)), part = 1.0 / (double)(1 + i % 64);
        double x = any_positive(i, 12), y = between(-700, 700, i, 13) / elementary_log(x);
        take(&usual, elementary_pow(s, beta), powl(s, beta), s, beta);
        take(&usual, elementary_pow(decay, part), powl(decay, part), decay, part);
        if (isfinite(y) && fabs(y) < 1e6)
            take(&wide, elementary_pow(x, y), powl(x, y), x, y);
        assert_true(elementary_pow(x, 1) == x);
    }
    expect_within("pow", &usual, 0.54);
    expect_within("pow, of anything", &wide, 0.76);
}

/* cos(2 pi turns) of the exact place within an eighth of a turn. */
static long double cosine(double turns)
{
    const long double pi = 3.14159265358979323846264338327950288L;
    long double part = fabsl((long double)turns - roundl(turns));
    long double sign = part > 0.25L ? -1 : 1;
    part = part > 0.25L ? 0.5L - part : part;
    return sign * (part < 0.125L ? cosl(2 * pi * part) : sinl(2 * pi * (0.25L - part)));
}

static void test_cosine(void **state)
{
    (void)state;
    NEEDS_LONG_DOUBLE();
    struct worst worst = { 0 };
    for (uint64_t i = 0; i < COMPARED; i++) {
        double turns = uniform(i, 14), far = between(-1e6, 1e6, i, 15),
               near = 0.25 * (double)(i % 5) + ldexp(between(-1, 1, i, 16), -(int)(i % 50));
        take(&worst, elementary_cosine(turns), cosine(turns), turns, 0);
        take(&worst, elementary_cosine(far), cosine(far), far, 0);
        take(&worst, elementary_cosine(near), cosine(near), near, 0);
    }
    expect_within("cosine", &worst, 0.8);
}

static float float_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Below 2^-26 in size the result is 1 or one of its neighbours, and the smallest of them tell. */
static void test_expf(void **state)
{
    (void)state;
    NEEDS_LONG_DOUBLE();
    const char *text = getenv("ELEMENTARY_STRIDE");
    const uint32_t stride = text ? (uint32_t)atoi(text) : STRIDE * SLOWER;
    const uint32_t first = (127 - 27) << 23;
    assert_true(stride > 0);
    double most = 0;
    for (uint32_t sign = 0; sign < 2; sign++)
        for (uint32_t bits = first, i = 0; float_of(bits) < 105; bits += stride, i++) {
            const float x = float_of(bits | sign << 31);
            const long double want = expl((long double)x);
            const float got = elementary_expf(x);
            if (want >= 0x1.ffffffp127L) { /* halfway between the largest float and the next */
                assert_true(isinf(got));
                continue;
            }
            const double error = units((double)got, want, FLT_MANT_DIG, FLT_MIN_EXP - 1);
            if (!(error <= 0.5001))
                fail_msg("expf(%a) = %a: %.4f units", (double)x, (double)got, error);
            most = error > most ? error : most;
        }
    for (uint32_t bits = 0; bits < first; bits += 1009)
        assert_true(elementary_expf(float_of(bits)) == 1 && elementary_expf(-float_of(bits)) == 1);
    print_message("# expf: within %.6f units\n", most);
}

static bool same(double a, double b) { return (isnan(a) && isnan(b)) || (a == b && !signbit(a) == !signbit(b)); }

static void test_special(void **state)
{
    (void)state;
    const double inf = (double)INFINITY, nan = (double)NAN;
    const struct {
        double x, exp, log, cosine;
    } rows[] = {
        { nan, nan, nan, nan },
        { -nan, nan, nan, nan },
        { inf, inf, inf, nan },
        { -inf, 0, nan, nan },
        { 0, 1, -inf, 1 },
        { -0.0, 1, -inf, 1 },
        { 1, 0x1.5bf0a8b145769p+1, 0, 1 },
        { -1, 0x1.78b56362cef38p-2, nan, 1 },
        { 0x1p-1074, 1, -0x1.74385446d71c3p+9, 1 },
        { -0x1p-1074, 1, nan, 1 },
        { DBL_MAX, inf, 0x1.62e42fefa39efp+9, 1 },
        { -DBL_MAX, 0, nan, 1 },
        { 710, inf, 0x1.a42d4d1ff8154p+2, 1 },
        { -746, 0, nan, 1 },
        { -745.125, 0x1p-1074, nan, 0x1.6a09e667f3bcdp-1 },
        { 0.25, 0x1.48b5e3c3e8186p+0, -0x1.62e42fefa39efp+0, 0 },
        { 0.5, 0x1.a61298e1e069cp+0, -0x1.62e42fefa39efp-1, -1 },
        { 0x1.0000000000001p+51, inf, 0x1.1acdd632f662bp+5, -1 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const double x = rows[i].x;
        if (!same(elementary_exp(x), rows[i].exp) || !same(elementary_log(x), rows[i].log) ||
            !same(elementary_cosine(x), rows[i].cosine))
            fail_msg("of %a: exp %a, log %a, cosine %a", x, elementary_exp(x), elementary_log(x), elementary_cosine(x));
    }
    const struct {
        float x, exp;
    } floats[] = {
        { NAN, NAN },
        { -NAN, NAN },
        { INFINITY, INFINITY },
        { -INFINITY, 0 },
        { 0, 1 },
        { -0.0f, 1 },
        { 0x1p-149f, 1 },
        { 88.7228394f, INFINITY },
        { 88.7228317f, 0x1.ffff08p127f },
        { -103.97208f, 0x1p-149f },
        { -103.97209f, 0 },
        { FLT_MAX, INFINITY },
        { -FLT_MAX, 0 },
    };
    for (size_t i = 0; i < sizeof floats / sizeof *floats; i++)
        if (!same((double)elementary_expf(floats[i].x), (double)floats[i].exp))
            fail_msg("of %a: expf %a", (double)floats[i].x, (double)elementary_expf(floats[i].x));
}

static void test_special_powers(void **state)
{
    (void)state;
    const double inf = (double)INFINITY, nan = (double)NAN;
    const double values[] = { nan, inf, 0,      0x1p-1074, DBL_MIN, 0.5, 1 - DBL_EPSILON / 2, 1, 1 + DBL_EPSILON,
                              2,   3,   DBL_MAX };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        for (size_t j = 0; j < sizeof values / sizeof *values; j++)
            for (int sign = -1; sign < 2; sign += 2) {
                const double x = values[i], y = sign * values[j], got = elementary_pow(x, y), want = pow(x, y);
                if (!same(got, want) && !(isfinite(want) && fabs(got - want) <= 0x1p-52 * want))
                    fail_msg("pow(%a, %a) = %a, want %a", x, y, got, want);
            }
    assert_true(isnan(elementary_pow(-1, 2)) && isnan(elementary_pow(-inf, 0.5)) && elementary_pow(-1, 0) == 1);
}

/* Neighbours, and steps across the tables' borders. */
static void test_rises(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < DRAWS; i++) {
        const double x = between(-740, 709, i, 17), next = nextafter(x, (double)INFINITY),
                     u = between(0, 0.4999, i, 18), positive = any_positive(i, 19);
        const float f = (float)between(-100, 88, i, 20);
        assert_true(elementary_exp(x) <= elementary_exp(next));
        assert_true(elementary_log(positive) <= elementary_log(nextafter(positive, (double)INFINITY)));
        assert_true(elementary_expf(f) <= elementary_expf(nextafterf(f, INFINITY)));
        assert_true(elementary_cosine(u) >= elementary_cosine(u + 0x1p-40));
        assert_true(fabs(elementary_cosine(between(-9, 9, i, 21))) <= 1);
    }
}

static void add(uint64_t *sum, double result)
{
    uint64_t bits;
    memcpy(&bits, &result, sizeof bits);
    *sum = (*sum ^ (isnan(result) ? 0 : bits)) * 0x100000001b3u;
    *sum ^= *sum >> 29;
}

/* Of arguments that are themselves whole or drawn, so that they are the same everywhere. */
static void test_same_everywhere(void **state)
{
    (void)state;
    uint64_t sums[5] = { 0 };
    for (uint64_t i = 0; i < DRAWS; i++) {
        const double u = uniform(i, 22), v = uniform(i, 23);
        add(&sums[0], elementary_exp(1500 * u - 750));
        add(&sums[1], elementary_log(u * 0x1p-20 + v * v * 0x1p40));
        add(&sums[2], elementary_pow(8 * u, 20 * v - 10));
        add(&sums[3], elementary_cosine(4 * u - 2));
        add(&sums[4], (double)elementary_expf((float)(200 * u - 110)));
    }
    static const uint64_t want[5] = { 0x829bf41c3af1f445, 0x1fee7fcc91d36150, 0x32407d8a77c018b6, 0xf6e44f686aefcf24,
                                      0xaaf5c43a76783af0 };
    static const char *const names[] = { "exp", "log", "pow", "cosine", "expf" };
    for (int i = 0; i < 5; i++)
        if (sums[i] != want[i])
            fail_msg("%s: results sum up to 0x%llx here, elsewhere to 0x%llx", names[i], (unsigned long long)sums[i],
                     (unsigned long long)want[i]);
}

int test_elementary(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exp),
        cmocka_unit_test(test_log),
        cmocka_unit_test(test_pow),
        cmocka_unit_test(test_cosine),
        cmocka_unit_test(test_expf),
        cmocka_unit_test(test_special),
        cmocka_unit_test(test_special_powers),
        cmocka_unit_test(test_rises),
        cmocka_unit_test(test_same_everywhere),
    };
    return cmocka_run_group_tests_name("elementary", tests, NULL, NULL);
}
