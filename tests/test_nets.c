/* The graph: the networks' tables, errors by their text, initial weights. */
#include "nets/network.h"

#include "base/door.h"
#include "nets/layers.h"
#include "tests/segment.h"
#include "tests/tests.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct network_request mnist = { .input = { .c = 1, .h = 28, .w = 28 }, .classes = 10 };

static void build(struct graph *graph, const char *name, const struct network_request *request)
{
    struct error error = { 0 };
    if (network_build(graph, name, request, &error))
        fail_msg("%s", error.text);
}

struct row { const char *name; int rank, dims[4]; bool decay; };

static void expect_rows(const struct param_map *map, const struct row *rows, int n)
{
    size_t offset = 0;
    assert_int_equal(map->n, n);
    for (int i = 0; i < n; i++) {
        const struct param *row = &map->rows[i];
        size_t count = 1;
        assert_string_equal(row->name, rows[i].name);
        assert_int_equal(row->rank, rows[i].rank);
        assert_memory_equal(row->dims, rows[i].dims, sizeof row->dims);
        assert_int_equal(row->decay, rows[i].decay);
        for (int k = 0; k < row->rank; k++)
            count *= (size_t)row->dims[k];
        assert_int_equal(row->count, count);
        assert_int_equal(row->offset, offset);
        offset += count;
    }
    assert_int_equal(map->total, offset);
}

static double all_multiply_adds(const struct graph *graph)
{
    double sum = 0;
    for (int i = 0; i < graph->n_nodes; i++)
        sum += node_multiply_adds(graph, &graph->nodes[i]);
    return sum;
}

static void test_mlp(void **state)
{
    (void)state;
    static const struct row rows[] = {
        { "fc1.weight", 2, { 128, 784 }, true }, { "fc1.bias", 1, { 128 }, false }, { "fc2.weight", 2, { 10, 128 }, true }, { "fc2.bias", 1, { 10 }, false },
    };
    struct graph graph;
    build(&graph, "mlp", &mnist);
    expect_rows(&graph.params, rows, 4);
    assert_int_equal(graph.params.total, 101770);
    assert_true(all_multiply_adds(&graph) == 784 * 128 + 128 * 10);
    graph_release(&graph);
}

static void test_lenet(void **state)
{
    (void)state;
    static const struct row rows[] = {
        { "conv1.weight", 4, { 20, 1, 5, 5 }, true }, { "conv1.bias", 1, { 20 }, false }, { "conv2.weight", 4, { 50, 20, 5, 5 }, true }, { "conv2.bias", 1, { 50 }, false },
        { "fc1.weight", 2, { 500, 800 }, true }, { "fc1.bias", 1, { 500 }, false }, { "fc2.weight", 2, { 10, 500 }, true }, { "fc2.bias", 1, { 10 }, false },
    };
    struct graph graph;
    build(&graph, "lenet", &mnist);
    expect_rows(&graph.params, rows, 8);
    assert_int_equal(graph.params.total, 431080);
    assert_int_equal(graph.classes, 10);
    assert_true(all_multiply_adds(&graph) == 288000 + 1600000 + 400000 + 5000);
    graph_release(&graph);
}

static void test_lenet5(void **state)
{
    (void)state;
    struct graph graph;
    build(&graph, "lenet5", &mnist);
    assert_int_equal(graph.params.total, 61706);
    assert_true(all_multiply_adds(&graph) == 117600 + 240000 + 48000 + 10080 + 840);
    graph_release(&graph);
}

/* ---- the papers' networks ---- */

static const struct network_request cifar = { .input = { .c = 3, .h = 32, .w = 32 }, .classes = 10 };

/* He et al., table 6, in full: 0.27, 0.46, 0.66, 0.85 and 1.7 million parameters. With n blocks a stage and A's shortcuts, convolutions have
 * 432 + 2304 (2n) + 4608 + 9216 (2n - 1) + 18432 + 36864 (2n - 1), normalizations 2 (16 + 2n (16 + 32 + 64)), the last layer 650. */
static void test_cifar_resnets(void **state)
{
    (void)state;
    static const struct { const char *name; int blocks; size_t params; } nets[] = {
        { "resnet20", 3, 269722 }, { "resnet32", 5, 464154 }, { "resnet44", 7, 658586 }, { "resnet56", 9, 853018 }, { "resnet110", 18, 1727962 },
    };
    for (size_t i = 0; i < sizeof nets / sizeof *nets; i++) {
        struct graph graph;
        const int n = nets[i].blocks;
        build(&graph, nets[i].name, &cifar);
        assert_int_equal(graph.params.total, nets[i].params);
        assert_int_equal(graph.params.total, 432 + 2304 * 2 * n + 4608 + 9216 * (2 * n - 1) + 18432 + 36864 * (2 * n - 1) + 2 * (16 + 2 * n * 112) + 650);
        assert_int_equal(graph.stats.total, 2 * (16 + 2 * n * 112));
        /* every convolution behind the first costs 2304 * 32 * 32, but for the two that halve the plane, which cost half of that */
        assert_true(all_multiply_adds(&graph) == 432 * 1024 + 2304 * 1024 * (6 * n - 1.0) + 640);
        graph_release(&graph);
    }
}

/* torchvision's ResNet-18 and 34 with 1000 classes have 11,689,512 and 21,797,672: 7 x 7 taps fall to 3 x 3, 1000 classes to 10. */
static void test_imagenet_resnets(void **state)
{
    (void)state;
    static const struct { const char *name; size_t params; double multiply_adds; } nets[] = {
        { "resnet18", 11689512 - 64 * 3 * (49 - 9) - 990 * 513, 555422720 }, { "resnet34", 21797672 - 64 * 3 * (49 - 9) - 990 * 513, 1159402496 },
    };
    for (size_t i = 0; i < sizeof nets / sizeof *nets; i++) {
        struct graph graph;
        build(&graph, nets[i].name, &cifar);
        assert_int_equal(graph.params.total, nets[i].params);
        assert_true(all_multiply_adds(&graph) == nets[i].multiply_adds);
        graph_release(&graph);
    }
}

/* torchvision's VGG-16 with normalization has 138,365,992, of them 123,642,856 in its classifier. */
static void test_vgg16(void **state)
{
    (void)state;
    struct graph graph;
    build(&graph, "vgg16-bn", &cifar);
    assert_int_equal(graph.params.total, 138365992 - 123642856 + 2 * (512 * 512 + 512) + 5130);
    assert_true(all_multiply_adds(&graph) == 313196544 + 2 * 512 * 512 + 5120);
    graph_release(&graph);
}

/* How many of the network's parameters bear one of these names. */
static int named(const struct graph *graph, const char *const *names, int n)
{
    int found = 0;
    for (int i = 0; i < n; i++)
        for (int k = 0; k < graph->params.n; k++)
            found += strcmp(graph->params.rows[k].name, names[i]) == 0;
    return found;
}

static void test_names_are_torchvisions(void **state)
{
    (void)state;
    static const char *const resnet[] = { "conv1.weight", "bn1.weight", "layer1.0.conv1.weight", "layer1.0.bn1.bias", "layer1.2.conv2.weight", "layer3.2.bn2.weight", "fc.weight", "fc.bias" };
    static const char *const projections[] = { "layer2.0.downsample.0.weight", "layer2.0.downsample.1.bias", "layer3.0.downsample.0.weight", "layer3.0.downsample.1.bias" };
    static const char *const vgg[] = { "features.0.weight", "features.0.bias", "features.1.weight", "features.7.weight", "features.40.bias", "features.41.weight", "classifier.0.weight", "classifier.3.bias", "classifier.6.weight" };
    struct graph graph;
    struct network_request request = cifar;
    build(&graph, "resnet20", &request);
    assert_int_equal(named(&graph, resnet, 8), 8);
    assert_int_equal(named(&graph, projections, 4), 0);
    graph_release(&graph);
    request.shortcut = SHORTCUT_B;
    build(&graph, "resnet20", &request);
    assert_int_equal(named(&graph, resnet, 8), 8);
    assert_int_equal(named(&graph, projections, 4), 4);
    assert_int_equal(graph.params.total, 269722 + 16 * 32 + 64 + 32 * 64 + 128);
    graph_release(&graph);
    build(&graph, "vgg16-bn", &request);
    assert_int_equal(named(&graph, vgg, 9), 9);
    graph_release(&graph);
    request.shortcut = SHORTCUT_A;
    build(&graph, "resnet18", &request);
    assert_int_equal(named(&graph, projections, 4), 0);
    graph_release(&graph);
}

static void test_images_of_another_size(void **state)
{
    (void)state;
    struct graph graph;
    struct error error = { 0 };
    assert_int_equal(network_build(&graph, "resnet34", &mnist, &error), -1);
    assert_int_equal(error.code, EXIT_USAGE);
    assert_string_equal(error.text, "resnet34: want images of 32 x 32, got 28 x 28");
    graph_release(&graph);
    error.code = 0;
    assert_int_equal(network_build(&graph, "vgg16-bn", &mnist, &error), -1);
    assert_string_equal(error.text, "vgg16-bn: want images of 32 x 32, got 28 x 28");
    graph_release(&graph);
    build(&graph, "resnet20", &mnist);
    graph_release(&graph);
}

/* The table as one text; free it. */
static char *described(const char *name, const struct network_request *request)
{
    struct graph graph;
    char *text = NULL;
    size_t bytes = 0;
    FILE *to = open_memstream(&text, &bytes);
    build(&graph, name, request);
    graph_describe(&graph, to);
    fclose(to);
    graph_release(&graph);
    return text;
}

static int lines(const char *text)
{
    int n = 0;
    for (; *text; text++)
        n += *text == '\n';
    return n;
}

static void test_describe(void **state)
{
    (void)state;
    static const char lenet[] =
        "layer  kind           output           parameters  multiply-adds\n"
        "input  input          1 x 28 x 28\n"
        "conv1  conv           20 x 24 x 24            520         288000\n"
        "pool2  pool           20 x 12 x 12\n"
        "conv2  conv           50 x 8 x 8            25050        1600000\n"
        "pool4  pool           50 x 4 x 4\n"
        "fc1    linear + relu  500                  400500         400000\n"
        "fc2    linear         10                     5010           5000\n"
        "loss   loss           1\n"
        "all                                        431080        2293000\n";
    char *text = described("lenet", &mnist);
    assert_string_equal(text, lenet);
    free(text);
    text = described("resnet20", &cifar);
    assert_non_null(strstr(text, "\nlayer2.0.conv2  conv + batchnorm + add + relu  32 x 16 x 16           9280        2359296\n"));
    assert_int_equal(lines(text), 1 + 1 + 20 + 2 + 1 + 1 + 1); /* input, weighted layers, shortcuts, average, loss, sums */
    free(text);
    text = described("resnet110", &cifar);
    assert_int_equal(lines(text), 1 + 1 + 110 + 2 + 1 + 1 + 1);
    free(text);
}

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

static void test_network_errors(void **state)
{
    (void)state;
    struct graph graph;
    struct error error = { 0 };
    struct network_request small = mnist;
    small.input.h = small.input.w = 8;
    assert_int_equal(network_build(&graph, "lennet", &mnist, &error), -1);
    assert_int_equal(error.code, EXIT_USAGE);
    assert_string_equal(error.text, "unknown network \"lennet\"; the nearest is \"lenet\"");
    graph_release(&graph);
    error.code = 0;
    assert_int_equal(network_build(&graph, "lenet", &small, &error), -1);
    assert_string_equal(error.text, "lenet: layer conv2: want an input of at least 5 x 5 with padding 0 on each side, got 2 x 2");
    graph_release(&graph);
}

/* Whichever allocation fails while a graph is built, the error says so and nothing is lost. */
static void test_out_of_memory(void **state)
{
    (void)state;
    for (int n = 1; n <= 2; n++) {
        struct graph graph;
        struct error error = { 0 };
        door_fail_at(DOOR_ALLOCATE, n, ENOMEM, true);
        int result = network_build(&graph, "lenet", &mnist, &error);
        door_fail_at(DOOR_ALLOCATE, 0, 0, false);
        assert_int_equal(result, -1);
        assert_int_equal(error.code, EXIT_MEMORY);
        graph_release(&graph);
    }
}

/* ---- initial weights ---- */

static const struct param *find(const struct graph *graph, const char *name)
{
    for (int i = 0; i < graph->params.n; i++)
        if (strcmp(graph->params.rows[i].name, name) == 0)
            return &graph->params.rows[i];
    return NULL;
}

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
    const struct param *in_a = find(&a, "two.weight"), *in_b = find(&b, "two.weight");
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
    build(&graph, "lenet", &mnist);
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
    build(&graph, "vgg16-bn", &cifar);
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

int test_nets(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mlp), cmocka_unit_test(test_lenet), cmocka_unit_test(test_lenet5), cmocka_unit_test(test_describe),
        cmocka_unit_test(test_cifar_resnets), cmocka_unit_test(test_imagenet_resnets), cmocka_unit_test(test_vgg16), cmocka_unit_test(test_names_are_torchvisions),
        cmocka_unit_test(test_images_of_another_size),
        cmocka_unit_test(test_window_errors), cmocka_unit_test(test_join_errors), cmocka_unit_test(test_name_errors), cmocka_unit_test(test_argument_errors),
        cmocka_unit_test(test_shape_of_graph_errors), cmocka_unit_test(test_first_error_stays), cmocka_unit_test(test_network_errors), cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_init_needs_no_order), cmocka_unit_test(test_init_distribution), cmocka_unit_test(test_he_init), cmocka_unit_test(test_batchnorm_starts),
    };
    return cmocka_run_group_tests_name("nets", tests, NULL, NULL);
}
