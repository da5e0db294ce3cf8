/* The reference's gradients against finite differences: of the sum of r y over an operation's output y, with random r, towards every
 * input element and every parameter. No step crosses a corner of a maximum or of a ReLU: inputs are spaced, and behind sums r is 0 near one. */
#include "tests/chains.h"

#include "base/door.h"
#include "cpu/cpu.h"
#include "tests/corners.h"
#include "tests/tests.h"

static const double step_size = 1.0 / 128, away = 1.0 / 16; /* away: from corners, of the largest value there */

struct probe { struct segment segment; int n_inputs; float *x[NODE_INPUTS], *y, *r; size_t n_y; int32_t labels[8]; int64_t index[8]; };

static void probe_open(struct probe *probe, const struct trial *trial, int n_inputs, struct draws *draws)
{
    struct segment *segment = &probe->segment;
    *probe = (struct probe){ .n_inputs = n_inputs };
    segment_open(segment, &(struct plan_request){ &backend_reference, NULL, &trial->graph, trial->batch, true, PRECISION_FP32 }, trial->from, trial->to);
    draw_eighths(draws, segment->weights, trial->graph.params.total);
    for (int b = 0; b < trial->batch; b++) {
        probe->labels[b] = draw_below(draws, trial->graph.classes);
        probe->index[b] = b;
    }
    segment_set_samples(segment, probe->labels, probe->index);
    probe->n_y = segment_output_floats(segment);
    probe->y = floats_new(probe->n_y);
    probe->r = floats_new(probe->n_y);
    draw_eighths(draws, probe->r, probe->n_y);
    for (int k = 0; k < n_inputs; k++) {
        probe->x[k] = floats_new(segment_input_floats(segment, k));
        draw_spaced(draws, probe->x[k], segment_input_floats(segment, k));
        segment_set_input(segment, k, probe->x[k]);
    }
}

static void probe_close(struct probe *probe)
{
    for (int k = 0; k < probe->n_inputs; k++)
        door_free(probe->x[k]);
    door_free(probe->y);
    door_free(probe->r);
    segment_close(&probe->segment);
}

static double value(struct probe *probe)
{
    double sum = 0;
    if (!probe->n_y) {
        struct step_result result;
        segment_forward(&probe->segment, NULL);
        assert_int_equal(plan_result(probe->segment.plan, 0, &result, &(struct error){ 0 }), 0);
        return result.loss_sum / probe->segment.batch;
    }
    segment_forward(&probe->segment, probe->y);
    for (size_t i = 0; i < probe->n_y; i++)
        sum += (double)probe->r[i] * (double)probe->y[i];
    return sum;
}

/* The slope towards *at; `input` is the number of the input it belongs to, or -1 for a weight. */
static float slope(struct probe *probe, float *at, int input)
{
    float before = *at;
    double values[2];
    for (int side = 0; side < 2; side++) {
        *at = before + (float)(side ? step_size : -step_size);
        if (input >= 0)
            segment_set_input(&probe->segment, input, probe->x[input]);
        values[side] = value(probe);
    }
    *at = before;
    if (input >= 0)
        segment_set_input(&probe->segment, input, probe->x[input]);
    return (float)((values[1] - values[0]) / (2 * step_size));
}

static void agree(const struct chain *chain, const char *what, float *expected, const float *gradient, size_t n)
{
    double error = difference(expected, gradient, n);
    if (!(error < 5e-3))
        fail_msg("%s: %s off by %g", chain->name, what, error);
    door_free(expected);
}

struct kept { size_t weighed, all; }; /* output elements */

static void check(const struct chain *chain, struct trial *trial, struct draws *draws, struct kept *kept)
{
    struct probe probe;
    size_t begin, end;
    trial_build(trial, chain, draws);
    probe_open(&probe, trial, chain->n_inputs, draws);
    struct segment *segment = &probe.segment;
    float *slopes[NODE_INPUTS], *gradients[NODE_INPUTS], *weight_slopes;
    value(&probe);
    corners_mute(segment, away, probe.r);
    for (size_t i = 0; i < probe.n_y; i++)
        kept->weighed += probe.r[i] != 0;
    kept->all += probe.n_y;
    for (int k = 0; k < chain->n_inputs; k++) {
        slopes[k] = floats_new(segment_input_floats(segment, k));
        for (size_t i = 0; i < segment_input_floats(segment, k); i++)
            slopes[k][i] = slope(&probe, &probe.x[k][i], k);
    }
    segment_params(segment, &begin, &end);
    weight_slopes = floats_new(end - begin);
    for (size_t i = begin; i < end; i++)
        weight_slopes[i - begin] = slope(&probe, &segment->weights[i], -1);
    value(&probe);
    segment_backward(segment, probe.n_y ? probe.r : NULL);
    for (int k = 0; k < chain->n_inputs; k++) {
        gradients[k] = floats_new(segment_input_floats(segment, k));
        assert_true(segment_input_gradient(segment, k, gradients[k]));
        agree(chain, "input's gradient", slopes[k], gradients[k], segment_input_floats(segment, k));
        door_free(gradients[k]);
    }
    agree(chain, "parameters' gradient", weight_slopes, segment->gradient + begin, end - begin);
    probe_close(&probe);
    graph_release(&trial->graph);
}

static void test_finite_differences(void **state)
{
    (void)state;
    struct draws draws = { 21, 0 };
    for (int c = 0; c < n_chains; c++) {
        struct kept kept = { 0 };
        for (int round = 0; round < 6; round++) {
            struct trial trial = { .in = { 1 + draw_below(&draws, 4), 2 + draw_below(&draws, 5), 2 + draw_below(&draws, 4) }, .batch = 1 + draw_below(&draws, 3) };
            check(&chains[c], &trial, &draws, &kept);
        }
        if (4 * kept.weighed < kept.all)
            fail_msg("%s: only %zu of %zu output elements are far from corners", chains[c].name, kept.weighed, kept.all);
    }
}

int test_gradients(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_finite_differences) };
    return cmocka_run_group_tests_name("gradients", tests, NULL, NULL);
}
