/* trainer/weights*: a safetensors file written, read back, cut at every byte, changed, and made as other programs make it. The network has four parameters and
 * two running statistics. */
#include "base/door.h"
#include "base/file.h"
#include "nets/layers.h"
#include "tests/tests.h"
#include "trainer/weights.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { INPUTS = 2, HIDDEN = 3, OUT = 2, PARAMS = HIDDEN * INPUTS + HIDDEN + 2 * HIDDEN + OUT * HIDDEN + OUT, STATS = 2 * HIDDEN, FILE_ROOM = 4096 };

struct file { char bytes[FILE_ROOM]; size_t n; };

/* Opened for every test. */
struct net { struct graph graph; float weights[PARAMS], stats[STATS]; };

static int open_net(void **state)
{
    struct net *net = calloc(1, sizeof *net);
    const struct input_args input = { .c = INPUTS, .h = 1, .w = 1, .std = { 1, 1, 1, 1 } };
    struct error error = { 0 };
    graph_init(&net->graph, "small", &input);
    int x = batchnorm(&net->graph, linear(&net->graph, 0, "fc1", HIDDEN), "bn1");
    loss(&net->graph, linear(&net->graph, relu(&net->graph, x), "fc2", OUT), 0);
    *state = net;
    return graph_finish(&net->graph, &error) || net->graph.params.total != PARAMS || net->graph.stats.total != STATS;
}

static int close_net(void **state)
{
    struct net *net = *state;
    graph_release(&net->graph);
    free(net);
    return 0;
}

/* A header and `n_floats` values: 0, 1, 2, ... */
static struct file file_of(const char *header, size_t n_floats)
{
    struct file file = { .n = 0 };
    uint64_t length = strlen(header);
    memcpy(file.bytes, &length, sizeof length);
    memcpy(file.bytes + sizeof length, header, length);
    file.n = sizeof length + length;
    for (size_t i = 0; i < n_floats; i++, file.n += sizeof(float)) {
        float value = (float)i;
        memcpy(file.bytes + file.n, &value, sizeof value);
    }
    assert_true(file.n <= FILE_ROOM);
    return file;
}

static int parse(struct net *net, const struct file *file, struct error *error)
{
    char *exact = malloc(file->n ? file->n : 1); /* the address sanitizer sees one byte too many */
    memcpy(exact, file->bytes, file->n);
    *error = (struct error){ 0 };
    int result = weights_parse("w", exact, file->n, &net->graph, net->weights, net->stats, error);
    free(exact);
    return result;
}

static void expect_refused(struct net *net, const struct file *file, const char *want)
{
    struct error error;
    assert_int_equal(parse(net, file, &error), -1);
    assert_string_equal(error.text, want);
    assert_int_equal(error.code, EXIT_INPUT);
}

#define FC1_BIAS "\"fc1.bias\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,12]}"
#define FC1_WEIGHT "\"fc1.weight\":{\"dtype\":\"F32\",\"shape\":[3,2],\"data_offsets\":[12,36]}"
#define BN1 "\"bn1.weight\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[36,48]},\"bn1.bias\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[48,60]}"
#define FC2 "\"fc2.bias\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[60,68]},\"fc2.weight\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[68,92]}"
#define ALL "{" FC1_BIAS "," FC1_WEIGHT "," BN1 "," FC2 "}"
enum { ALL_FLOATS = 23 };

static size_t offset_of(const struct net *net, const char *name)
{
    for (int i = 0; i < net->graph.params.n; i++)
        if (strcmp(net->graph.params.rows[i].name, name) == 0)
            return net->graph.params.rows[i].offset;
    fail_msg("no parameter %s", name);
    return 0;
}

/* As numpy's safetensors writes it: tensors by name, no metadata, blanks at the end. */
static void another_programs_file_is_read(void **state)
{
    struct net *net = *state;
    struct file file = file_of(ALL "     ", ALL_FLOATS);
    struct error error;
    for (int i = 0; i < STATS; i++)
        net->stats[i] = 5;
    if (parse(net, &file, &error))
        fail_msg("%s", error.text);
    assert_true(net->weights[offset_of(net, "fc1.bias")] == 0 && net->weights[offset_of(net, "fc1.weight") + 5] == 8);
    assert_true(net->weights[offset_of(net, "bn1.bias")] == 12 && net->weights[offset_of(net, "fc2.weight")] == 17);
    assert_true(net->stats[0] == 5 && net->stats[STATS - 1] == 5); /* not in the file: they stay */
}

/* As PyTorch saves it: statistics, and a counter that we have no use for; white space and escapes in the header. */
static void pytorchs_file_is_read(void **state)
{
    struct net *net = *state;
    struct file file = file_of("\n{ \"__metadata__\" : {\"format\":\"pt\"}, \"bn1.num_batches_tracked\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[116,124]},"
                               "\"bn1.running_mean\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[92,104]},"
                               "\"bn1.running_v\\u0061r\":{\"shape\":[3],\"dtype\":\"F32\",\"data_offsets\":[104,116]}," FC1_BIAS "," FC1_WEIGHT "," BN1 "," FC2 "}", ALL_FLOATS + 8);
    struct error error;
    if (parse(net, &file, &error))
        fail_msg("%s", error.text);
    assert_true(net->stats[0] == 23 && net->stats[HIDDEN] == 26);
    assert_true(net->weights[offset_of(net, "fc2.weight")] == 17);
}

/* State of a run stands in the same file, averages among it: a second vector of weights, all of them 100 more, and one averaged statistic. */
static void state_of_a_run_is_passed_over(void **state)
{
    struct net *net = *state;
#define OWN(name, shape, begin, end) ",\"onestep." name "\":{\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":[" #begin "," #end "]}"
    struct file file = file_of("{" FC1_BIAS "," FC1_WEIGHT "," BN1 "," FC2 ",\"bn1.running_mean\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[92,104]}"
                               OWN("momentum/worker 0", "[92]", 104, 196) OWN("anything at all", "[]", 196, 200)
                               OWN("ema/fc1.bias", "[3]", 200, 212) OWN("ema/fc1.weight", "[3,2]", 212, 236) OWN("ema/bn1.weight", "[3]", 236, 248) OWN("ema/bn1.bias", "[3]", 248, 260)
                               OWN("ema/fc2.bias", "[2]", 260, 268) OWN("ema/fc2.weight", "[2,3]", 268, 292) OWN("ema/bn1.running_var", "[3]", 292, 304) "}", 76);
    char path[] = "/tmp/onestep-weights-XXXXXX";
    struct error error;
    net->stats[HIDDEN] = 7;
    if (parse(net, &file, &error))
        fail_msg("%s", error.text);
    assert_true(net->weights[offset_of(net, "fc2.weight")] == 17 && net->stats[0] == 23 && net->stats[HIDDEN] == 7);
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, file.bytes, file.n) == (ssize_t)file.n && close(fd) == 0);
    if (weights_load_average(path, &net->graph, net->weights, net->stats, &error))
        fail_msg("%s", error.text);
    unlink(path);
    assert_true(net->weights[offset_of(net, "fc2.weight")] == 67 && net->weights[offset_of(net, "fc1.bias")] == 50);
    assert_true(net->stats[0] == 23 && net->stats[HIDDEN] == 73);
    memcpy(strstr(file.bytes + 8, "[196,200]"), "[192,200]", 9);
    expect_refused(net, &file, "w: tensors onestep.momentum/worker 0 and onestep.anything at all share byte 192 of the data");
    struct file twice = file_of("{" FC1_BIAS "," FC1_WEIGHT "," BN1 "," FC2 OWN("a", "[]", 92, 96) OWN("a", "[]", 96, 100) "}", 25);
    expect_refused(net, &twice, "w: tensor onestep.a: is there twice");
}

/* Half an average is none. */
static void a_missing_average_is_told(void **state)
{
    struct net *net = *state;
    struct file file = file_of("{" FC1_BIAS "," FC1_WEIGHT "," BN1 "," FC2 OWN("ema/fc1.weight", "[3,2]", 92, 116) "}", 29);
    char path[] = "/tmp/onestep-weights-XXXXXX", want[128];
    struct error error = { 0 };
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, file.bytes, file.n) == (ssize_t)file.n && close(fd) == 0);
    assert_int_equal(weights_load_average(path, &net->graph, net->weights, net->stats, &error), -1);
    snprintf(want, sizeof want, "%s: tensor onestep.ema/fc1.bias is missing: want all of small", path);
    assert_string_equal(error.text, want);
    unlink(path);
}

static void wrong_headers_are_told(void **state)
{
    static const struct { const char *header; size_t floats; const char *want; } cases[] = {
        { "", 0, "w: want a safetensors file: its header is no JSON object" },
        { "[]", 0, "w: want a safetensors file: its header is no JSON object" },
        { "{", 0, "w: want a safetensors file: its header is no JSON object" },
        { "{}", 0, "w: tensor fc1.weight is missing: want all of small" },
        { "{}", 1, "w: bytes 0 to 4 of the data belong to no tensor" },
        { "{" FC1_BIAS "," FC1_WEIGHT "," BN1 "}", 15, "w: tensor fc2.weight is missing: want all of small" },
        { ALL, ALL_FLOATS - 1, "w: tensor fc2.weight: ends at byte 92 of the data, but the file has 88: it was cut short" },
        { ALL, ALL_FLOATS + 1, "w: bytes 92 to 96 of the data belong to no tensor" },
        { "{" FC1_BIAS "," FC1_BIAS "}", 3, "w: tensor fc1.bias: is there twice" },
        { "{" FC1_BIAS ",\"fc1.weight\":{\"dtype\":\"F32\",\"shape\":[3,2],\"data_offsets\":[8,32]}}", 8, "w: tensors fc1.bias and fc1.weight share byte 8 of the data" },
        { "{" FC1_BIAS ",\"fc1.weight\":{\"dtype\":\"F32\",\"shape\":[3,2],\"data_offsets\":[13,37]}}", 10, "w: bytes 12 to 13 of the data belong to no tensor" },
        { "{\"fc3.bias\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,12]}}", 3, "w: tensor fc3.bias: want the tensors of small only" },
        { "{\"fc1.num_batches_tracked\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[0,8]}}", 2, "w: tensor fc1.num_batches_tracked: want the tensors of small only" },
        { "{\"fc1.bias\":7}", 0, "w: tensor fc1.bias: want data_offsets [begin, end], found something else" },
        { "{\"fc1.bias\":[[0,12]]}", 0, "w: tensor fc1.bias: want data_offsets [begin, end], found something else" },
        { "{\"fc1.bias\":{\"data_offsets\":[0]}}", 3, "w: tensor fc1.bias: want data_offsets [begin, end], found something else" },
        { "{\"fc1.bias\":{\"data_offsets\":[0,4,12]}}", 3, "w: tensor fc1.bias: want data_offsets [begin, end], found something else" },
        { "{\"fc1.bias\":{\"data_offsets\":[-4,8]}}", 3, "w: tensor fc1.bias: want data_offsets [begin, end], found something else" },
        { "{\"fc1.bias\":{\"data_offsets\":[12,0]}}", 3, "w: tensor fc1.bias: want data_offsets [begin, end], found something else" },
        { "{\"fc1.bias\":{\"data_offsets\":[0.5,12]}}", 3, "w: tensor fc1.bias: want data_offsets [begin, end], found something else" },
        { "{\"fc1.bias\":{\"data_offsets\":[0,1e300]}}", 3, "w: tensor fc1.bias: want data_offsets [begin, end], found something else" },
        { "{\"fc1.bias\":{\"data_offsets\":[0,18446744073709551616]}}", 3, "w: tensor fc1.bias: want data_offsets [begin, end], found something else" },
        { "{\"fc1.bias\":{\"data_offsets\":[0,\"12\"]}}", 3, "w: tensor fc1.bias: want data_offsets [begin, end], found something else" },
        { "{\"fc1.bias\":{\"data_offsets\":[0,4503599627370496]}}", 3, "w: tensor fc1.bias: ends at byte 4503599627370496 of the data, but the file has 12: it was cut short" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct file file = file_of(cases[i].header, cases[i].floats);
        expect_refused(*state, &file, cases[i].want);
    }
}

/* In a file that is right but for fc1.bias, which comes last. */
static void wrong_tensors_are_told(void **state)
{
    static const struct { const char *tensor; size_t floats; const char *want; } cases[] = {
        { "{\"dtype\":\"F16\",\"shape\":[3],\"data_offsets\":[80,86]}", 0, "w: tensor fc1.bias: want dtype F32, found F16" },
        { "{\"dtype\":\"BF16\",\"shape\":[3],\"data_offsets\":[80,86]}", 0, "w: tensor fc1.bias: want dtype F32, found BF16" },
        { "{\"dtype\":32,\"shape\":[3],\"data_offsets\":[80,92]}", 0, "w: tensor fc1.bias: want dtype F32, found none" },
        { "{\"shape\":[3],\"data_offsets\":[80,92]}", 0, "w: tensor fc1.bias: want dtype F32, found none" },
        { "{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[80,92]}", 0, "w: tensor fc1.bias: want shape [3] for small, found [4]" },
        { "{\"dtype\":\"F32\",\"shape\":[3,1],\"data_offsets\":[80,92]}", 0, "w: tensor fc1.bias: want shape [3] for small, found [3,1]" },
        { "{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[80,92]}", 0, "w: tensor fc1.bias: want shape [3] for small, found []" },
        { "{\"dtype\":\"F32\",\"shape\":[\"3\"],\"data_offsets\":[80,92]}", 0, "w: tensor fc1.bias: want shape [3] for small, found [\"3\"]" },
        { "{\"dtype\":\"F32\",\"shape\":3,\"data_offsets\":[80,92]}", 0, "w: tensor fc1.bias: want shape [3] for small, found 3" },
        { "{\"dtype\":\"F32\",\"data_offsets\":[80,92]}", 0, "w: tensor fc1.bias: want shape [3] for small, found none" },
        { "{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[80,88]}", 0, "w: tensor fc1.bias: want 12 bytes for its shape, found 8" },
        { "{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[80,80]}", 0, "w: tensor fc1.bias: want 12 bytes for its shape, found 0" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char header[FILE_ROOM / 2];
        struct file file;
        const char *offsets = strstr(cases[i].tensor, "[80,") + 4;
        snprintf(header, sizeof header, "{\"fc1.weight\":{\"dtype\":\"F32\",\"shape\":[3,2],\"data_offsets\":[0,24]},\"bn1.weight\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[24,36]},"
                 "\"bn1.bias\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[36,48]},\"fc2.bias\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[48,56]},"
                 "\"fc2.weight\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[56,80]},\"fc1.bias\":%s}", cases[i].tensor);
        file = file_of(header, ALL_FLOATS);
        file.n -= 92 - (size_t)atoi(offsets);
        expect_refused(*state, &file, cases[i].want);
    }
}

/* A counter of one byte moves everything behind it off its place. */
static void unaligned_tensors_are_told(void **state)
{
    struct file file = file_of("{\"bn1.num_batches_tracked\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},\"fc1.weight\":{\"dtype\":\"F32\",\"shape\":[3,2],\"data_offsets\":[1,25]}}", 7);
    file.n -= 3;
    expect_refused(*state, &file, "w: tensor fc1.weight: want a begin that 4 divides, found 1");
}

static void numbers_must_be_finite(void **state)
{
    const float wrong[] = { NAN, INFINITY, -INFINITY };
    static const char *const want[] = { "nan", "inf", "-inf" };
    for (int i = 0; i < 3; i++) {
        struct file file = file_of(ALL, ALL_FLOATS);
        char text[128];
        memcpy(file.bytes + file.n - (ALL_FLOATS - 5) * sizeof(float), &wrong[i], sizeof(float));
        snprintf(text, sizeof text, "w: tensor fc1.weight: want finite numbers, found %s at place 2", want[i]);
        expect_refused(*state, &file, text);
    }
}

static void lengths_are_checked(void **state)
{
    static const uint64_t lengths[] = { 1ULL << 63, UINT64_MAX, UINT64_MAX - 7, (100 << 20) + 1, 1000 };
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct file file = file_of(ALL, ALL_FLOATS);
        char want[256];
        memcpy(file.bytes, &lengths[i], sizeof lengths[i]);
        snprintf(want, sizeof want, "w: want a safetensors file, which begins with its header's length, found %llu there and %zu bytes behind it", (unsigned long long)lengths[i], file.n - 8);
        expect_refused(*state, &file, want);
    }
    for (size_t n = 0; n < 8; n++) {
        struct file file = file_of(ALL, ALL_FLOATS);
        char want[256];
        file.n = n;
        snprintf(want, sizeof want, "w: want a safetensors file, found %zu bytes", n);
        expect_refused(*state, &file, want);
    }
}

static void cut_anywhere_it_is_refused(void **state)
{
    struct net *net = *state;
    struct file whole = file_of(ALL, ALL_FLOATS);
    for (size_t n = 0; n < whole.n; n++) {
        struct file cut = whole;
        struct error error;
        cut.n = n;
        assert_int_equal(parse(net, &cut, &error), -1);
        assert_true(error.code == EXIT_INPUT && strncmp(error.text, "w: ", 3) == 0);
    }
}

static void changed_anywhere_it_is_read_or_refused(void **state)
{
    struct net *net = *state;
    struct file file = file_of(ALL, ALL_FLOATS);
    static const char changes[] = { 0, '"', '{', '}', '[', ']', ',', ':', '-', '9', 'e', '\\', '\xff' };
    for (size_t at = 0; at < file.n; at++)
        for (size_t i = 0; i < sizeof changes; i++) {
            char kept = file.bytes[at];
            struct error error;
            file.bytes[at] = changes[i];
            int result = parse(net, &file, &error);
            assert_true(result == 0 ? error.code == 0 : error.code == EXIT_INPUT && strncmp(error.text, "w: ", 3) == 0);
            file.bytes[at] = kept;
        }
}

static void what_is_saved_loads(void **state)
{
    struct net *net = *state, saved = *net;
    char folder[] = "/tmp/onestep-weights-XXXXXX", path[64], config[] = "[data]\npath = \"quotes\" and \\ and \xc3\xa9\n", *text;
    static const char *const classes[OUT] = { "cat", "the \"dog\"" };
    struct error error = { 0 };
    size_t n;
    uint64_t header;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/w.safetensors", folder);
    for (int i = 0; i < PARAMS; i++)
        saved.weights[i] = (float)(i + 1) / 7;
    for (int i = 0; i < STATS; i++)
        saved.stats[i] = -(float)(i + 1) / 7;
    const struct weights_metadata metadata = { .config = config, .iteration = 1234567890123, .sample_offset = 5, .classes = classes };
    for (int round = 0; round < 2; round++) /* new, then over an older one */
        assert_int_equal(weights_save(path, &(struct weights_contents){ .graph = &net->graph, .weights = saved.weights, .stats = saved.stats, .average = NULL, .metadata = &metadata }, NULL, &error), 0);
    if (weights_load(path, &net->graph, net->weights, net->stats, &error))
        fail_msg("%s", error.text);
    assert_memory_equal(net->weights, saved.weights, sizeof saved.weights);
    assert_memory_equal(net->stats, saved.stats, sizeof saved.stats);
    assert_int_equal(file_read(path, FILE_ROOM, &text, &n, &error), 0);
    memcpy(&header, text, sizeof header);
    assert_true(header % 8 == 0 && n == sizeof header + header + sizeof saved.weights + sizeof saved.stats);
    assert_non_null(strstr(text + 8, "\"iteration\":\"1234567890123\""));
    assert_non_null(strstr(text + 8, "\"input\":\"[2,1,1]\""));
    assert_non_null(strstr(text + 8, "\"classes\":\"[\\\"cat\\\",\\\"the \\\\\\\"dog\\\\\\\"\\\"]\""));
    assert_non_null(strstr(text + 8, "\"fc1.weight\":{\"dtype\":\"F32\",\"shape\":[3,2],\"data_offsets\":[0,24]}"));
    door_free(text);
    door_fail_at(DOOR_WRITE, 3, 28, false);
    assert_int_equal(weights_save(path, &(struct weights_contents){ .graph = &net->graph, .weights = net->weights, .stats = net->stats, .average = NULL, .metadata = &metadata }, NULL, &error), -1);
    assert_int_equal(error.code, EXIT_OUTPUT);
    error = (struct error){ 0 };
    assert_int_equal(weights_load(path, &net->graph, net->weights, net->stats, &error), 0); /* the older one stays */
    assert_int_equal(unlink(path), 0);
    assert_int_equal(weights_load(path, &net->graph, net->weights, net->stats, &error), -1);
    assert_int_equal(error.code, EXIT_INPUT);
    assert_int_equal(rmdir(folder), 0);
}

/* Behind the plain tensors, which any program reads, the averages. */
static void averages_are_saved_too(void **state)
{
    struct net *net = *state;
    char folder[] = "/tmp/onestep-weights-XXXXXX", path[64];
    float weights[PARAMS], stats[2 * STATS], average[PARAMS];
    struct error error = { 0 };
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/w.safetensors", folder);
    for (int i = 0; i < PARAMS; i++) {
        weights[i] = (float)i;
        average[i] = (float)i / 3;
    }
    for (int i = 0; i < 2 * STATS; i++)
        stats[i] = (float)i / 7;
    const struct weights_metadata metadata = { .config = "" };
    assert_int_equal(weights_save(path, &(struct weights_contents){ .graph = &net->graph, .weights = weights, .stats = stats, .average = average, .metadata = &metadata }, NULL, &error), 0);
    if (weights_load(path, &net->graph, net->weights, net->stats, &error))
        fail_msg("%s", error.text);
    assert_memory_equal(net->weights, weights, sizeof weights);
    assert_memory_equal(net->stats, stats, STATS * sizeof *stats);
    if (weights_load_average(path, &net->graph, net->weights, net->stats, &error))
        fail_msg("%s", error.text);
    assert_memory_equal(net->weights, average, sizeof average);
    assert_memory_equal(net->stats, stats + STATS, STATS * sizeof *stats);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
}

/* A file of 200 MiB that is empty on the disk is refused by its length. */
static void a_file_too_large_is_not_read(void **state)
{
    struct net *net = *state;
    char path[] = "/tmp/onestep-weights-XXXXXX", want[128];
    struct error error = { 0 };
    int fd = mkstemp(path);
    assert_true(fd >= 0 && ftruncate(fd, 200 << 20) == 0);
    assert_int_equal(close(fd), 0);
    assert_int_equal(weights_load(path, &net->graph, net->weights, net->stats, &error), -1);
    snprintf(want, sizeof want, "%s: want at most %zu bytes, found 209715200", path, (size_t)(100 << 20) + 8 + 1024 * ((PARAMS + STATS) * sizeof(float) + 2 * sizeof(int64_t)));
    assert_string_equal(error.text, want);
    unlink(path);
}

int test_weights(void)
{
#define WITH_NET(test) cmocka_unit_test_setup_teardown(test, open_net, close_net)
    static const struct CMUnitTest tests[] = {
        WITH_NET(another_programs_file_is_read),
        WITH_NET(pytorchs_file_is_read),
        WITH_NET(state_of_a_run_is_passed_over),
        WITH_NET(a_missing_average_is_told),
        WITH_NET(wrong_headers_are_told),
        WITH_NET(wrong_tensors_are_told),
        WITH_NET(unaligned_tensors_are_told),
        WITH_NET(numbers_must_be_finite),
        WITH_NET(lengths_are_checked),
        WITH_NET(cut_anywhere_it_is_refused),
        WITH_NET(changed_anywhere_it_is_read_or_refused),
        WITH_NET(what_is_saved_loads),
        WITH_NET(averages_are_saved_too),
        WITH_NET(a_file_too_large_is_not_read),
    };
    return cmocka_run_group_tests_name("weights", tests, NULL, NULL);
}
