/* Weights of another program: numpy draws a ResNet-20's, writes them as safetensors, and computes some images' logits itself (tests/resnet20.py); every
 * backend must get the same from that file. */
#include "base/door.h"
#include "base/file.h"
#include "cpu/cpu.h"
#include "nets/layers.h"
#include "nets/network.h"
#include "nets/plan.h"
#include "tests/segment.h"
#include "tests/tests.h"
#include "trainer/weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { IMAGES = 5, CLASSES = 10, PIXELS = 3 * 32 * 32, NO_NUMPY = 77 };

static const struct backend *const all[] = {
    &backend_reference, &backend_lanes,
#ifdef HAVE_ONEDNN
    &backend_onednn, &backend_onednn_nhwc,
#endif
};

static const char *const files[] = { "weights.safetensors", "pixels", "logits" };

/* What the script has left. */
struct import { struct graph graph; float *weights, *stats, *logits; uint8_t *pixels; };

/* Whichever python3 has numpy: the first of the path need not. */
static int script(const char *folder, const char *words)
{
    char command[400];
    snprintf(command, sizeof command, "for python in python3 /usr/bin/python3; do $python -c 'import numpy' 2> /dev/null && exec $python tests/resnet20.py %s %s; done; exit %d",
             folder, words, NO_NUMPY);
    int status = system(command);
    return status < 0 ? status : status / 256;
}

static void *read_exactly(const char *folder, const char *name, size_t bytes)
{
    struct error error = { 0 };
    char path[100], *content;
    size_t n;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (file_read(path, bytes, &content, &n, &error))
        fail_msg("%s", error.text);
    assert_int_equal(n, bytes);
    return content;
}

static void import_open(struct import *import, const char *folder, enum shortcut_choice shortcut)
{
    const struct network_request request = {
        .input = { .c = 3, .h = 32, .w = 32, .mean = { 0.4914f, 0.4822f, 0.4465f }, .std = { 0.2470f, 0.2435f, 0.2616f } }, .classes = CLASSES, .shortcut = shortcut,
    };
    struct error error = { 0 };
    char path[100];
    if (network_build(&import->graph, "resnet20", &request, &error))
        fail_msg("%s", error.text);
    import->weights = floats_new(import->graph.params.total);
    import->stats = floats_new(import->graph.stats.total);
    snprintf(path, sizeof path, "%s/%s", folder, files[0]);
    if (weights_load(path, &import->graph, import->weights, import->stats, &error))
        fail_msg("%s", error.text);
    import->pixels = read_exactly(folder, files[1], IMAGES * PIXELS);
    import->logits = read_exactly(folder, files[2], IMAGES * CLASSES * sizeof(float));
}

static void import_close(struct import *import)
{
    door_free(import->weights);
    door_free(import->stats);
    door_free(import->pixels);
    door_free(import->logits);
    graph_release(&import->graph);
}

static void compute(const struct import *import, const struct backend *backend, float *logits)
{
    static const int32_t labels[IMAGES];
    static const int64_t index[IMAGES];
    const struct step step = { .weights = import->weights, .stats = import->stats, .pixels = import->pixels, .labels = labels, .index = index, .n = IMAGES };
    struct error error = { 0 };
    struct device *device;
    struct plan *plan;
    if (backend->device_open(&device, -1, &error))
        fail_msg("%s", error.text);
    const struct plan_request request = { .backend = backend, .device = device, .graph = &import->graph, .batch = IMAGES };
    if (plan_make(&plan, &request, &error) || plan_forward(plan, &step, NULL, &error))
        fail_msg("%s: %s", backend->name, error.text);
    plan_logits(plan, logits);
    plan_free(plan);
    backend->device_close(device);
}

static void check(const char *words, enum shortcut_choice shortcut)
{
    struct import import;
    float logits[IMAGES * CLASSES];
    char folder[] = "/tmp/onestep-imported-XXXXXX", path[100];
    assert_non_null(mkdtemp(folder));
    int code = script(folder, words);
    if (code == 0)
        import_open(&import, folder, shortcut);
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, files[i]);
        unlink(path);
    }
    rmdir(folder);
    if (code == NO_NUMPY)
        test_skip("no numpy");
    assert_int_equal(code, 0);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        compute(&import, all[i], logits);
        double error = difference(import.logits, logits, IMAGES * CLASSES);
        if (!(error < 1e-5))
            fail_msg("%s: logits off by %g", all[i]->name, error);
    }
    import_close(&import);
}

static void test_zero_padding(void **state)
{
    (void)state;
    check("A torchvision", SHORTCUT_A);
}

static void test_projection(void **state)
{
    (void)state;
    check("B torchvision", SHORTCUT_B);
}

static void test_names_of_ports(void **state)
{
    (void)state;
    check("B port", SHORTCUT_B);
}

/* A network of one layer, fc, and 32 bytes of data: a weight of four numbers, a bias of two, another of two. */
static int parse(const char *header, float *weights, struct error *error)
{
    struct graph graph;
    char bytes[600];
    const uint64_t length = strlen(header);
    const float values[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
    graph_init(&graph, "small", &(struct input_args){ .c = 2, .h = 1, .w = 1 });
    loss(&graph, linear(&graph, 0, "fc", 2), 0);
    assert_int_equal(graph_finish(&graph, error), 0);
    memcpy(bytes, &length, sizeof length);
    memcpy(bytes + sizeof length, header, length);
    memcpy(bytes + sizeof length + length, values, sizeof values);
    int result = weights_parse("w", bytes, sizeof length + length + sizeof values, &graph, weights, NULL, error);
    graph_release(&graph);
    return result;
}

#define TENSOR(name, shape, begin, end) "\"" name "\":{\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":[" #begin "," #end "]}"

static void test_a_ports_name_is_one_of_two(void **state)
{
    (void)state;
    static const char port[] = "{" TENSOR("linear.weight", "[2,2]", 0, 16) "," TENSOR("linear.bias", "[2]", 16, 24) "," TENSOR("onestep.x", "[2]", 24, 32) "}";
    static const char both[] = "{" TENSOR("linear.weight", "[2,2]", 0, 16) "," TENSOR("linear.bias", "[2]", 16, 24) "," TENSOR("fc.bias", "[2]", 24, 32) "}";
    static const char neither[] = "{" TENSOR("fc.weight", "[2,2]", 0, 16) "," TENSOR("fc.bias", "[2]", 16, 24) "," TENSOR("linear.mask", "[2]", 24, 32) "}";
    float weights[6];
    struct error error = { 0 };
    if (parse(port, weights, &error))
        fail_msg("%s", error.text);
    assert_true(weights[0] == 1 && weights[5] == 6);
    assert_int_equal(parse(both, weights, &error), -1);
    assert_string_equal(error.text, "w: tensor fc.bias: is there twice");
    error.code = 0;
    assert_int_equal(parse(neither, weights, &error), -1);
    assert_string_equal(error.text, "w: tensor linear.mask: want the tensors of small only");
}

int test_imported(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_zero_padding), cmocka_unit_test(test_projection), cmocka_unit_test(test_names_of_ports), cmocka_unit_test(test_a_ports_name_is_one_of_two) };
    return cmocka_run_group_tests_name("imported", tests, NULL, NULL);
}
