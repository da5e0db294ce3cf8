/* ImageNet's residual networks: the paper's table 1, torchvision's figures and names, stems and starts. */
#include "base/door.h"
#include "tests/segment.h"
#include "tests/tables.h"
#include "tests/tests.h"

#include <stdio.h>
#include <string.h>

static const struct network_request imagenet = { .input = { .c = 3, .h = 224, .w = 224 }, .classes = 1000 }, cifar = { .input = { .c = 3, .h = 32, .w = 32 }, .classes = 10 };

/* Of torchvision's networks: 11.7, 21.8, 25.6, 44.5 and 60.2 million; 1.81, 3.66, 4.09, 7.80 and 11.51 G. With the stride in the first 1x1 the paper counts less for bottlenecks. */
static const struct { const char *name; int layers, expansion; size_t params; double multiply_adds; } nets[] = {
    { "resnet18", 18, 1, 11689512, 1814073344 }, { "resnet34", 34, 1, 21797672, 3663761408 }, { "resnet50", 50, 4, 25557032, 4089184256 },
    { "resnet101", 101, 4, 44549160, 7801405440 }, { "resnet152", 152, 4, 60192808, 11513626624 },
};
enum { NETS = sizeof nets / sizeof *nets };

static void test_figures(void **state)
{
    (void)state;
    for (int i = 0; i < NETS; i++) {
        struct graph graph;
        network_make(&graph, nets[i].name, &imagenet);
        assert_int_equal(graph.params.total, nets[i].params);
        assert_true(all_multiply_adds(&graph) == nets[i].multiply_adds);
        graph_release(&graph);
    }
}

static const struct node *node_named(const struct graph *graph, const char *name)
{
    for (int i = 0; i < graph->n_nodes; i++)
        if (strcmp(graph->nodes[i].name, name) == 0)
            return &graph->nodes[i];
    fail_msg("%s has no %s", graph->name, name);
    return NULL;
}

/* Table 1's column "output size", its filters, and its name: a layer counts that has weights and is no shortcut. */
static void test_stages(void **state)
{
    (void)state;
    for (int i = 0; i < NETS; i++) {
        struct graph graph;
        int layers = 0;
        network_make(&graph, nets[i].name, &imagenet);
        assert_int_equal(node_named(&graph, "conv1")->out.h, 112);
        for (int s = 0; s < 4; s++) {
            char name[NAME_ROOM];
            snprintf(name, sizeof name, "layer%d.1.conv%d", s + 1, nets[i].expansion == 4 ? 3 : 2);
            const struct shape out = node_named(&graph, name)->out;
            assert_int_equal(out.c, (64 << s) * nets[i].expansion);
            assert_int_equal(out.h, 56 >> s);
            assert_int_equal(out.w, 56 >> s);
        }
        for (int k = 0; k < graph.params.n; k++)
            layers += graph.params.rows[k].rank > 1 && !strstr(graph.params.rows[k].name, "downsample");
        assert_int_equal(layers, nets[i].layers);
        graph_release(&graph);
    }
}

static void test_names_are_torchvisions(void **state)
{
    (void)state;
    static const struct row rows[] = {
        { "conv1.weight", 4, { 64, 3, 7, 7 }, true }, { "bn1.weight", 1, { 64 }, false }, { "bn1.bias", 1, { 64 }, false }, { "layer1.0.conv1.weight", 4, { 64, 64, 1, 1 }, true },
        { "layer1.0.conv2.weight", 4, { 64, 64, 3, 3 }, true }, { "layer1.0.conv3.weight", 4, { 256, 64, 1, 1 }, true }, { "layer1.0.downsample.0.weight", 4, { 256, 64, 1, 1 }, true },
        { "layer1.0.downsample.1.bias", 1, { 256 }, false }, { "layer2.0.conv1.weight", 4, { 128, 256, 1, 1 }, true }, { "layer3.5.bn3.weight", 1, { 1024 }, false },
        { "layer4.0.downsample.0.weight", 4, { 2048, 1024, 1, 1 }, true }, { "layer4.2.conv3.weight", 4, { 2048, 512, 1, 1 }, true }, { "fc.weight", 2, { 1000, 2048 }, true },
        { "fc.bias", 1, { 1000 }, false },
    };
    static const char *const none[] = { "conv1.bias", "layer1.1.downsample.0.weight", "layer1.3.conv1.weight", "layer5.0.conv1.weight" }, *const plain = "layer1.0.downsample.0.weight";
    struct graph graph;
    network_make(&graph, "resnet50", &imagenet);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct param *param = param_named(&graph, rows[i].name);
        assert_non_null(param);
        assert_int_equal(param->rank, rows[i].rank);
        assert_memory_equal(param->dims, rows[i].dims, sizeof param->dims);
        assert_int_equal(param->decay, rows[i].decay);
    }
    assert_int_equal(count_named(&graph, none, 4), 0);
    assert_int_equal(graph.params.n, 161); /* what torchvision's parameters() lists: 53 convolutions, 53 normalizations, the last layer */
    graph_release(&graph);
    network_make(&graph, "resnet34", &imagenet);
    assert_int_equal(count_named(&graph, &plain, 1), 0);
    graph_release(&graph);
}

/* The stride is the 3x3's (torchvision's v1.5). */
static void test_where_the_stride_is(void **state)
{
    (void)state;
    struct graph graph;
    network_make(&graph, "resnet50", &imagenet);
    assert_int_equal(node_named(&graph, "layer2.0.conv1")->args.conv.stride, 1);
    assert_int_equal(node_named(&graph, "layer2.0.conv2")->args.conv.stride, 2);
    assert_int_equal(node_named(&graph, "layer2.0.downsample.0")->args.conv.stride, 2);
    assert_int_equal(node_named(&graph, "layer2.1.conv2")->args.conv.stride, 1);
    graph_release(&graph);
}

static int first_side(const char *name, int side, enum stem_choice stem)
{
    struct network_request request = { .input = { .c = 3, .h = side, .w = side }, .classes = 10, .stem = stem };
    struct graph graph;
    network_make(&graph, name, &request);
    int filter = param_named(&graph, "conv1.weight")->dims[3];
    graph_release(&graph);
    return filter;
}

/* At 32 x 32 they are ports to CIFAR: 7 x 7 taps fall to 3 x 3, nothing halves the plane in front of the stages. */
static void test_stems(void **state)
{
    (void)state;
    static const double multiply_adds[NETS] = { 555422720, 1159402496, 1297829888, 2509983744, 3722137600 };
    for (int i = 0; i < NETS; i++) {
        struct graph graph;
        network_make(&graph, nets[i].name, &cifar);
        assert_int_equal(graph.params.total, nets[i].params - 64 * 3 * (49 - 9) - 990 * (512 * (size_t)nets[i].expansion + 1));
        assert_true(all_multiply_adds(&graph) == multiply_adds[i]);
        graph_release(&graph);
    }
    assert_int_equal(first_side("resnet18", 63, STEM_AUTO), 3);
    assert_int_equal(first_side("resnet18", 64, STEM_AUTO), 7);
    assert_int_equal(first_side("resnet50", 224, STEM_CIFAR), 3);
    assert_int_equal(first_side("resnet50", 28, STEM_IMAGENET), 7);
}

/* Option A has no filters of its own, for bottlenecks neither. */
static void test_shortcuts_without_parameters(void **state)
{
    (void)state;
    struct network_request request = imagenet;
    struct graph graph;
    request.shortcut = SHORTCUT_A;
    network_make(&graph, "resnet50", &request);
    assert_int_equal(graph.params.total, 25557032 - (64 * 256 + 256 * 512 + 512 * 1024 + 1024 * 2048 + 2 * (256 + 512 + 1024 + 2048)));
    graph_release(&graph);
}

static double sum_of(const struct graph *graph, const float *weights, const char *name)
{
    const struct param *param = param_named(graph, name);
    double sum = 0;
    for (size_t i = 0; i < param->count; i++)
        sum += (double)weights[param->offset + i];
    return sum;
}

/* With zero_init a block's last normalization starts at 0, and nothing else differs. */
static void test_zero_init(void **state)
{
    (void)state;
    static const struct { const char *name; int blocks; const char *last, *inner; } rows[] = { { "resnet18", 8, "layer4.1.bn2.weight", "layer4.1.bn1.weight" }, { "resnet50", 16, "layer2.3.bn3.weight", "layer2.0.downsample.1.weight" } };
    for (int i = 0; i < 2; i++) {
        struct network_request request = cifar;
        struct graph usual, zeroed;
        network_make(&usual, rows[i].name, &request);
        request.zero_init = true;
        network_make(&zeroed, rows[i].name, &request);
        float *a = floats_new(usual.params.total), *b = floats_new(zeroed.params.total);
        int differing = 0;
        graph_init_weights(&usual, 1, a);
        graph_init_weights(&zeroed, 1, b);
        for (int k = 0; k < usual.params.n; k++) {
            const struct param *param = &usual.params.rows[k];
            differing += memcmp(a + param->offset, b + param->offset, param->count * sizeof *a) != 0;
        }
        assert_int_equal(differing, rows[i].blocks);
        assert_true(sum_of(&usual, a, rows[i].last) == (double)param_named(&usual, rows[i].last)->count && sum_of(&zeroed, b, rows[i].last) == 0);
        assert_true(sum_of(&zeroed, b, rows[i].inner) == (double)param_named(&usual, rows[i].inner)->count);
        door_free(a);
        door_free(b);
        graph_release(&usual);
        graph_release(&zeroed);
    }
}

int test_resnet_imagenet(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_figures), cmocka_unit_test(test_stages), cmocka_unit_test(test_names_are_torchvisions), cmocka_unit_test(test_where_the_stride_is), cmocka_unit_test(test_stems),
        cmocka_unit_test(test_shortcuts_without_parameters), cmocka_unit_test(test_zero_init),
    };
    return cmocka_run_group_tests_name("resnet_imagenet", tests, NULL, NULL);
}
