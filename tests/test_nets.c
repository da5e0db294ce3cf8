/* The networks' tables, and what a network refuses. ImageNet's are in test_resnet_imagenet.c. */
#include "nets/network.h"

#include "base/door.h"
#include "tests/tables.h"
#include "tests/tests.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct network_request mnist = { .input = { .c = 1, .h = 28, .w = 28 }, .classes = 10 };
static const struct network_request cifar = { .input = { .c = 3, .h = 32, .w = 32 }, .classes = 10 };

static void test_mlp(void **state)
{
    (void)state;
    static const struct row rows[] = {
        { "fc1.weight", 2, { 128, 784 }, true }, { "fc1.bias", 1, { 128 }, false }, { "fc2.weight", 2, { 10, 128 }, true }, { "fc2.bias", 1, { 10 }, false },
    };
    struct graph graph;
    network_make(&graph, "mlp", &mnist);
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
    network_make(&graph, "lenet", &mnist);
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
    network_make(&graph, "lenet5", &mnist);
    assert_int_equal(graph.params.total, 61706);
    assert_true(all_multiply_adds(&graph) == 117600 + 240000 + 48000 + 10080 + 840);
    graph_release(&graph);
}

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
        network_make(&graph, nets[i].name, &cifar);
        assert_int_equal(graph.params.total, nets[i].params);
        assert_int_equal(graph.params.total, 432 + 2304 * 2 * n + 4608 + 9216 * (2 * n - 1) + 18432 + 36864 * (2 * n - 1) + 2 * (16 + 2 * n * 112) + 650);
        assert_int_equal(graph.stats.total, 2 * (16 + 2 * n * 112));
        /* every convolution behind the first costs 2304 * 32 * 32, but for the two that halve the plane, which cost half of that */
        assert_true(all_multiply_adds(&graph) == 432 * 1024 + 2304 * 1024 * (6 * n - 1.0) + 640);
        graph_release(&graph);
    }
}

/* torchvision's VGG-16 with normalization has 138,365,992, of them 123,642,856 in its classifier. */
static void test_vgg16(void **state)
{
    (void)state;
    struct graph graph;
    network_make(&graph, "vgg16-bn", &cifar);
    assert_int_equal(graph.params.total, 138365992 - 123642856 + 2 * (512 * 512 + 512) + 5130);
    assert_true(all_multiply_adds(&graph) == 313196544 + 2 * 512 * 512 + 5120);
    graph_release(&graph);
}

static void test_names_are_torchvisions(void **state)
{
    (void)state;
    static const char *const resnet[] = { "conv1.weight", "bn1.weight", "layer1.0.conv1.weight", "layer1.0.bn1.bias", "layer1.2.conv2.weight", "layer3.2.bn2.weight", "fc.weight", "fc.bias" };
    static const char *const projections[] = { "layer2.0.downsample.0.weight", "layer2.0.downsample.1.bias", "layer3.0.downsample.0.weight", "layer3.0.downsample.1.bias" };
    static const char *const vgg[] = { "features.0.weight", "features.0.bias", "features.1.weight", "features.7.weight", "features.40.bias", "features.41.weight", "classifier.0.weight", "classifier.3.bias", "classifier.6.weight" };
    struct graph graph;
    struct network_request request = cifar;
    network_make(&graph, "resnet20", &request);
    assert_int_equal(count_named(&graph, resnet, 8), 8);
    assert_int_equal(count_named(&graph, projections, 4), 0);
    graph_release(&graph);
    request.shortcut = SHORTCUT_B;
    network_make(&graph, "resnet20", &request);
    assert_int_equal(count_named(&graph, resnet, 8), 8);
    assert_int_equal(count_named(&graph, projections, 4), 4);
    assert_int_equal(graph.params.total, 269722 + 16 * 32 + 64 + 32 * 64 + 128);
    graph_release(&graph);
    network_make(&graph, "vgg16-bn", &request);
    assert_int_equal(count_named(&graph, vgg, 9), 9);
    graph_release(&graph);
}

static void test_images_of_another_size(void **state)
{
    (void)state;
    struct graph graph;
    struct error error = { 0 };
    assert_int_equal(network_build(&graph, "vgg16-bn", &mnist, &error), -1);
    assert_int_equal(error.code, EXIT_USAGE);
    assert_string_equal(error.text, "vgg16-bn: want images of 32 x 32, got 28 x 28");
    graph_release(&graph);
    network_make(&graph, "resnet20", &mnist);
    graph_release(&graph);
}

/* The table as one text; free it. */
static char *described(const char *name, const struct network_request *request)
{
    struct graph graph;
    char *text = NULL;
    size_t bytes = 0;
    FILE *to = open_memstream(&text, &bytes);
    network_make(&graph, name, request);
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
        "layer  kind         output    parameters  multiply-adds\n"
        "input  input        1x28x28\n"
        "conv1  conv         20x24x24         520         288000\n"
        "pool2  pool         20x12x12\n"
        "conv2  conv         50x8x8         25050        1600000\n"
        "pool4  pool         50x4x4\n"
        "fc1    linear+relu  500           400500         400000\n"
        "fc2    linear       10              5010           5000\n"
        "loss   loss         1\n"
        "all                               431080        2293000\n";
    char *text = described("lenet", &mnist);
    assert_string_equal(text, lenet);
    free(text);
    text = described("resnet20", &cifar);
    assert_non_null(strstr(text, "\nlayer2.0.conv2  conv+bn+add+relu  32x16x16        9280        2359296\n"));
    assert_int_equal(lines(text), 1 + 1 + 20 + 2 + 1 + 1 + 1); /* input, weighted layers, shortcuts, average, loss, sums */
    free(text);
    text = described("resnet110", &cifar);
    assert_int_equal(lines(text), 1 + 1 + 110 + 2 + 1 + 1 + 1);
    free(text);
}

/* The widest there is: deep, with images of 224 pixels. */
static void test_descriptions_fit_a_terminal(void **state)
{
    (void)state;
    const struct network_request imagenet = { .input = { .c = 3, .h = 224, .w = 224 }, .classes = 1000 };
    static const char *const names[] = { "resnet18", "resnet50", "resnet152", "resnet110" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *text = described(names[i], &imagenet);
        for (const char *line = text; *line; line += strcspn(line, "\n") + 1)
            if (strcspn(line, "\n") > 80)
                fail_msg("%s: %.100s", names[i], line);
        free(text);
    }
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

int test_nets(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mlp), cmocka_unit_test(test_lenet), cmocka_unit_test(test_lenet5),
        cmocka_unit_test(test_describe), cmocka_unit_test(test_descriptions_fit_a_terminal),
        cmocka_unit_test(test_cifar_resnets), cmocka_unit_test(test_vgg16), cmocka_unit_test(test_names_are_torchvisions),
        cmocka_unit_test(test_images_of_another_size), cmocka_unit_test(test_network_errors), cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests_name("nets", tests, NULL, NULL);
}
