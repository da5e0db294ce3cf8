/* The graph: errors by their text, initial weights. */
#include "base/door.h"
#include "nets/layers.h"
#include "tests/segment.h"
#include "tests/tables.h"
#include "tests/tests.h"

#include <math.h>
#include <string.h>

/* ---- errors ---- */

static int start(struct graph *graph)
{
    graph_init(graph, "net", &(struct input_args){ .c = 3, .h = 8, .w = 6 });
    return 0;
}

static void expect_error(struct graph *graph, const char *text)
{
    struct error error = { 0 };
    assert_int_equal(graph_finish(graph, &error), -1);
    assert_int_equal(error.code, EXIT_USAGE);
    assert_string_equal(error.text, text);
    graph_release(graph);
}

static void test_window_errors(void **state)
{
    (void)state;
    struct graph graph;
    int x = start(&graph);
    loss(&graph, linear(&graph, conv(&graph, x, "c", &(struct conv_args){ .filters = 4, .size = 9 }), "f", 2), 0);
    expect_error(&graph, "net: layer c: want an input of at least 9 x 9 with padding 0 on each side, got 8 x 6");
    x = start(&graph);
    conv(&graph, x, "c", &(struct conv_args){ .filters = 0, .size = 3 });
    expect_error(&graph, "net: layer c: want 1..1048576 filters, got 0");
    x = start(&graph);
    pool(&graph, x, &(struct pool_args){ .size = 2, .stride = 1, .pad = 2 });
    expect_error(&graph, "net: layer pool1: want size 1..1024, stride 1..1024 and padding below the size, got size 2, stride 1, padding 2");
    x = start(&graph);
    pool(&graph, x, &(struct pool_args){ .stride = 2 });
    expect_error(&graph, "net: layer pool1: want no stride and no padding where the window is the whole plane, got 2 and 0");
}

static void test_join_errors(void **state)
{
    (void)state;
    struct graph graph;
    int x = start(&graph), many[NODE_INPUTS + 1] = { 0 };
    add(&graph, x, conv(&graph, x, "c", &(struct conv_args){ .filters = 4, .size = 1 }));
    expect_error(&graph, "net: layer add2: want two inputs of one shape, got 3 x 8 x 6 (input) and 4 x 8 x 6 (c)");
    x = start(&graph);
    shortcut(&graph, x, 2, 1);
    expect_error(&graph, "net: layer shortcut1: want at least the input's 3 channels, got 2");
    x = start(&graph);
    concat(&graph, (int[]){ x, maxpool(&graph, x, 2, 2) }, 2);
    expect_error(&graph, "net: layer concat2: want inputs of one height and width, got 8 x 6 and 4 x 3 (pool1)");
    start(&graph);
    concat(&graph, many, NODE_INPUTS + 1);
    expect_error(&graph, "net: layer concat1: want 1..8 inputs, got 9");
    start(&graph);
    relu(&graph, 5);
    expect_error(&graph, "net: layer relu1: want inputs 0..0, got 5");
}

static void test_name_errors(void **state)
{
    (void)state;
    struct graph graph;
    int x = start(&graph);
    linear(&graph, linear(&graph, x, "fc", 4), "fc", 4);
    expect_error(&graph, "net: parameter fc.weight: there are two of that name");
    x = start(&graph);
    linear(&graph, x, "a_layer_with_a_name_of_fifty_letters_is_still_not_bad", 4);
    expect_error(&graph, "net: parameter a_layer_with_a_name_of_fifty_letters_is_still_not_bad.weight: want a name shorter than 56 characters");
    x = start(&graph);
    linear(&graph, x, "a_layer_with_a_name_of_more_than_sixty_letters_is_too_much_of_it", 4);
    expect_error(&graph, "net: layer a_layer_with_a_name_of_more_than_sixty_letters_is_too_much_of_it: want a name shorter than 56 characters");
}

static void test_argument_errors(void **state)
{
    (void)state;
    struct graph graph;
    int x = start(&graph);
    dropout(&graph, x, 1);
    expect_error(&graph, "net: layer dropout1: want a probability from 0 to below 1, got 1");
    x = start(&graph);
    lrn(&graph, x, &(struct lrn_args){ .size = 4 });
    expect_error(&graph, "net: layer lrn1: want an odd size and positive alpha, beta and k, got 4, 0.0001, 0.75, 1");
    x = start(&graph);
    linear(&graph, linear(&graph, x, "f", 1048576), "g", 1048576);
    expect_error(&graph, "net: parameter g.weight: want at most 1073741824 parameters in all");
    x = start(&graph);
    loss(&graph, x, 0);
    expect_error(&graph, "net: layer loss: want a vector of at least 2 logits, got 3 x 8 x 6");
    x = start(&graph);
    loss(&graph, linear(&graph, x, "f", 2), NAN);
    expect_error(&graph, "net: layer loss: want label smoothing from 0 to below 1, got nan");
    graph_init(&graph, "net", &(struct input_args){ .c = 5, .h = 1, .w = 1 });
    expect_error(&graph, "net: input: want 1..4 channels of 1..16384 x 1..16384 pixels, got 5 x 1 x 1");
    graph_init(&graph, "net", &(struct input_args){ .c = 1, .h = 1, .w = 1, .std = { -1 } });
    expect_error(&graph, "net: input: channel 0: want a finite mean and a positive standard deviation, got 0 and -1");
}

static void test_shape_of_graph_errors(void **state)
{
    (void)state;
    struct graph graph;
    int x = start(&graph);
    linear(&graph, x, "f", 2);
    expect_error(&graph, "net: want a loss as its last layer, got f");
    x = start(&graph);
    relu(&graph, x);
    loss(&graph, linear(&graph, x, "f", 2), 0);
    expect_error(&graph, "net: layer relu1: no other layer reads its output");
    x = start(&graph);
    relu(&graph, loss(&graph, linear(&graph, x, "f", 2), 0));
    expect_error(&graph, "net: layer relu3: nothing can come after the loss");
}

static void test_first_error_stays(void **state)
{
    (void)state;
    struct graph graph;
    int x = start(&graph);
    x = linear(&graph, x, "f", 0);
    assert_int_equal(x, 0);
    assert_int_equal(dropout(&graph, x, 2), 0);
    expect_error(&graph, "net: layer f: want 1..1048576 outputs, got 0");
}

/* ---- initial weights ---- */

/* A parameter starts the same wherever it stands in the graph, and whatever stands around it. */
static void test_init_needs_no_order(void **state)
{
    (void)state;
    struct graph a, b;
    int x = start(&a);
    loss(&a, linear(&a, relu(&a, linear(&a, x, "one", 144)), "two", 5), 0);
    x = start(&b);
    loss(&b, linear(&b, linear(&b, x, "two", 5), "one", 3), 0);
    float *values_a = floats_new(a.params.total), *values_b = floats_new(b.params.total);
    graph_init_weights(&a, 9, values_a);
    graph_init_weights(&b, 9, values_b);
    const struct param *in_a = param_named(&a, "two.weight"), *in_b = param_named(&b, "two.weight");
    assert_int_equal(in_a->count, in_b->count);
    assert_int_not_equal(in_a->offset, in_b->offset);
    assert_memory_equal(values_a + in_a->offset, values_b + in_b->offset, in_a->count * sizeof(float));
    graph_init_weights(&b, 10, values_b);
    assert_memory_not_equal(values_a + in_a->offset, values_b + in_b->offset, in_a->count * sizeof(float));
    door_free(values_a);
    door_free(values_b);
    graph_release(&a);
    graph_release(&b);
}

/* Uniform within 1/sqrt(fan in): bounds, mean and variance. */
static void test_init_distribution(void **state)
{
    (void)state;
    struct graph graph;
    network_make(&graph, "lenet", &(struct network_request){ .input = { .c = 1, .h = 28, .w = 28 }, .classes = 10 });
    float *values = floats_new(graph.params.total);
    graph_init_weights(&graph, 1, values);
    for (int i = 0; i < graph.params.n; i += 2) {
        const struct param *weight = &graph.params.rows[i], *bias = &graph.params.rows[i + 1];
        double bound = 1 / sqrt((double)(weight->count / (size_t)weight->dims[0])), sum = 0, squares = 0;
        for (size_t k = weight->offset; k < bias->offset + bias->count; k++) {
            assert_true(fabs((double)values[k]) <= bound);
            sum += (double)values[k];
            squares += (double)values[k] * (double)values[k];
        }
        double n = (double)(weight->count + bias->count), error = bound / sqrt(n);
        assert_true(fabs(sum / n) < 3 * error);
        assert_true(fabs(squares / n - bound * bound / 3) < 3 * bound * error);
    }
    door_free(values);
    graph_release(&graph);
}

/* Normal with variance 2/fan in: the first four moments, and zero biases. */
static void test_he_init(void **state)
{
    (void)state;
    struct graph graph;
    network_make(&graph, "vgg16-bn", &(struct network_request){ .input = { .c = 3, .h = 32, .w = 32 }, .classes = 10 });
    float *values = floats_new(graph.params.total);
    graph_init_weights(&graph, 1, values);
    for (int i = 0; i < graph.params.n; i++) {
        const struct param *weight = &graph.params.rows[i];
        if (weight->rank != 4)
            continue;
        double variance = 2.0 * weight->dims[0] / (double)weight->count, moments[4] = { 0 }, n = (double)weight->count;
        for (size_t k = weight->offset; k < weight->offset + weight->count; k++) {
            double power = 1;
            for (int m = 0; m < 4; m++)
                moments[m] += (power *= (double)values[k] / sqrt(variance)) / n;
        }
        assert_true(fabs(moments[0]) < 4 / sqrt(n));
        assert_true(fabs(moments[1] - 1) < 4 * sqrt(2 / n));
        assert_true(fabs(moments[2]) < 4 * sqrt(15 / n));
        assert_true(fabs(moments[3] - 3) < 4 * sqrt(96 / n));
        const struct param *bias = weight + 1;
        for (size_t k = bias->offset; k < bias->offset + bias->count; k++)
            assert_true(values[k] == 0);
    }
    door_free(values);
    graph_release(&graph);
}

/* The first weights to the last bit, whatever the machine, the compiler and the C library: LeNet draws uniform
 * numbers, VGG-16 normal ones. */
static void test_init_same_everywhere(void **state)
{
    (void)state;
    const struct network_request gray = { .input = { .c = 1, .h = 28, .w = 28 }, .classes = 10 };
    const struct network_request coloured = { .input = { .c = 3, .h = 32, .w = 32 }, .classes = 10 };
    const struct { const char *net; const struct network_request *request; uint64_t want; } rows[] = {
        { "lenet", &gray, 0x8f92639aa5d62ac6 }, { "vgg16-bn", &coloured, 0xfbd413cc4456a860 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct graph graph;
        network_make(&graph, rows[i].net, rows[i].request);
        float *values = floats_new(graph.params.total);
        graph_init_weights(&graph, 1, values);
        uint64_t got = 0xcbf29ce484222325u;
        for (size_t k = 0; k < graph.params.total; k++) {
            uint32_t bits;
            memcpy(&bits, &values[k], sizeof bits);
            got = (got ^ bits) * 0x100000001b3u;
        }
        if (got != rows[i].want)
            fail_msg("%s: first weights sum up to 0x%llx here, elsewhere to 0x%llx", rows[i].net,
                     (unsigned long long)got, (unsigned long long)rows[i].want);
        door_free(values);
        graph_release(&graph);
    }
}

static void test_batchnorm_starts(void **state)
{
    (void)state;
    static const struct row params[] = { { "b.weight", 1, { 3 }, false }, { "b.bias", 1, { 3 }, false }, { "f.weight", 2, { 2, 144 }, true }, { "f.bias", 1, { 2 }, false } };
    static const struct row stats[] = { { "b.running_mean", 1, { 3 }, false }, { "b.running_var", 1, { 3 }, false } };
    static const float weights[6] = { 1, 1, 1, 0, 0, 0 }, running[6] = { 0, 0, 0, 1, 1, 1 };
    struct graph graph;
    int x = start(&graph);
    loss(&graph, linear(&graph, batchnorm(&graph, x, "b"), "f", 2), 0);
    expect_rows(&graph.params, params, 4);
    expect_rows(&graph.stats, stats, 2);
    float *values = floats_new(graph.params.total), started[6];
    graph_init_weights(&graph, 1, values);
    graph_init_stats(&graph, started);
    assert_memory_equal(values, weights, sizeof weights);
    assert_memory_equal(started, running, sizeof running);
    door_free(values);
    graph_release(&graph);
}

int test_graph(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_window_errors), cmocka_unit_test(test_join_errors), cmocka_unit_test(test_name_errors), cmocka_unit_test(test_argument_errors),
        cmocka_unit_test(test_shape_of_graph_errors), cmocka_unit_test(test_first_error_stays),
        cmocka_unit_test(test_init_needs_no_order), cmocka_unit_test(test_init_distribution), cmocka_unit_test(test_he_init), cmocka_unit_test(test_init_same_everywhere), cmocka_unit_test(test_batchnorm_starts),
    };
    return cmocka_run_group_tests_name("graph", tests, NULL, NULL);
}
