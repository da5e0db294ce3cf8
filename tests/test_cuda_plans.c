/* cuda/choices, cuda/cudnn_choose and cuda/matmul: what was measured is remembered, by this process and in a file, and what the file says is checked. On a GPU or an emulated one;
 * the cache lies in a folder of the test's own. */
#include "tests/tests.h"

#ifdef HAVE_CUDA

#include "base/door.h"
#include "base/thread.h"
#include "cuda/choices.h"
#include "cuda/cudnn_choose.h"
#include "cuda/device.h"
#include "cuda/matmul.h"
#include "cuda/op.h"
#include "cuda/settings.h"
#include "tests/gpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char machine[] = "a GPU, version 1", other_machine[] = "a GPU, version 2";

enum { TEXT_ROOM = 1 << 14 };

struct cache { char folder[64], file[256], text[TEXT_ROOM]; size_t n; };

static const struct cuda_settings usual = { .workspace_bytes = (size_t)64 << 20, .measure = true };
static const struct cuda_settings deterministic = { .deterministic = true, .workspace_bytes = (size_t)64 << 20, .measure = true };

static int open_cache(void **state)
{
    struct cache *cache = calloc(1, sizeof *cache);
    snprintf(cache->folder, sizeof cache->folder, "/tmp/onestep-plans-XXXXXX");
    *state = cache;
    choices_forget();
    return mkdtemp(cache->folder) == NULL || setenv("XDG_CACHE_HOME", cache->folder, 1);
}

static int note_name(void *context, const char *name)
{
    struct cache *cache = context;
    if (name[0] != '.')
        snprintf(cache->file, sizeof cache->file, "%s/onestep/%s", cache->folder, name);
    return 0;
}

/* The one file in the cache. */
static const char *file_of(struct cache *cache)
{
    char folder[80];
    snprintf(folder, sizeof folder, "%s/onestep", cache->folder);
    cache->file[0] = 0;
    door_list_folder(folder, note_name, cache);
    assert_true(cache->file[0]);
    return cache->file;
}

static int close_cache(void **state)
{
    struct cache *cache = *state;
    char folder[80];
    snprintf(folder, sizeof folder, "%s/onestep", cache->folder);
    while (cache->file[0] = 0, door_list_folder(folder, note_name, cache), cache->file[0])
        unlink(cache->file);
    rmdir(folder);
    rmdir(cache->folder);
    unsetenv("XDG_CACHE_HOME");
    choices_forget();
    free(cache);
    return 0;
}

/* ---- the notes ---- */

static void keep(const char *of, const char *key, const char *value)
{
    choices_lock();
    choices_keep(of, key, value);
    choices_unlock();
}

/* As another process would: with nothing in mind. */
static bool finds(const char *of, const char *key, const char *expected)
{
    char value[CHOICE_VALUE];
    choices_forget();
    choices_lock();
    bool found = choices_find(of, key, value);
    choices_unlock();
    return found && strcmp(value, expected) == 0;
}

static void test_remembered(void **state)
{
    (void)state;
    assert_false(finds(machine, "a", "1 2=3"));
    keep(machine, "a", "1 2=3");
    keep(machine, "b", "none");
    assert_true(finds(machine, "a", "1 2=3"));
    assert_true(finds(machine, "b", "none"));
    assert_false(finds(other_machine, "a", "1 2=3"));
    keep(machine, "a", "4"); /* of two lines the last holds */
    assert_true(finds(machine, "a", "4"));
    assert_true(finds(machine, "b", "none"));
}

/* The file's text and its length, in the cache. */
static void read_all(struct cache *cache)
{
    int fd = door_open_read(file_of(cache));
    assert_true(fd >= 0);
    int64_t n = door_read_at(fd, cache->text, TEXT_ROOM - 1, 0);
    assert_int_equal(door_close(fd), 0);
    assert_true(n > 0 && n < TEXT_ROOM - 1);
    cache->n = (size_t)n;
    cache->text[n] = 0;
}

static void write_all(struct cache *cache, const char *text, size_t n)
{
    FILE *file = fopen(file_of(cache), "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

/* Cut anywhere, or with any byte altered: a note is whole or it is none, and the next is appended behind whatever is left. */
static void test_damaged(void **state)
{
    struct cache *cache = *state;
    keep(machine, "first", "11 2=3");
    keep(machine, "second", "12");
    read_all(cache);
    const size_t n = cache->n, second = (size_t)(strstr(cache->text, "\tsecond") - cache->text);
    char altered[TEXT_ROOM];
    for (size_t cut = 0; cut < n; cut++) {
        write_all(cache, cache->text, cut);
        assert_false(finds(machine, "second", "12"));
        keep(machine, "second", "12");
        assert_true(finds(machine, "second", "12"));
    }
    for (size_t i = 0; i < n; i++) {
        memcpy(altered, cache->text, n);
        altered[i] ^= 1;
        write_all(cache, altered, n);
        assert_true(finds(machine, "first", "11 2=3") || finds(machine, "second", "12"));
        assert_true(i < second || finds(machine, "first", "11 2=3"));
    }
}

/* A file under another machine's name says nothing. */
static void test_moved(void **state)
{
    struct cache *cache = *state;
    char from[256], to[256];
    keep(machine, "a", "1");
    snprintf(from, sizeof from, "%s", file_of(cache));
    unlink(from);
    keep(other_machine, "a", "2");
    snprintf(to, sizeof to, "%s", file_of(cache));
    assert_string_not_equal(from, to);
    assert_int_equal(rename(to, from), 0);
    assert_false(finds(machine, "a", "2"));
}

struct writer { int number; };

enum { WRITERS = 4, NOTES = 40 };

static void *write_notes(void *context)
{
    const struct writer *writer = context;
    for (int i = 0; i < NOTES; i++) {
        char key[32], value[32];
        snprintf(key, sizeof key, "%d of %d", i, writer->number);
        snprintf(value, sizeof value, "%d", i);
        keep(machine, key, value);
    }
    return NULL;
}

/* Threads share the table, processes only the file: here one process is two of them, with two threads each. */
static void test_writers(void **state)
{
    (void)state;
    struct writer writers[WRITERS];
    pthread_t threads[WRITERS];
    struct error error = { 0 };
    fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    for (int i = 0; i < WRITERS / 2; i++) {
        writers[i].number = (child == 0 ? WRITERS / 2 : 0) + i;
        if (thread_start(&threads[i], "writer", write_notes, &writers[i], &error))
            _exit(1);
    }
    for (int i = 0; i < WRITERS / 2; i++)
        thread_join(threads[i]);
    if (child == 0)
        _exit(0);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    for (int w = 0; w < WRITERS; w++)
        for (int i = 0; i < NOTES; i++) {
            char key[32], value[32];
            snprintf(key, sizeof key, "%d of %d", i, w);
            snprintf(value, sizeof value, "%d", i);
            assert_true(finds(machine, key, value));
        }
}

static void test_no_home(void **state)
{
    struct cache *cache = *state;
    char value[CHOICE_VALUE], blocked[80], *home = getenv("HOME") ? strdup(getenv("HOME")) : NULL;
    unsetenv("XDG_CACHE_HOME");
    unsetenv("HOME");
    keep(machine, "a", "1");
    choices_lock();
    assert_true(choices_find(machine, "a", value)); /* in mind */
    choices_unlock();
    assert_string_equal(value, "1");
    assert_false(finds(machine, "a", "1"));
    snprintf(blocked, sizeof blocked, "%s/onestep", cache->folder); /* a file where the folder should be */
    FILE *file = fopen(blocked, "w");
    assert_non_null(file);
    fclose(file);
    setenv("XDG_CACHE_HOME", cache->folder, 1);
    keep(machine, "a", "1");
    assert_false(finds(machine, "a", "1"));
    unlink(blocked);
    if (home)
        setenv("HOME", home, 1);
    free(home);
}

static void test_engine_text(void **state)
{
    (void)state;
    static const char *const wrong[] = { "", "x", "-1", "22 2", "22 2=", "22 99=1", "22 -1=1", "22 2=5 ", "22 2=5x", "22,2=5" };
    char text[ENGINE_TEXT];
    struct cudnn_engine engine;
    assert_true(cudnn_engine_read(&engine, "22 2=5 14=-3"));
    assert_int_equal(engine.number, 22);
    assert_int_equal(engine.n_knobs, 2);
    assert_int_equal(engine.knobs[1].value, -3);
    cudnn_engine_write(&engine, text);
    assert_string_equal(text, "22 2=5 14=-3");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(cudnn_engine_read(&engine, wrong[i]));
}

/* ---- choosing ---- */

static struct device *device_or_skip(void)
{
    struct device *device;
    struct error error = { 0 };
    gpu_or_skip();
    if (cuda_device_open(&device, 0, &error))
        fail_msg("%s", error.text);
    return device;
}

/* Of bf16, so that engines on tensor cores are offered without TF32. */
static void make_graph(struct cudnn_graph *graph, struct device *device, cudnnDataType_t filter)
{
    struct error error = { 0 };
    const struct cudnn_window window = { 1, 1 };
    cudnnHandle_t handle;
    assert_int_equal(cuda_cudnn(device, &handle, &error), 0);
    cudnn_graph_begin(graph, (struct cudnn_target){ .gpu = device->ordinal, .handle = handle });
    const int x = cudnn_graph_tensor(graph, CUDNN_DATA_BFLOAT16, (const int64_t[4]){ 2, 8, 4, 4 }), w = cudnn_graph_tensor(graph, filter, (const int64_t[4]){ 8, 8, 3, 3 });
    cudnn_graph_convolution(graph, PASS_FILTER, &window, x, w, cudnn_graph_tensor(graph, CUDNN_DATA_BFLOAT16, (const int64_t[4]){ 2, 8, 4, 4 }));
    assert_int_equal(cudnn_graph_finish(graph, &error), 0);
}

/* What the last note of the file says: the engine that was chosen, or "none". */
static void noted(struct cache *cache, char value[CHOICE_VALUE])
{
    read_all(cache);
    size_t begin = cache->n;
    while (begin > 0 && cache->text[begin - 1] != '\t')
        begin--;
    assert_true(begin > 0 && cache->text[cache->n - 1] == '\n');
    snprintf(value, CHOICE_VALUE, "%.*s", (int)(cache->n - begin - 1), cache->text + begin);
}

/* The key of the first note whose key has `part` in it. */
static void key_with(struct cache *cache, const char *part, char key[CHOICE_KEY])
{
    read_all(cache);
    const char *inside = strstr(cache->text, part);
    assert_non_null(inside);
    const char *begin = inside, *end = strchr(inside, '\t');
    while (*begin != '\t')
        begin--;
    snprintf(key, CHOICE_KEY, "%.*s", (int)(end - begin - 1), begin + 1);
}

static void chosen(struct device *device, const struct cudnn_graph *graph, bool expected)
{
    struct cudnn_plan plan;
    struct error error = { 0 };
    bool offered;
    choices_forget();
    if (cudnn_choose(&plan, &offered, device, graph, &error))
        fail_msg("%s", error.text);
    assert_int_equal(offered, expected);
    assert_true(plan.workspace_bytes <= cuda_settings()->workspace_bytes);
    cudnn_plan_close(&plan);
}

static void test_chosen(void **state)
{
    struct cache *cache = *state;
    struct device *device = device_or_skip();
    struct cudnn_graph graph;
    char first[CHOICE_VALUE], second[CHOICE_VALUE], key_machine[CHOICE_MACHINE], key[CHOICE_KEY];
    struct error error = { 0 };
    cuda_configure(&usual);
    make_graph(&graph, device, CUDNN_DATA_BFLOAT16);
    chosen(device, &graph, true);
    noted(cache, first);
    const size_t before = cache->n;
    chosen(device, &graph, true); /* by the note: nothing is added */
    read_all(cache);
    assert_int_equal(cache->n, before);
    /* A note that names no engine, or one that has no plan, is measured anew and replaced. */
    assert_int_equal(choices_machine(key_machine, device, &error), 0);
    key_with(cache, "filter(", key);
    static const char *const stale[] = { "9999", "0 2=77", "rubbish" };
    for (size_t i = 0; i < sizeof stale / sizeof *stale; i++) {
        keep(key_machine, key, stale[i]);
        chosen(device, &graph, true);
        noted(cache, second);
        assert_string_not_equal(second, stale[i]);
    }
    /* A note that another process left is taken as it is. */
    struct cudnn_engine engines[8];
    const int offers = cudnn_graph_engines(&graph, CUDNN_HEUR_MODE_A, &(struct cudnn_rules){ false, false }, engines, 8);
    for (int i = 0; i < offers; i++) {
        struct cudnn_plan plan;
        struct error refused = { 0 };
        char wanted[ENGINE_TEXT];
        if (cudnn_plan_open(&plan, &graph, &engines[i], &refused))
            continue;
        cudnn_plan_close(&plan);
        cudnn_engine_write(&engines[i], wanted);
        keep(key_machine, key, wanted);
        chosen(device, &graph, true);
        noted(cache, second);
        assert_string_equal(second, wanted);
    }
    cudnn_graph_release(&graph);
    cuda_device_close(device);
}

static bool has_note(const struct cudnn_graph *graph, const struct cudnn_engine *engine, const struct cudnn_rules *rules)
{
    struct cudnn_engine allowed[64];
    static const cudnnBackendHeurMode_t modes[] = { CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_B, CUDNN_HEUR_MODE_FALLBACK };
    for (int mode = 0; mode < 3; mode++) {
        const int n = cudnn_graph_engines(graph, modes[mode], rules, allowed, 64);
        for (int i = 0; i < n; i++)
            if (cudnn_engine_same(&allowed[i], engine))
                return false;
    }
    return true;
}

static void test_deterministic(void **state)
{
    struct cache *cache = *state;
    struct device *device = device_or_skip();
    struct cudnn_graph graph;
    struct cudnn_engine engine, all[64];
    char value[CHOICE_VALUE];
    const struct cudnn_rules any = { false, false }, rules = { .deterministic = true };
    cuda_configure(&deterministic);
    make_graph(&graph, device, CUDNN_DATA_BFLOAT16);
    const int n_all = cudnn_graph_engines(&graph, CUDNN_HEUR_MODE_A, &any, all, 64);
    int refused = 0;
    for (int i = 0; i < n_all; i++)
        refused += has_note(&graph, &all[i], &rules);
#ifdef EMULATED_CUDA
    assert_true(refused > 0); /* it offers one engine that is not deterministic */
#endif
    assert_true(refused < n_all);
    chosen(device, &graph, true);
    noted(cache, value);
    assert_true(cudnn_engine_read(&engine, value));
    assert_false(has_note(&graph, &engine, &rules));
    cuda_configure(&usual);
    chosen(device, &graph, true); /* measured for itself: the settings are part of the key */
    read_all(cache);
    int notes = 0;
    for (const char *at = cache->text; (at = strstr(at, "filter(")) != NULL; at++)
        notes++;
    assert_int_equal(notes, 2);
    cudnn_graph_release(&graph);
    cuda_device_close(device);
}

static void test_unmeasured(void **state)
{
    struct cache *cache = *state;
    struct device *device = device_or_skip();
    struct cudnn_graph graph;
    char folder[80];
    struct cuda_settings settings = usual;
    settings.measure = false;
    cuda_configure(&settings);
    make_graph(&graph, device, CUDNN_DATA_BFLOAT16);
    chosen(device, &graph, true);
    snprintf(folder, sizeof folder, "%s/onestep", cache->folder);
    assert_false(door_exists(folder));
    cudnn_graph_release(&graph);
    cuda_configure(&usual);
    cuda_device_close(device);
}

/* A layer that nothing is offered for, here because a note says so: one line, with its name and what was asked for. */
static void test_none_offered(void **state)
{
    struct cache *cache = *state;
    struct device *device = device_or_skip();
    struct error error = { 0 };
    const struct param weight = { .name = "layer3.0.conv1.weight", .rank = 4, .dims = { 8, 8, 3, 3 }, .count = 8 * 8 * 9 };
    struct tensor x = { .shape = { 8, 4, 4 }, .batch = 2, .precision = PRECISION_BF16 }, y = x;
    struct op_request request = {
        .device = device, .training = true, .precision = PRECISION_BF16, .batch = 2, .inputs = { &x }, .n_inputs = 1, .output = &y, .params = { &weight },
    };
    const struct conv_args args = { .filters = 8, .size = 3, .stride = 1, .pad = 1, .no_bias = true };
    char key_machine[CHOICE_MACHINE], key[CHOICE_KEY];
    struct op *op;
    cuda_configure(&deterministic);
    if (cuda_conv(&op, &request, &args, &error))
        fail_msg("%s", error.text);
    op->calls->free(op);
    key_with(cache, "forward(", key);
    assert_int_equal(choices_machine(key_machine, device, &error), 0);
    keep(key_machine, key, "none");
    assert_int_equal(cuda_conv(&op, &request, &args, &error), -1);
    assert_int_equal(error.code, EXIT_DEVICE);
    assert_non_null(strstr(error.text, "layer layer3.0.conv1: cuda:0: cuDNN "));
    assert_non_null(strstr(error.text, "has no forward convolution of 3x3, stride 1, over 2 x 8x4x4 to 8 channels in bf16, deterministic, within 64 MiB of workspace"));
    assert_null(strchr(error.text, '\n'));
    cuda_configure(&usual);
    cuda_device_close(device);
}

static void test_product(void **state)
{
    struct cache *cache = *state;
    struct device *device = device_or_skip();
    struct error error = { 0 };
    struct matmul matmul;
    char first[CHOICE_VALUE], second[CHOICE_VALUE], key_machine[CHOICE_MACHINE];
    const struct matmul_shape shape = {
        .rows = 10, .columns = 6, .inner = 16, .transposed_a = true, .operands = PRECISION_FP32, .result = PRECISION_FP32, .bias = true, .alignment = 16,
    };
    cuda_configure(&usual);
    for (int i = 0; i < 3; i++) {
        choices_forget();
        if (matmul_open(&matmul, device, &shape, &error))
            fail_msg("%s", error.text);
        noted(cache, i == 0 ? first : second);
        matmul_close(&matmul);
        if (i == 1) {
            char key[CHOICE_KEY];
            assert_string_equal(first, second);
            key_with(cache, "product ", key);
            assert_int_equal(choices_machine(key_machine, device, &error), 0);
            keep(key_machine, key, "0000 rubbish");
        }
    }
    assert_string_not_equal(second, "0000 rubbish");
    cuda_device_close(device);
}

int test_cuda_plans(void)
{
#define cached(test) cmocka_unit_test_setup_teardown(test, open_cache, close_cache)
    const struct CMUnitTest tests[] = {
        cached(test_remembered), cached(test_damaged), cached(test_moved), cached(test_writers), cached(test_no_home), cmocka_unit_test(test_engine_text), cached(test_chosen),
        cached(test_deterministic), cached(test_unmeasured), cached(test_none_offered), cached(test_product),
    };
#undef cached
    return cmocka_run_group_tests_name("cuda_plans", tests, NULL, NULL);
}

#else

static void test_without(void **state)
{
    (void)state;
    test_skip("built without CUDA");
}

int test_cuda_plans(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_without) };
    return cmocka_run_group_tests_name("cuda_plans", tests, NULL, NULL);
}

#endif
