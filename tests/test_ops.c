/* Every operation of every backend against the reference, forward and backward, on the same input bits; fused chains against the
 * reference's separate steps. Differences count relative to the largest value expected. */
#include "tests/chains.h"

#include "base/door.h"
#include "cpu/cpu.h"
#include "tests/corners.h"
#include "tests/gpu.h"
#include "tests/offers.h"
#include "tests/tests.h"

#include <math.h>
#include <string.h>

static const struct backend *const fast[] = {
    &backend_lanes,
    &backend_reference, /* against itself: the harness, and that nothing depends on what was left in memory */
#ifdef HAVE_ONEDNN
    &backend_onednn, &backend_onednn_nhwc,
#endif
};
enum { N_FAST = sizeof fast / sizeof *fast };

/* Everything that one run of a chain leaves. */
struct outcome { float *y, *dy, *dx[NODE_INPUTS]; size_t n_y, n_x[NODE_INPUTS]; struct step_result result; };

static void outcome_free(struct outcome *outcome)
{
    door_free(outcome->y);
    door_free(outcome->dy);
    for (int k = 0; k < NODE_INPUTS; k++)
        door_free(outcome->dx[k]);
}

struct place { const struct backend *backend; enum precision precision; const struct chain *chain; const struct trial *trial; };

static double tolerance_of(const struct place *place)
{
    /* Two sums that differ in their last bits may round to two neighbours, and oneDNN rounds what each window of an average adds to a gradient. */
    static const double least[PRECISIONS] = { [PRECISION_BF16] = 0x1p-6, [PRECISION_FP16] = 0x1p-9 };
    return place->chain->tolerance < least[place->precision] ? least[place->precision] : place->chain->tolerance;
}

static void backward(struct segment *segment, int n_inputs, struct outcome *outcome)
{
    segment_backward(segment, outcome->y ? outcome->dy : NULL);
    for (int k = 0; k < n_inputs; k++)
        if (!segment_input_gradient(segment, k, outcome->dx[k]))
            outcome->n_x[k] = 0;
}

/* The same key gives the same weights and inputs to both sides. The gradient is the expected outcome's, or drawn and muted near corners where
 * that is NULL. */
static void run(struct segment *segment, const struct place *place, bool training, uint64_t key, const struct outcome *expected, struct outcome *outcome)
{
    struct draws draws = { key, 0 };
    int32_t labels[64];
    int64_t index[64];
    *outcome = (struct outcome){ .n_y = segment_output_floats(segment) };
    draw_eighths(&draws, segment->weights, segment->graph->params.total);
    for (int b = 0; b < segment->batch; b++) {
        labels[b] = draw_below(&draws, segment->graph->classes);
        index[b] = draw_below(&draws, 1000);
    }
    segment_set_samples(segment, labels, index);
    segment->step.n = segment->batch - draw_below(&draws, 2) * segment->batch / 3;
    for (int k = 0; k < place->chain->n_inputs; k++) {
        outcome->n_x[k] = segment_input_floats(segment, k);
        outcome->dx[k] = floats_new(outcome->n_x[k]);
        draw_eighths(&draws, outcome->dx[k], outcome->n_x[k]);
        segment_set_input(segment, k, outcome->dx[k]);
    }
    outcome->y = outcome->n_y ? floats_new(outcome->n_y) : NULL;
    segment_forward(segment, outcome->y);
    if (training) {
        outcome->dy = floats_new(outcome->n_y);
        draw_eighths(&draws, outcome->dy, outcome->n_y);
        if (expected)
            memcpy(outcome->dy, expected->dy, outcome->n_y * sizeof *outcome->dy);
        else
            corners_mute(segment, tolerance_of(place), outcome->dy);
        backward(segment, place->chain->n_inputs, outcome);
    }
    if (!outcome->y)
        assert_int_equal(plan_result(segment->plan, 0, &outcome->result, &(struct error){ 0 }), 0);
}

static void agree(const struct place *place, const char *what, const float *expected, const float *got, size_t n)
{
    double error = difference(expected, got, n);
    if (!(error <= tolerance_of(place)))
        fail_msg("%s in %s: %s: %s off by %g, batch %d, input %d x %d x %d", place->backend->name, precision_name(place->precision), place->chain->name, what, error,
                 place->trial->batch, place->trial->in.c, place->trial->in.h, place->trial->in.w);
}

static void compare(const struct place *place, const struct segment *a, const struct segment *b, const struct outcome *x, const struct outcome *y)
{
    size_t begin, end;
    segment_params(a, &begin, &end);
    agree(place, "output", x->y, y->y, x->n_y);
    for (int k = 0; k < place->chain->n_inputs; k++) {
        assert_int_equal(x->n_x[k], y->n_x[k]);
        agree(place, "input's gradient", x->dx[k], y->dx[k], x->n_x[k]);
    }
    agree(place, "parameters' gradient", a->gradient + begin, b->gradient + begin, end - begin);
    struct place loose = *place;
    struct chain running = *place->chain;
    running.tolerance = 1e-5;
    loose.chain = &running;
    agree(&loose, "running statistics", a->stats, b->stats, a->graph->stats.total);
    assert_int_equal(x->result.correct, y->result.correct);
    assert_int_equal(x->result.correct5, y->result.correct5);
    agree(&loose, "loss", &(float){ (float)x->result.loss_sum }, &(float){ (float)y->result.loss_sum }, 1);
}

static void compare_backends(const struct backend *backend, enum precision precision, const struct chain *chain, struct trial *trial, bool training, struct draws *draws)
{
    struct segment reference, other;
    struct outcome expected, got;
    uint64_t key = draw(draws);
    trial_build(trial, chain, draws);
    struct plan_request request = { &backend_reference, NULL, &trial->graph, trial->batch, training, precision };
    segment_open(&reference, &request, trial->from, trial->to);
    request.backend = backend;
    segment_open(&other, &request, trial->from, trial->to);
    const struct place place = { backend, precision, chain, trial };
    run(&reference, &place, training, key, NULL, &expected);
    run(&other, &place, training, key, &expected, &got);
    compare(&place, &reference, &other, &expected, &got);
    outcome_free(&expected);
    outcome_free(&got);
    segment_close(&reference);
    segment_close(&other);
    graph_release(&trial->graph);
}

/* Wide inputs get small planes, so that the reference stays quick. */
static struct trial any_trial(struct draws *draws, int batch)
{
    struct trial trial = { .batch = batch };
    trial.in.c = draw_one(draws, (int[]){ 1, 3, 6, 16, 20, 50 }, 6);
    int most = trial.in.c > 6 || batch > 16 ? 7 : 13;
    trial.in.h = 2 + draw_below(draws, most);
    trial.in.w = 2 + draw_below(draws, most);
    trial.at_input = trial.in.c <= 3 && draw_below(draws, 3) == 0;
    return trial;
}

struct round { const struct backend *const *backends; int n_backends, rounds, n_batches; };

static void test_chains(const struct round *round, enum precision precision, bool training)
{
    static const int batches[] = { 7, 33, 1, 16, 64 };
    struct draws draws = { training ? 11 : 12, 0 };
    for (int i = 0; i < round->n_backends; i++)
        for (int c = 0; c < n_chains; c++)
            for (int k = 0; k < round->rounds * round->n_batches; k++) {
                struct trial trial = any_trial(&draws, batches[k % round->n_batches]);
                trial.at_input = trial.at_input && chains[c].n_inputs == 1;
                compare_backends(round->backends[i], precision, &chains[c], &trial, training, &draws);
            }
}

static bool any_nan(const float *values, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (isnan(values[i]))
            return true;
    return false;
}

/* Passes with one NaN: in the first input, or, `behind`, in the gradient of the output, where no corner keeps it from going back. */
static void run_nan(struct segment *segment, const struct place *place, bool training, bool behind, const struct outcome *expected, struct outcome *outcome)
{
    run(segment, place, false, 5, NULL, outcome);
    if (!behind) {
        outcome->dx[0][outcome->n_x[0] / 2] = NAN;
        segment_set_input(segment, 0, outcome->dx[0]);
        segment_forward(segment, outcome->y);
    }
    if (!training)
        return;
    outcome->dy = floats_new(outcome->n_y);
    for (size_t i = 0; i < outcome->n_y; i++)
        outcome->dy[i] = expected ? expected->dy[i] : 1;
    if (!expected)
        corners_mute(segment, tolerance_of(place), outcome->dy);
    for (size_t i = outcome->n_y / 2; i < outcome->n_y && behind && !any_nan(outcome->dy, outcome->n_y); i++)
        outcome->dy[i] *= outcome->dy[i] > 0 && outcome->y[i] > 0 ? NAN : 1;
    backward(segment, place->chain->n_inputs, outcome);
}

/* It shows in every output that it reaches in the reference, and in every gradient. */
static void keeps_nan(const struct place *place, bool training, bool behind)
{
    struct segment reference, other;
    struct outcome expected, got;
    const struct trial *trial = place->trial;
    struct plan_request request = { &backend_reference, NULL, &trial->graph, trial->batch, training, place->precision };
    size_t begin, end;
    segment_open(&reference, &request, trial->from, trial->to);
    request.backend = place->backend;
    segment_open(&other, &request, trial->from, trial->to);
    run_nan(&reference, place, training, behind, NULL, &expected);
    run_nan(&other, place, training, behind, &expected, &got);
    const char *where = behind ? "gradient" : training ? "training" : "evaluation", *backend = place->backend->name, *chain = place->chain->name;
    for (size_t i = 0; i < expected.n_y; i++)
        if (isnan(expected.y[i]) && !isnan(got.y[i]))
            fail_msg("%s in %s, %s: %s: a NaN became %g", backend, precision_name(place->precision), where, chain, (double)got.y[i]);
    for (int k = 0; k < place->chain->n_inputs && training; k++)
        if (any_nan(expected.dx[k], expected.n_x[k]) && !any_nan(got.dx[k], got.n_x[k]))
            fail_msg("%s in %s, %s: %s: no NaN in the gradient of input %d", backend, precision_name(place->precision), where, chain, k);
    segment_params(&reference, &begin, &end);
    if (any_nan(reference.gradient + begin, end - begin) && !any_nan(other.gradient + begin, end - begin))
        fail_msg("%s in %s, %s: %s: no NaN in the parameters' gradient", backend, precision_name(place->precision), where, chain);
    outcome_free(&expected);
    outcome_free(&got);
    segment_close(&reference);
    segment_close(&other);
}

static void nan_stays(const struct backend *backend, struct draws *draws)
{
    for (int p = 0; p < PRECISIONS; p++)
        for (int c = 0; c < n_chains - 1 && backend->offers((enum precision)p); c++) { /* the last is the loss, which has no output */
            struct trial trial = { .in = { 3, 6, 7 }, .batch = 7 };
            const struct place place = { backend, (enum precision)p, &chains[c], &trial };
            trial_build(&trial, &chains[c], draws);
            keeps_nan(&place, false, false);
            keeps_nan(&place, true, false);
            keeps_nan(&place, true, true);
            graph_release(&trial.graph);
        }
}

static void test_nan(void **state)
{
    (void)state;
    struct draws draws = { 13, 0 };
    for (int i = 0; i < N_FAST; i++)
        nan_stays(fast[i], &draws);
}

static const struct chain *chain_of(const char *name)
{
    int c = 0;
    while (strcmp(chains[c].name, name) != 0)
        c++;
    return &chains[c];
}

/* Values around 1000 with a deviation of 1: squares that are summed before the mean is taken off would lose it. */
static void run_far(struct segment *segment, struct outcome *outcome)
{
    struct draws draws = { 6, 0 };
    *outcome = (struct outcome){ .n_y = segment_output_floats(segment), .n_x = { segment_input_floats(segment, 0) } };
    outcome->y = floats_new(outcome->n_y);
    outcome->dy = floats_new(outcome->n_y);
    outcome->dx[0] = floats_new(outcome->n_x[0]);
    draw_eighths(&draws, segment->weights, segment->graph->params.total);
    draw_eighths(&draws, outcome->dy, outcome->n_y);
    for (size_t i = 0; i < outcome->n_x[0]; i++)
        outcome->dx[0][i] = 1000 + (float)((double)draw(&draws) * 0x1p-31 - 1) * 1.75f;
    segment_set_input(segment, 0, outcome->dx[0]);
    segment_forward(segment, outcome->y);
    backward(segment, 1, outcome);
}

static void moments_hold(const struct backend *backend, struct draws *draws)
{
    struct trial trial = { .in = { 6, 11, 13 }, .batch = 37 };
    struct chain chain = *chain_of("batchnorm");
    struct segment segments[2];
    struct outcome outcomes[2];
    chain.tolerance = 1e-3;
    trial_build(&trial, &chain, draws);
    for (int side = 0; side < 2; side++) {
        segment_open(&segments[side], &(struct plan_request){ side ? backend : &backend_reference, NULL, &trial.graph, trial.batch, true, PRECISION_FP32 }, trial.from, trial.to);
        run_far(&segments[side], &outcomes[side]);
    }
    compare(&(struct place){ backend, PRECISION_FP32, &chain, &trial }, &segments[0], &segments[1], &outcomes[0], &outcomes[1]);
    for (int side = 0; side < 2; side++) {
        outcome_free(&outcomes[side]);
        segment_close(&segments[side]);
    }
    graph_release(&trial.graph);
}

static void test_moments(void **state)
{
    (void)state;
    struct draws draws = { 14, 0 };
    for (int i = 0; i < N_FAST; i++)
        moments_hold(fast[i], &draws);
}

/* More channels than a kernel takes at a time, the last of them few. */
static void wide_holds(const struct backend *backend, struct draws *draws)
{
    static const char *const names[] = { "batchnorm", "batchnorm + relu", "batchnorm + add", "batchnorm + add + relu" };
    static const int channels[] = { 67, 136 };
    for (int p = 0; p < PRECISIONS; p++)
        for (int i = 0; i < 8 && backend->offers((enum precision)p); i++) {
            struct trial trial = { .in = { channels[i / 4], 5, 7 }, .batch = 19 };
            compare_backends(backend, (enum precision)p, chain_of(names[i % 4]), &trial, true, draws);
        }
}

static void test_wide(void **state)
{
    (void)state;
    for (int i = 0; i < N_FAST; i++)
        wide_holds(fast[i], &(struct draws){ 15, 0 });
}

/* Everything from `offers` on is a function. */
static void test_tables(void **state)
{
    (void)state;
    enum { FIRST = offsetof(struct backend, offers), SLOTS = (sizeof(struct backend) - FIRST) / sizeof(void (*)(void)) };
    for (int i = 0; i < N_FAST; i++)
        for (size_t slot = 0; slot < SLOTS; slot++) {
            void (*function)(void);
            memcpy(&function, (const char *)fast[i] + FIRST + slot * sizeof function, sizeof function);
            if (!function)
                fail_msg("%s: function %zu of its table is missing", fast[i]->name, slot);
        }
}

static void test_training(void **state)
{
    (void)state;
    test_chains(&(struct round){ fast, N_FAST, 3, 5 }, PRECISION_FP32, true);
}

static void test_evaluation(void **state)
{
    (void)state;
    test_chains(&(struct round){ fast, N_FAST, 2, 5 }, PRECISION_FP32, false);
}

static void test_bf16(void **state)
{
    const struct backend *backend = backend_or_skip(state, PRECISION_BF16);
    test_chains(&(struct round){ &backend, 1, 2, 5 }, PRECISION_BF16, true);
    test_chains(&(struct round){ &backend, 1, 1, 5 }, PRECISION_BF16, false);
}

static void test_fp16(void **state)
{
    const struct backend *backend = backend_or_skip(state, PRECISION_FP16);
    test_chains(&(struct round){ &backend, 1, 1, 5 }, PRECISION_FP16, true);
    test_chains(&(struct round){ &backend, 1, 1, 5 }, PRECISION_FP16, false);
}

/* Fewer batches: the GPU may be an emulated one. */
static void test_gpu(void **state)
{
    (void)state;
    const struct backend *gpu = gpu_or_skip();
    for (int p = 0; p < PRECISIONS; p++) {
        test_chains(&(struct round){ &gpu, 1, 1, 3 }, (enum precision)p, true);
        test_chains(&(struct round){ &gpu, 1, 1, 1 }, (enum precision)p, false);
    }
    nan_stays(gpu, &(struct draws){ 13, 0 });
    moments_hold(gpu, &(struct draws){ 14, 0 });
    wide_holds(gpu, &(struct draws){ 15, 0 });
}

int test_ops(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_training), cmocka_unit_test(test_evaluation),
        ON(test_bf16, "reference"), ON(test_bf16, "onednn"), ON(test_bf16, "onednn-nhwc"), ON(test_fp16, "reference"),
        cmocka_unit_test(test_nan),
        cmocka_unit_test(test_moments), cmocka_unit_test(test_wide), cmocka_unit_test(test_tables), cmocka_unit_test(test_gpu),
    };
    return cmocka_run_group_tests_name("ops", tests, NULL, NULL);
}
