/* Instruction sets: their names, which of them is taken, what is refused, and that the kernels of each compute. */
#include "cpu/isa.h"

#include "base/door.h"
#include "cpu/cpu.h"
#include "nets/network.h"
#include "nets/plan.h"
#include "tests/segment.h"
#include "tests/tests.h"
#include "trainer/choose.h"

#include <math.h>
#include <string.h>

/* The best that this process has, which is less than the processor runs where ONESTEP_TEST_ISA says so. */
static enum isa best(void)
{
    enum isa isa = ISAS - 1;
    while (!isa_runs(isa))
        isa--;
    return isa;
}

static int keep_best(void **state)
{
    static enum isa kept;
    kept = best();
    *state = &kept;
    return 0;
}

static int restore_best(void **state)
{
    isa_limit(*(const enum isa *)*state);
    return 0;
}

static void names_are_values_of_the_key(void **state)
{
    (void)state;
    struct config config;
    struct error error = { 0 };
    config_defaults(&config);
    assert_int_equal(config.cpu.isa, AUTOMATIC);
    for (int isa = 0; isa < ISAS; isa++) {
        char assignment[64];
        snprintf(assignment, sizeof assignment, "cpu.isa=%s", isa_name((enum isa)isa));
        assert_int_equal(config_set(&config, assignment, &error), 0);
        assert_int_equal(config.cpu.isa, isa);
    }
    assert_int_equal(config_set(&config, "cpu.isa=avx2", &error), -1);
    assert_int_equal(error.code, EXIT_USAGE);
    assert_string_equal(error.text, "--set: [cpu] isa: want auto, base, v3 or v4, got \"avx2\"");
}

static void the_best_is_taken(void **state)
{
    (void)state;
    const enum isa all = best();
    assert_int_equal(isa_chosen(), all);
    for (int isa = 0; isa <= (int)all; isa++) {
        if (!isa_runs((enum isa)isa))
            continue;
        isa_limit((enum isa)isa);
        assert_int_equal(isa_chosen(), isa);
        assert_non_null(isa_lanes((enum isa)isa));
        for (int better = isa + 1; better < ISAS; better++)
            assert_null(isa_lanes((enum isa)better));
        isa_limit(all);
    }
}

static void what_does_not_run_is_refused(void **state)
{
    (void)state;
    struct config config;
    struct error error = { 0 };
    config_defaults(&config);
    isa_limit(ISA_BASE);
    config.cpu.isa = ISA_V4;
    assert_int_equal(choose_isa(&config, &error), -1);
    assert_int_equal(error.code, EXIT_USAGE);
    assert_string_equal(error.text, "[cpu] isa: want what this processor runs (base), got v4");
    assert_int_equal(isa_chosen(), ISA_BASE);
}

/* The last word counts, and auto leaves it as it is. */
static void the_key_chooses(void **state)
{
    (void)state;
    struct config config;
    struct error error = { 0 };
    config_defaults(&config);
    for (int isa = 0; isa < ISAS; isa++) {
        char name[64], want[64];
        config.cpu.isa = isa;
        if (!isa_runs((enum isa)isa))
            continue;
        assert_int_equal(choose_isa(&config, &error), 0);
        assert_int_equal(isa_chosen(), isa);
        config.cpu.isa = AUTOMATIC;
        assert_int_equal(choose_isa(&config, &error), 0);
        assert_int_equal(isa_chosen(), isa);
        choose_name(&backend_lanes, name, sizeof name);
        snprintf(want, sizeof want, "lanes (%s)", isa_name((enum isa)isa));
        assert_string_equal(name, want);
    }
}

/* What is no call is the same in all tables, and so is which calls there are. */
static void the_tables_agree(void **state)
{
    (void)state;
    enum { CALLS = (sizeof(struct backend) - offsetof(struct backend, offers)) / sizeof(void (*)(void)) };
    for (int isa = 0; isa < ISAS; isa++) {
        const struct backend *own = isa_lanes((enum isa)isa), *all = &backend_lanes;
        if (!own)
            continue;
        assert_string_equal(own->name, all->name);
        assert_string_equal(own->help, all->help);
        assert_memory_equal(&own->fusions, &all->fusions, sizeof own->fusions);
        assert_true(own->host_memory == all->host_memory && own->masks == all->masks && own->enqueues == all->enqueues);
        assert_true(own->captures == all->captures && own->collective == all->collective);
        assert_true(own->pack_all == all->pack_all);
        for (int p = 0; p < PRECISIONS; p++)
            assert_true(own->offers((enum precision)p) == all->offers((enum precision)p));
        for (size_t i = 0; i < CALLS; i++) {
            const size_t at = offsetof(struct backend, offers) + i * sizeof(void (*)(void));
            void (*mine)(void), (*others)(void);
            memcpy(&mine, (const char *)own + at, sizeof mine);
            memcpy(&others, (const char *)all + at, sizeof others);
            assert_int_equal(mine == NULL, others == NULL);
        }
    }
}

/* ---- a training step ---- */

enum { BATCH = 17 }; /* a group and a piece of one */

/* All that one training step leaves. */
struct outcome { float *gradient, *logits; size_t n_gradient, n_logits; struct step_result result; };

static void draw_batch(const struct graph *graph, uint8_t *pixels, int32_t *labels, int64_t *index)
{
    struct draws draws = { 11, 0 };
    for (size_t i = 0; i < BATCH * shape_count(graph->nodes[0].out); i++)
        pixels[i] = (uint8_t)draw_below(&draws, 256);
    for (int i = 0; i < BATCH; i++) {
        labels[i] = draw_below(&draws, graph->classes);
        index[i] = draw_below(&draws, 1000);
    }
}

static void train_step(struct outcome *outcome, const struct backend *backend, const struct graph *graph)
{
    struct error error = { 0 };
    struct device *device = NULL;
    struct plan *plan = NULL;
    void *pixels;
    int32_t labels[BATCH];
    int64_t index[BATCH];
    float *weights = floats_new(graph->params.total), *stats = floats_new(graph->stats.total);
    *outcome = (struct outcome){ .n_gradient = graph->params.total, .n_logits = BATCH * (size_t)graph->classes };
    outcome->gradient = floats_new(outcome->n_gradient);
    outcome->logits = floats_new(outcome->n_logits);
    graph_init_weights(graph, 5, weights);
    graph_init_stats(graph, stats);
    assert_int_equal(door_allocate(&pixels, BATCH * shape_count(graph->nodes[0].out), "pixels", &error), 0);
    draw_batch(graph, pixels, labels, index);
    const struct step step = { .weights = weights, .gradient = outcome->gradient, .stats = stats, .repack = true,
                               .pixels = pixels, .labels = labels, .index = index, .n = BATCH, .seed = 3 };
    if (backend->device_open(&device, -1, &error)
        || plan_make(&plan, &(struct plan_request){ backend, device, graph, BATCH, true, PRECISION_FP32 }, &error)
        || plan_forward(plan, &step, NULL, &error) || plan_backward(plan, &step, NULL, &error)
        || plan_result(plan, 0, &outcome->result, &error))
        fail_msg("%s: %s", backend->name, error.text);
    plan_logits(plan, outcome->logits);
    plan_free(plan);
    backend->device_close(device);
    door_free(pixels);
    door_free(weights);
    door_free(stats);
}

static void outcome_free(struct outcome *outcome)
{
    door_free(outcome->gradient);
    door_free(outcome->logits);
}

static void assert_same(const struct outcome *a, const struct outcome *b)
{
    assert_memory_equal(a->gradient, b->gradient, a->n_gradient * sizeof(float));
    assert_memory_equal(a->logits, b->logits, a->n_logits * sizeof(float));
    assert_true(a->result.loss_sum == b->result.loss_sum);
}

static void assert_close(const struct outcome *expected, const struct outcome *got)
{
    assert_true(difference(expected->logits, got->logits, expected->n_logits) < 2e-5);
    assert_true(difference(expected->gradient, got->gradient, expected->n_gradient) < 2e-4);
    assert_true(fabs(expected->result.loss_sum / got->result.loss_sum - 1) < 1e-5);
}

/* With all that a fusion may join: bias, ReLU, a maximum. */
static void build_lenet(struct graph *graph)
{
    const struct network_request request = { .input = { .c = 1, .h = 28, .w = 28, .std = { 1 } }, .classes = 10 };
    struct error error = { 0 };
    if (network_build(graph, "lenet", &request, &error))
        fail_msg("%s", error.text);
}

/* Each is near the reference; and a table of one set computes with that set, whichever is chosen. */
static void every_set_trains(void **state)
{
    (void)state;
    struct graph graph;
    struct outcome reference, own, chosen;
    struct error error = { 0 };
    build_lenet(&graph);
    train_step(&reference, &backend_reference, &graph);
    for (int isa = 0; isa < ISAS; isa++) {
        if (!isa_runs((enum isa)isa))
            continue;
        assert_int_equal(isa_choose(ISA_BASE, &error), 0);
        train_step(&own, isa_lanes((enum isa)isa), &graph);
        assert_int_equal(isa_choose((enum isa)isa, &error), 0);
        train_step(&chosen, &backend_lanes, &graph);
        assert_close(&reference, &own);
        assert_same(&own, &chosen);
        outcome_free(&own);
        outcome_free(&chosen);
    }
    outcome_free(&reference);
    graph_release(&graph);
}

int test_isa(void)
{
#define RESTORED(name) cmocka_unit_test_setup_teardown(name, keep_best, restore_best)
    const struct CMUnitTest tests[] = {
        RESTORED(names_are_values_of_the_key), RESTORED(the_best_is_taken), RESTORED(what_does_not_run_is_refused),
        RESTORED(the_key_chooses), RESTORED(the_tables_agree), RESTORED(every_set_trains),
    };
    return cmocka_run_group_tests_name("isa", tests, NULL, NULL);
}
