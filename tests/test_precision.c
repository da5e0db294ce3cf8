/* bf16 and fp16: how they round, what a plan in them leaves beside the same plan in fp32, the loss scale, and whole runs. */
#include "base/door.h"
#include "cpu/bf16.h"
#include "cpu/cpu.h"
#include "cpu/fp16.h"
#include "nets/layers.h"
#include "nets/network.h"
#include "tests/offers.h"
#include "tests/segment.h"
#include "tests/session.h"
#include "tests/tests.h"
#include "trainer/choose.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LIST(...) (const char *const[]){ __VA_ARGS__, NULL }

/* ---- rounding ---- */

static void every_bf16_is_itself(void **state)
{
    (void)state;
    for (uint32_t bits = 0; bits < 0x10000; bits++) {
        float wide = bf16_widen((uint16_t)bits);
        if (isnan(wide))
            assert_true(isnan(bf16_widen(bf16_narrow(wide))));
        else
            assert_int_equal(bf16_narrow(wide), bits);
    }
}

/* Between two neighbours: the nearer one, and in the middle the one whose last bit is 0. */
static void rounds_to_nearest_even(void **state)
{
    (void)state;
    for (uint32_t low = 0; low < 0x7f80; low += 7) { /* the last of them lie below infinity */
        double below = (double)bf16_widen((uint16_t)low), gap = low == 0x7f7f ? 0x1p120 : (double)bf16_widen((uint16_t)(low + 1)) - below;
        uint16_t even = (uint16_t)(low % 2 ? low + 1 : low);
        assert_int_equal(bf16_narrow((float)(below + gap * 0.499)), low);
        assert_int_equal(bf16_narrow((float)(below + gap * 0.501)), low + 1);
        assert_int_equal(bf16_narrow((float)(below + gap / 2)), even);
        assert_int_equal(bf16_narrow(-(float)(below + gap / 2)), even | 0x8000);
    }
    assert_int_equal(bf16_narrow(0x1.fffffep127f), 0x7f80);
    assert_int_equal(bf16_narrow(INFINITY), 0x7f80);
}

/* Those whose payload lies in what is dropped, too. */
static void a_nan_stays_one(void **state)
{
    (void)state;
    for (uint32_t payload = 1; payload < 1u << 23; payload += 97) {
        uint32_t bits = 0x7f800000 | payload;
        float nan;
        memcpy(&nan, &bits, sizeof nan);
        assert_true(isnan(bf16_widen(bf16_narrow(nan))));
        assert_true(isnan(fp16_widen(fp16_narrow(nan))));
    }
}

/* By the definition: 1 bit of sign, 5 of exponent, 10 of fraction. */
static double fp16_value(uint32_t bits)
{
    const int exponent = (int)(bits >> 10 & 31), fraction = (int)(bits & 0x3ff);
    const double size = exponent == 31 ? (fraction ? (double)NAN : (double)INFINITY) : exponent == 0 ? ldexp(fraction, -24) : ldexp(1024 + fraction, exponent - 25);
    return bits & 0x8000 ? -size : size;
}

static void every_fp16_is_itself(void **state)
{
    (void)state;
    for (uint32_t bits = 0; bits < 0x10000; bits++) {
        const double value = fp16_value(bits);
        const float wide = fp16_widen((uint16_t)bits);
        if (isnan(value)) {
            assert_true(isnan(wide) && isnan(fp16_widen(fp16_narrow(wide))));
            continue;
        }
        assert_true((double)wide == value && !signbit(wide) == !(bits & 0x8000));
        assert_int_equal(fp16_narrow(wide), bits);
    }
}

/* Between all neighbours, subnormal ones too; above the largest comes what would be 2^16. */
static void fp16_rounds_to_nearest_even(void **state)
{
    (void)state;
    for (uint32_t low = 0; low < 0x7c00; low++) {
        const double below = fp16_value(low), above = low == 0x7bff ? 0x1p16 : fp16_value(low + 1), middle = (below + above) / 2;
        const uint16_t even = (uint16_t)(low % 2 ? low + 1 : low);
        assert_int_equal(fp16_narrow((float)middle), even);
        assert_int_equal(fp16_narrow(-(float)middle), even | 0x8000);
        assert_int_equal(fp16_narrow(nextafterf((float)middle, 0)), low);
        assert_int_equal(fp16_narrow(nextafterf((float)middle, INFINITY)), low + 1);
    }
    assert_int_equal(fp16_narrow(0x1p-149f), 0);
    assert_int_equal(fp16_narrow(-0x1p-149f), 0x8000);
    assert_int_equal(fp16_narrow(65536), 0x7c00);
    assert_int_equal(fp16_narrow(-FLT_MAX), 0xfc00);
    assert_int_equal(fp16_narrow(INFINITY), 0x7c00);
}

static float bf16_rounded(float a) { return bf16_widen(bf16_narrow(a)); }
static float fp16_rounded(float a) { return fp16_widen(fp16_narrow(a)); }

/* What is narrower than fp32, by its number. */
static const struct format {
    float (*round)(float a);
    double few, more; /* that a step's logits, and its gradient, are off by at most */
} formats[PRECISIONS] = {
    [PRECISION_BF16] = { bf16_rounded, 0x1p-6, 0x1p-4 },
    [PRECISION_FP16] = { fp16_rounded, 0x1p-9, 0x1p-6 },
};

/* ---- one step ---- */

struct outcome { float *gradient, *logits; size_t n, n_logits, bytes; };

/* A training step of a network on images of noise. */
static void network_step(struct outcome *outcome, const char *network, const struct backend *backend, enum precision precision, int batch, float loss_scale)
{
    struct error error = { 0 };
    struct graph graph;
    struct device *device;
    struct plan *plan;
    struct draws draws = { 77, 0 };
    uint8_t *pixels = malloc((size_t)batch * 784);
    int32_t labels[64];
    int64_t index[64];
    assert_int_equal(network_build(&graph, network, &(struct network_request){ .input = { .c = 1, .h = 28, .w = 28, .std = { 0.3f } }, .classes = 10 }, &error), 0);
    assert_int_equal(backend->device_open(&device, -1, &error), 0);
    assert_int_equal(plan_make(&plan, &(struct plan_request){ backend, device, &graph, batch, true, precision }, &error), 0);
    float *weights = floats_new(graph.params.total), *stats = floats_new(graph.stats.total);
    *outcome = (struct outcome){ floats_new(graph.params.total), floats_new((size_t)batch * 10), graph.params.total, (size_t)batch * 10, plan_bytes(plan) };
    graph_init_weights(&graph, 3, weights);
    graph_init_stats(&graph, stats);
    for (int i = 0; i < batch * 784; i++)
        pixels[i] = (uint8_t)draw_below(&draws, 256);
    for (int i = 0; i < batch; i++)
        labels[i] = draw_below(&draws, 10);
    struct step step = { .weights = weights, .gradient = outcome->gradient, .stats = stats, .repack = true, .pixels = pixels, .labels = labels, .index = index, .n = batch, .loss_scale = loss_scale };
    assert_int_equal(plan_forward(plan, &step, NULL, &error), 0);
    assert_int_equal(plan_backward(plan, &step, NULL, &error), 0);
    plan_logits(plan, outcome->logits);
    plan_free(plan);
    backend->device_close(device);
    graph_release(&graph);
    door_free(weights);
    door_free(stats);
    free(pixels);
}

static void lenet_step(struct outcome *outcome, const struct backend *backend, enum precision precision, int batch)
{
    network_step(outcome, "lenet", backend, precision, batch, 0);
}

static void outcome_free(struct outcome *outcome)
{
    door_free(outcome->gradient);
    door_free(outcome->logits);
}

/* Root mean square of the difference, relative to that of what is expected. */
static double off(const float *expected, const float *got, size_t n)
{
    double error = 0, whole = 0;
    for (size_t i = 0; i < n; i++) {
        error += pow((double)expected[i] - (double)got[i], 2);
        whole += pow((double)expected[i], 2);
    }
    return sqrt(error / whole);
}

static bool all_are(enum precision precision, const float *values, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (formats[precision].round(values[i]) != values[i])
            return false;
    return true;
}

/* A rounding is off by up to 2^-9 in bf16, 2^-11 in fp16. A handful of them lies between the pixels and the logits; the gradient also feels each maximum and each
 * corner that falls to the other side. */
static void step_is_near(void **state, enum precision precision)
{
    const struct backend *backend = backend_or_skip(state, precision);
    struct outcome exact, rounded;
    lenet_step(&exact, &backend_reference, PRECISION_FP32, 4);
    lenet_step(&rounded, backend, precision, 4);
    double logits = off(exact.logits, rounded.logits, exact.n_logits);
    double gradient = off(exact.gradient, rounded.gradient, exact.n);
    if (!(logits > 0x1p-14 && logits < formats[precision].few && gradient > 0x1p-14 && gradient < formats[precision].more))
        fail_msg("logits off by %g, gradient by %g", logits, gradient);
    assert_true(all_are(precision, rounded.logits, rounded.n_logits));
    assert_false(all_are(precision, rounded.gradient, rounded.n));
    outcome_free(&rounded);
    outcome_free(&exact);
}

static void a_step_in_bf16_is_near_that_in_fp32(void **state) { step_is_near(state, PRECISION_BF16); }
static void a_step_in_fp16_is_near_that_in_fp32(void **state) { step_is_near(state, PRECISION_FP16); }

/* Where nothing over- or underflows, and that is wherever the exponent has fp32's eight bits. */
static void scale_changes_no_bit(void **state, enum precision precision)
{
    static const char *const names[] = { "lenet", "resnet20" };
    const struct backend *backend = backend_or_skip(state, precision);
    for (int k = 0; k < 2; k++) {
        struct outcome plain, scaled;
        network_step(&plain, names[k], backend, precision, 4, 0);
        network_step(&scaled, names[k], backend, precision, 4, 1024);
        for (size_t j = 0; j < plain.n; j++)
            if (plain.gradient[j] != scaled.gradient[j])
                fail_msg("%s: gradient %zu is %a, scaled %a", names[k], j, (double)plain.gradient[j],
                         (double)scaled.gradient[j]);
        outcome_free(&plain);
        outcome_free(&scaled);
    }
}

static void a_loss_scale_changes_no_bit_in_fp32(void **state) { scale_changes_no_bit(state, PRECISION_FP32); }
static void a_loss_scale_changes_no_bit_in_bf16(void **state) { scale_changes_no_bit(state, PRECISION_BF16); }

static size_t not_finite(const float *values, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += !isfinite(values[i]);
    return count;
}

/* Normalization, additions and shortcuts, which LeNet has not; each normalization divides by a deviation, and passes errors on. */
static void residual_blocks_in_fp16(void **state)
{
    (void)state;
    struct outcome exact, rounded;
    network_step(&exact, "resnet20", &backend_reference, PRECISION_FP32, 4, 0);
    network_step(&rounded, "resnet20", &backend_reference, PRECISION_FP16, 4, 1024);
    double logits = off(exact.logits, rounded.logits, exact.n_logits);
    double gradient = off(exact.gradient, rounded.gradient, exact.n);
    if (!(logits > 0x1p-14 && logits < 0x1p-6 && gradient > 0x1p-14 && gradient < 0x1p-3))
        fail_msg("logits off by %g, gradient by %g", logits, gradient);
    assert_true(all_are(PRECISION_FP16, rounded.logits, rounded.n_logits));
    outcome_free(&exact);
    outcome_free(&rounded);
}

/* Small gradients lose their bits in fp16 and keep them where they are scaled; too much of it overflows, which the logits do not feel. */
static void fp16_wants_a_loss_scale(void **state)
{
    (void)state;
    struct outcome exact, plain, scaled, over;
    network_step(&exact, "lenet", &backend_reference, PRECISION_FP32, 64, 0);
    network_step(&plain, "lenet", &backend_reference, PRECISION_FP16, 64, 0x1p-12f);
    network_step(&scaled, "lenet", &backend_reference, PRECISION_FP16, 64, 0x1p10f);
    network_step(&over, "lenet", &backend_reference, PRECISION_FP16, 64, 0x1p30f);
    double lost = off(exact.gradient, plain.gradient, exact.n), kept = off(exact.gradient, scaled.gradient, exact.n);
    if (!(kept < 0x1p-5 && lost > 8 * kept))
        fail_msg("the gradient is off by %g where it underflows, by %g where it does not", lost, kept);
    assert_int_equal(not_finite(scaled.gradient, scaled.n), 0);
    assert_true(not_finite(over.gradient, over.n) > 0);
    assert_int_equal(not_finite(over.logits, over.n_logits), 0);
    outcome_free(&exact);
    outcome_free(&plain);
    outcome_free(&scaled);
    outcome_free(&over);
}

static void activations_take_half_the_memory(void **state)
{
    const struct backend *backend = backend_or_skip(state, PRECISION_BF16);
    struct outcome wide, narrow;
    lenet_step(&wide, backend, PRECISION_FP32, 64);
    lenet_step(&narrow, backend, PRECISION_BF16, 64);
    if (!((double)narrow.bytes < 0.7 * (double)wide.bytes))
        fail_msg("%zu bytes in bf16, %zu in fp32", narrow.bytes, wide.bytes);
    outcome_free(&wide);
    outcome_free(&narrow);
}

/* ---- runs ---- */

static float *trained_on(const struct backend *backend, const char *const *settings, size_t *n, double *loss)
{
    struct session session;
    session_open(&session, settings);
    session.backend = backend;
    session_train(&session);
    *n = session_floats(&session);
    if (loss)
        *loss = session.test_loss[session.config.train.iterations];
    float *copy = malloc(*n * sizeof *copy);
    assert_non_null(copy);
    memcpy(copy, session_weights(&session), *n * sizeof *copy);
    session_close(&session);
    return copy;
}

static bool same(const struct backend *backend, const char *const *first, const char *const *second)
{
    size_t n, also;
    float *a = trained_on(backend, first, &n, NULL), *b = trained_on(backend, second, &also, NULL);
    bool equal = n == also && memcmp(a, b, n * sizeof *a) == 0;
    free(a);
    free(b);
    return equal;
}

#define BF16 "train.precision=bf16", "train.iterations=30"

static void runs_repeat_and_the_warmup_is_ssgd(void **state)
{
    const struct backend *backend = backend_or_skip(state, PRECISION_BF16);
    assert_true(same(backend, LIST(BF16, "workers.count=3"), LIST(BF16, "workers.count=3", "data.loader_threads=1",
                                                                  "train.bucket_kib=4")));
    assert_true(same(backend, LIST(BF16, "workers.count=1"), LIST(BF16, "workers.count=1", "train.algorithm=odsgd",
                                                                  "odsgd.warmup=30")));
    assert_false(same(backend, LIST(BF16, "workers.count=1"), LIST(BF16, "workers.count=1", "train.precision=fp32")));
}

/* The weights themselves are no bf16, or small updates would be lost. */
static void a_run_learns_as_well(void **state)
{
    const struct backend *backend = backend_or_skip(state, PRECISION_BF16);
    const char *const common[] = { "train.iterations=60", "data.limit=2000", "data.test_limit=500", "data.batch=16", "optimizer.momentum=0.9", NULL };
    struct settings wide = settings_join(common, LIST("train.precision=fp32"));
    struct settings narrow = settings_join(common, LIST("train.precision=bf16"));
    double expected, loss;
    size_t n;
    free(trained_on(backend, wide.rows, &n, &expected));
    float *weights = trained_on(backend, narrow.rows, &n, &loss);
    if (!(expected < 2 && fabs(loss / expected - 1) < 0.02))
        fail_msg("test loss %g in bf16, %g in fp32", loss, expected);
    assert_false(all_are(PRECISION_BF16, weights, n));
    free(weights);
}

/* ---- choosing ---- */

static void what_is_not_offered_is_refused(void **state)
{
    (void)state;
    struct error error = { 0 };
    struct session session;
    struct choice choice;
    session_open(&session, LIST("train.precision=bf16", "cpu.backend=lanes"));
    assert_int_equal(choose_backend(&choice, &session.config, &(struct devices){ 0 }, &session.graph, "cpu", &error), -1);
    assert_int_equal(error.code, EXIT_USAGE);
    assert_non_null(strstr(error.text, "[train] precision: lanes does not compute in bf16, here these do: "));
    assert_non_null(strstr(error.text, "reference"));
    session_close(&session);
    error = (struct error){ 0 };
    session_open(&session, LIST("train.precision=auto", "cpu.backend=reference"));
    assert_int_equal(choose_backend(&choice, &session.config, &(struct devices){ 0 }, &session.graph, "cpu", &error), 0);
    assert_ptr_equal(choice.backend, &backend_reference);
    assert_int_equal(choice.precision, PRECISION_FP32);
    session_close(&session);
}

/* On every backend that computes in bf16 on some processor. */
#define ON_THOSE(test) ON(test, "reference"), ON(test, "onednn"), ON(test, "onednn-nhwc")

int test_precision(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_bf16_is_itself), cmocka_unit_test(rounds_to_nearest_even), cmocka_unit_test(a_nan_stays_one),
        cmocka_unit_test(every_fp16_is_itself), cmocka_unit_test(fp16_rounds_to_nearest_even),
        ON_THOSE(a_step_in_bf16_is_near_that_in_fp32), ON(a_step_in_fp16_is_near_that_in_fp32, "reference"),
        ON_THOSE(a_loss_scale_changes_no_bit_in_fp32), ON(a_loss_scale_changes_no_bit_in_fp32, "lanes"),
        ON_THOSE(a_loss_scale_changes_no_bit_in_bf16),
        cmocka_unit_test(residual_blocks_in_fp16), cmocka_unit_test(fp16_wants_a_loss_scale),
        ON(activations_take_half_the_memory, "onednn"), ON(activations_take_half_the_memory, "onednn-nhwc"),
        ON_THOSE(runs_repeat_and_the_warmup_is_ssgd), ON_THOSE(a_run_learns_as_well), cmocka_unit_test(what_is_not_offered_is_refused),
    };
    return cmocka_run_group_tests_name("precision", tests, NULL, NULL);
}
