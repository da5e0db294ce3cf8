/* The same bits on every instruction set with a fused multiply-add: logits, losses, gradients, running statistics, and
 * the weights after some steps. What they are is kept here as checksums, so that machines are compared as well as the
 * instruction sets of this one. */
#include "cpu/isa.h"

#include "base/door.h"
#include "nets/dummy.h"
#include "nets/network.h"
#include "nets/plan.h"
#include "tests/segment.h"
#include "tests/tests.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct training {
    const char *network;
    int batch, steps;
    uint64_t checksum; /* of all steps */
};

/* 1: a piece of one group; 17 and 63: whole groups and a piece. */
static const struct training small[] = {
    { "lenet", 1, 1, 0x6b6127b6dfad674e }, { "lenet", 17, 1, 0xca198e96d5189f92 },
    { "lenet", 63, 1, 0x8a1d08db8c3c09d6 }, { "resnet20", 1, 1, 0x4039bd2db5b338fb },
    { "resnet20", 17, 1, 0x169457f1277aa505 }, { "resnet20", 63, 1, 0x3de6dbe9b78d7393 },
};

static const struct training large[] = {
    { "vgg16-bn", 1, 1, 0xc3b047eaa7101d71 }, { "vgg16-bn", 17, 1, 0xd701640eec34520a },
    { "vgg16-bn", 63, 1, 0x89836adf6c59648a }, { "resnet50", 17, 1, 0x4ac2cd5781e9174f },
};

static const struct training many_steps[] = {
    { "lenet", 17, 50, 0x0af80fdd9bbd6ef7 }, { "resnet20", 17, 50, 0x675ea2aaaa06c4ce },
};

static const struct training long_training[] = {
    { "vgg16-bn", 17, 50, 0x462a07dbdb16faba },
};

/* FNV-1a by words. Every NaN counts as one, because its other bits mean nothing. */
static uint64_t checksum(uint64_t so_far, const float *values, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = 0x7fc00000;
        if (!isnan(values[i]))
            memcpy(&bits, &values[i], sizeof bits);
        so_far = (so_far ^ bits) * 1099511628211u;
    }
    return so_far;
}

static void build(struct graph *graph, const char *network)
{
    const bool grey = strcmp(network, "lenet") == 0;
    const struct input_args mnist = { .c = 1, .h = 28, .w = 28, .mean = { 0.1307f }, .std = { 0.3081f } };
    const struct input_args cifar10 = { .c = 3, .h = 32, .w = 32, .mean = { 0.4914f, 0.4822f, 0.4465f },
                                        .std = { 0.2470f, 0.2435f, 0.2616f } };
    struct error error = { 0 };
    const struct network_request request = { .input = grey ? mnist : cifar10, .classes = 10 };
    if (network_build(graph, network, &request, &error))
        fail_msg("%s", error.text);
}

/* A step and its update; what it leaves is added to the checksum. */
static uint64_t one(uint64_t so_far, const struct backend *backend, struct plan *plan, const struct graph *graph,
                    struct dummy *dummy, float *momentum)
{
    struct error error = { 0 };
    struct step_result result;
    const size_t n = graph->params.total, n_logits = (size_t)dummy->step.n * (size_t)graph->classes;
    float *weights = (float *)dummy->step.weights, *logits = floats_new(n_logits);
    if (plan_forward(plan, &dummy->step, NULL, &error) || plan_backward(plan, &dummy->step, NULL, &error)
        || plan_result(plan, 0, &result, &error))
        fail_msg("%s", error.text);
    assert_true(isfinite(result.loss_sum));
    plan_logits(plan, logits);
    backend->sgd(NULL, &(struct sgd_pass){
        .n = n, .k = 1, .gradients = (const float *const[]){ dummy->step.gradient }, .inv_k = 1,
        .w = weights, .w_out = weights, .v = momentum,
        .scale = 1, .rate = 0.01f, .momentum = 0.9f, .weight_decay = 5e-4f });
    so_far = checksum(so_far, logits, n_logits);
    so_far = checksum(so_far, (const float[]){ (float)result.loss_sum }, 1);
    so_far = checksum(so_far, dummy->step.gradient, n);
    so_far = checksum(so_far, dummy->step.stats, graph->stats.total);
    door_free(logits);
    return checksum(so_far, weights, n);
}

static uint64_t train(const struct training *t, const struct backend *backend)
{
    struct error error = { 0 };
    struct device *device;
    struct graph graph;
    struct plan *plan;
    struct dummy dummy;
    build(&graph, t->network);
    if (backend->device_open(&device, -1, &error)
        || plan_make(&plan, &(struct plan_request){ backend, device, &graph, t->batch, true, PRECISION_FP32 }, &error)
        || dummy_init(&dummy, backend, device, &graph, t->batch, &error))
        fail_msg("%s", error.text);
    float *momentum = floats_new(graph.params.total);
    uint64_t sum = 14695981039346656037u;
    for (int i = 0; i < t->steps; i++)
        sum = one(sum, backend, plan, &graph, &dummy, momentum);
    door_free(momentum);
    dummy_release(&dummy);
    plan_free(plan);
    backend->device_close(device);
    graph_release(&graph);
    return sum;
}

static void check(const struct training *trainings, size_t n)
{
    int sets = 0, wrong = 0;
    for (int isa = 0; isa < ISAS; isa++) {
        const struct backend *backend = isa_lanes((enum isa)isa);
        if (!backend || !isa_fuses((enum isa)isa))
            continue;
        sets++;
        for (size_t i = 0; i < n; i++) {
            const struct training *t = &trainings[i];
            const uint64_t sum = train(t, backend);
            if (sum == t->checksum)
                continue;
            wrong++;
            print_error("%s: %s, batch %d, %d steps: 0x%016llx, want 0x%016llx\n", isa_name((enum isa)isa), t->network,
                        t->batch, t->steps, (unsigned long long)sum, (unsigned long long)t->checksum);
        }
    }
    if (!sets)
        test_skip("no instruction set here fuses multiply-adds");
    assert_int_equal(wrong, 0);
}

static void a_step_has_the_kept_bits(void **state) { (void)state; check(small, sizeof small / sizeof *small); }
static void large_networks(void **state) { (void)state; check(large, sizeof large / sizeof *large); }
static void fifty_steps(void **state) { (void)state; check(many_steps, sizeof many_steps / sizeof *many_steps); }

static void fifty_steps_of_vgg(void **state)
{
    (void)state;
    if (!getenv("ONESTEP_TEST_LONG"))
        test_skip("half a minute for each instruction set; make test-long runs it");
    check(long_training, sizeof long_training / sizeof *long_training);
}

int test_bits(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(a_step_has_the_kept_bits) };
    return cmocka_run_group_tests_name("bits", tests, NULL, NULL);
}

/* What takes longer. */
int test_bits_deep(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(large_networks), cmocka_unit_test(fifty_steps), cmocka_unit_test(fifty_steps_of_vgg),
    };
    return cmocka_run_group_tests_name("bits_deep", tests, NULL, NULL);
}
