/* What is chosen by measuring: trials while the processor is taken away, what is remembered and for how long; and the
 * cores that workers run on. */
#include "base/door.h"
#include "base/file.h"
#include "cpu/cpu.h"
#include "cpu/isa.h"
#include "nets/layers.h"
#include "tests/tests.h"
#include "trainer/choice_memory.h"
#include "trainer/choose.h"
#include "trainer/program.h"
#include "trainer/topology.h"

#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- trials ---- */

static void small_net(struct graph *graph)
{
    struct error error = { 0 };
    graph_init(graph, "small", &(struct input_args){ .c = 1, .h = 5, .w = 6, .std = { 1 } });
    loss(graph, linear(graph, relu(graph, linear(graph, 0, "fc1", 10)), "fc2", 4), 0);
    assert_int_equal(graph_finish(graph, &error), 0);
}

static int naps; /* that are left: where the thread does not have the processor */
static struct backend napping, working;

static void nap(int64_t ns) { door_sleep_until_ns(door_now_ns() + ns); }

static void work(int64_t ns)
{
    int64_t until = door_thread_ns() + ns;
    while (door_thread_ns() < until)
        ;
}

static int nap_and_sync(struct device *device, struct error *error)
{
    if (naps > 0) {
        naps--;
        nap(8000000);
    }
    return backend_lanes.sync(device, error);
}

static int work_and_sync(struct device *device, struct error *error)
{
    work(2000000);
    if (naps > 0)
        nap(1000000);
    return backend_lanes.sync(device, error);
}

static int make_backends(void **state)
{
    (void)state;
    napping = backend_lanes;
    napping.name = "napping";
    napping.sync = nap_and_sync;
    working = backend_lanes;
    working.name = "working";
    working.sync = work_and_sync;
    return 0;
}

enum { ENOUGH_NS = 60000000 };

/* It takes longer, but it takes less of the processor. */
static void disturbed_all_the_time_processor_time_counts(void **state)
{
    (void)state;
    struct graph graph;
    struct error error = { 0 };
    struct trial_time times[2];
    const struct choice candidates[] = { { .backend = &working, .place = -1 }, { .backend = &napping, .place = -1 } };
    bool quiet = true;
    small_net(&graph);
    naps = 1000000;
    assert_int_equal(trials_measure(times, candidates, 2, &graph, 4, ENOUGH_NS, &error), 0);
    assert_int_equal(times[0].quiet + times[1].quiet, 0);
    assert_true(times[1].shortest_ns >= 8000000 && times[1].processor_ns < 4000000);
    assert_true(times[0].processor_ns >= 2000000);
    assert_int_equal(trials_fastest(times, 2, &quiet), 1);
    assert_false(quiet);
    graph_release(&graph);
}

static void disturbed_trials_are_repeated(void **state)
{
    (void)state;
    struct graph graph;
    struct error error = { 0 };
    struct trial_time times[2];
    const struct choice candidates[] = { { .backend = &working, .place = -1 }, { .backend = &napping, .place = -1 } };
    bool quiet = false;
    small_net(&graph);
    naps = 12; /* more than the rounds that there are in any case */
    assert_int_equal(trials_measure(times, candidates, 2, &graph, 4, 20 * (int64_t)ENOUGH_NS, &error), 0);
    assert_int_equal(naps, 0);
    assert_int_equal(trials_fastest(times, 2, &quiet), 1);
    assert_true(quiet);
    assert_true(times[1].shortest_ns < 8000000);
    assert_true(times[0].shortest_ns >= 2000000);
    graph_release(&graph);
}

/* What a function writes to standard error, as one text; free it. */
static char *stderr_of(void (*run)(void *context), void *context)
{
    FILE *file = tmpfile();
    char *text = calloc(1, 4096);
    assert_true(file && text);
    fflush(stderr);
    int kept = dup(STDERR_FILENO);
    dup2(fileno(file), STDERR_FILENO);
    run(context);
    fflush(stderr);
    dup2(kept, STDERR_FILENO);
    close(kept);
    rewind(file);
    assert_true(fread(text, 1, 4095, file) < 4095);
    fclose(file);
    return text;
}

static void choose_among_two(void *context)
{
    struct choice *choice = context;
    struct graph graph;
    struct error error = { 0 };
    const struct choice candidates[] = { { .backend = &working, .place = -1 }, { .backend = &napping, .place = -1 } };
    small_net(&graph);
    assert_int_equal(choose_fastest(choice, candidates, 2, &graph, 4, ENOUGH_NS, &error), 0);
    graph_release(&graph);
}

static void a_disturbed_choice_is_told(void **state)
{
    (void)state;
    struct choice choice;
    char words[128];
    naps = 1000000;
    char *said = stderr_of(choose_among_two, &choice);
    assert_string_equal(said,
                        "onestep: the machine is busy: napping in fp32 is chosen by the processor time of a step, "
                              "and not remembered\n");
    free(said);
    assert_int_equal(choice.source, CHOICE_DISTURBED);
    assert_ptr_equal(choice.backend, &napping);
    choose_describe(&choice, words, sizeof words);
    assert_string_equal(words, "napping in fp32, measured now on a busy machine");
}

/* ---- memory ---- */

static char home[64];

static int enter_home(void **state)
{
    (void)state;
    snprintf(home, sizeof home, "/tmp/onestep-choosing-XXXXXX");
    return mkdtemp(home) == NULL || setenv("XDG_CACHE_HOME", home, 1);
}

static int leave_home(void **state)
{
    (void)state;
    char command[128];
    unsetenv("XDG_CACHE_HOME");
    snprintf(command, sizeof command, "rm -rf '%s'", home);
    return system(command);
}

static void path_of(char path[1200], const struct choice_key *key) { assert_true(choice_memory_path(path, 1200, key)); }

static void every_part_of_a_key_counts(void **state)
{
    (void)state;
    struct graph small, other;
    const struct choice two[] = { { .backend = &working, .place = -1 }, { .backend = &napping, .place = -1 } };
    const struct choice halves[] = { { .backend = &working, .place = -1 },
        { .backend = &napping, .precision = PRECISION_BF16, .place = -1 } };
    char path[1200], again[1200];
    small_net(&small);
    small_net(&other);
    other.params.total++;
    const struct choice_key key = { two, 2, &small, 4, "this processor" };
    const struct choice_key others[] = {
        { two, 2, &small, 4, "that processor" }, { two, 2, &small, 5, "this processor" },
        { two, 2, &other, 4, "this processor" },
        { two, 1, &small, 4, "this processor" }, { halves, 2, &small, 4, "this processor" },
    };
    path_of(path, &key);
    path_of(again, &key);
    assert_string_equal(path, again);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        path_of(again, &others[i]);
        assert_string_not_equal(path, again);
    }
    const enum isa best = isa_chosen();
    isa_limit(ISA_BASE);
    path_of(again, &key);
    assert_int_equal(strcmp(path, again) == 0, best == ISA_BASE);
    isa_limit(best);
    path_of(again, &key);
    assert_string_equal(path, again);
    graph_release(&small);
    graph_release(&other);
}

static void what_was_chosen_is_remembered(void **state)
{
    (void)state;
    struct graph graph;
    struct choice choice = { 0 };
    const struct choice candidates[] = { { .backend = &working, .place = -1 },
        { .backend = &napping, .precision = PRECISION_BF16, .place = -1 } };
    const struct choice_key key = { candidates, 2, &graph, 4, "this processor" };
    struct error error = { 0 };
    char path[1200];
    small_net(&graph);
    path_of(path, &key);
    assert_false(choice_recall(&choice, &key, path));
    choice_remember(&candidates[1], path);
    assert_true(choice_recall(&choice, &key, path));
    assert_ptr_equal(choice.backend, &napping);
    assert_int_equal(choice.precision, PRECISION_BF16);
    assert_int_equal(choice.source, CHOICE_REMEMBERED);
    static const char *const damaged[] = { "", "napping", "napping fp32\n", "napping bf16\nx", "other bf16\n",
        "napping bf16 and a great deal more than such a file has, which is one line of two words\n" };
    for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++) {
        assert_int_equal(file_replace(path, &(struct file_part){ damaged[i], strlen(damaged[i]) }, 1, &error), 0);
        assert_false(choice_recall(&choice, &key, path));
    }
    graph_release(&graph);
}

static void age(const char *path, int days)
{
    struct timespec times[2];
    clock_gettime(CLOCK_REALTIME, &times[0]);
    times[0].tv_sec -= (time_t)days * 24 * 3600;
    times[1] = times[0];
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

/* Ones that nobody has used for long go when another one is written; reading is using, and other files of the folder
 * stay. */
static void old_choices_go(void **state)
{
    (void)state;
    struct graph graph;
    struct choice choice;
    const struct choice candidates[] = { { .backend = &working, .place = -1 }, { .backend = &napping, .place = -1 } };
    const struct choice_key old = { candidates, 2, &graph, 1, "" }, used = { candidates, 2, &graph, 2, "" },
        young = { candidates, 2, &graph, 3, "" }, new = { candidates, 2, &graph, 4, "" };
    char paths[4][1200], stranger[1300];
    struct error error = { 0 };
    small_net(&graph);
    path_of(paths[0], &old);
    path_of(paths[1], &used);
    path_of(paths[2], &young);
    path_of(paths[3], &new);
    for (int i = 0; i < 3; i++)
        choice_remember(&candidates[0], paths[i]);
    snprintf(stranger, sizeof stranger, "%s/onestep/choices", home);
    assert_int_equal(file_replace(stranger, &(struct file_part){ "x", 1 }, 1, &error), 0);
    age(paths[0], CHOICE_MEMORY_DAYS + 1);
    age(paths[1], CHOICE_MEMORY_DAYS + 1);
    age(paths[2], CHOICE_MEMORY_DAYS - 1);
    age(stranger, 1000);
    assert_true(choice_recall(&choice, &used, paths[1]));
    choice_remember(&candidates[0], paths[3]);
    assert_false(door_exists(paths[0]));
    assert_true(door_exists(paths[1]) && door_exists(paths[2]) && door_exists(paths[3]) && door_exists(stranger));
    graph_release(&graph);
}

/* choose_backend goes by what is remembered: even by what it would not have measured. */
static void a_remembered_backend_is_taken(void **state)
{
    (void)state;
    struct graph graph;
    struct config config;
    struct choice choice, candidates[TRIALS_MOST];
    struct error error = { 0 };
    char path[1200];
    int n = 0, all = choose_candidates(candidates);
    for (int i = 0; i < all; i++)
        if (candidates[i].precision == PRECISION_FP32)
            candidates[n++] = candidates[i];
    small_net(&graph);
    config_defaults(&config);
    config.data.batch = 4;
    if (n < 2) {
        assert_int_equal(choose_backend(&choice, &config, &(struct devices){ 0 }, &graph, "x", &error), 0);
        assert_int_equal(choice.source, CHOICE_ALONE);
        graph_release(&graph);
        return;
    }
    const struct choice_key key = { candidates, n, &graph, 4, "x" };
    path_of(path, &key);
    for (int i = 0; i < n; i++) {
        choice_remember(&candidates[i], path);
        assert_int_equal(choose_backend(&choice, &config, &(struct devices){ 0 }, &graph, "x", &error), 0);
        assert_ptr_equal(choice.backend, candidates[i].backend);
        assert_int_equal(choice.source, CHOICE_REMEMBERED);
    }
    snprintf(config.cpu.backend, sizeof config.cpu.backend, "%s", candidates[0].backend->name);
    assert_int_equal(choose_backend(&choice, &config, &(struct devices){ 0 }, &graph, "x", &error), 0);
    assert_ptr_equal(choice.backend, candidates[0].backend);
    assert_int_equal(choice.source, CHOICE_CONFIGURED);
    graph_release(&graph);
}

static void the_program_has_a_number(void **state)
{
    (void)state;
    uint64_t first = 0, second = 0;
    assert_true(program_hash(&first) && program_hash(&second));
    assert_true(first == second && first != 0);
}

/* ---- cores ---- */

static void read_machine(struct topology *topology, const char *variable, const char *value)
{
    struct error error = { 0 };
    setenv(variable, value, 1);
    int result = topology_read(topology, &error);
    unsetenv(variable);
    if (result)
        fail_msg("%s=%s: %s", variable, value, error.text);
}

static void assert_processors(const struct topology *topology, const int *processors, int n, int fast)
{
    assert_int_equal(topology->cores, n);
    assert_int_equal(topology->fast, fast);
    for (int i = 0; i < n; i++)
        assert_int_equal(topology->processors[i], processors[i]);
}

static const char *describe(const struct topology *topology, int workers)
{
    static char text[64];
    topology_describe(topology, workers, text, sizeof text);
    return text;
}

/* Four slow cores of one processor each (0 to 3), then two fast ones of two each (4, 5 and 6, 7). */
static void fast_cores_come_first(void **state)
{
    (void)state;
    struct topology topology;
    read_machine(&topology, "HWLOC_XMLFILE", "tests/inputs/topology/hybrid.xml");
    assert_processors(&topology, (const int[]){ 4, 6, 0, 1, 2, 3 }, 6, 2);
    assert_int_equal(topology.threads, 8);
    assert_string_equal(topology.model, "Hybrid");
    assert_string_equal(describe(&topology, 1), "1 of 2 fast cores");
    assert_string_equal(describe(&topology, 2), "2 fast cores");
    assert_string_equal(describe(&topology, 5), "2 fast cores and 3 of 4 slower");
}

/* Kinds that have no order, one kind, and machines without packages or without cores: hwloc's order. */
static void machines_that_say_less(void **state)
{
    (void)state;
    struct topology topology;
    char *text, path[128];
    size_t bytes;
    struct error error = { 0 };
    assert_int_equal(file_read("tests/inputs/topology/hybrid.xml", 1 << 20, &text, &bytes, &error), 0);
    char *kinds = strstr(text, "  <cpukind");
    assert_non_null(kinds);
    snprintf(path, sizeof path, "%s/alike.xml", home);
    const struct file_part parts[] = { { text, (size_t)(kinds - text) }, { "</topology>\n", 12 } };
    assert_int_equal(file_replace(path, parts, 2, &error), 0);
    door_free(text);
    read_machine(&topology, "HWLOC_XMLFILE", path);
    assert_processors(&topology, (const int[]){ 0, 1, 2, 3, 4, 6 }, 6, 6);
    assert_string_equal(describe(&topology, 2), "");
    read_machine(&topology, "HWLOC_SYNTHETIC", "core:3 pu:2");
    assert_processors(&topology, (const int[]){ 0, 2, 4 }, 3, 3);
    assert_int_equal(topology.threads, 6);
    assert_string_equal(topology.model, "unknown");
    read_machine(&topology, "HWLOC_SYNTHETIC", "pu:3");
    assert_processors(&topology, (const int[]){ 0, 1, 2 }, 3, 3);
    assert_int_equal(topology.threads, 3);
}

static void a_mask_is_respected(void **state)
{
    (void)state;
    struct topology topology, masked;
    struct error error = { 0 };
    cpu_set_t before, one;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    assert_int_equal(topology_read(&topology, &error), 0);
    for (int i = 0; i < topology.cores; i++) {
        assert_true(CPU_ISSET((size_t)topology.processors[i], &before));
        CPU_ZERO(&one);
        CPU_SET((size_t)topology.processors[i], &one);
        assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
        assert_int_equal(topology_read(&masked, &error), 0);
        assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
        assert_processors(&masked, &topology.processors[i], 1, 1);
    }
}

int test_choosing(void)
{
#define IN_HOME(test) cmocka_unit_test_setup_teardown(test, enter_home, leave_home)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(disturbed_all_the_time_processor_time_counts), cmocka_unit_test(disturbed_trials_are_repeated),
        cmocka_unit_test(a_disturbed_choice_is_told),
        IN_HOME(every_part_of_a_key_counts), IN_HOME(what_was_chosen_is_remembered), IN_HOME(old_choices_go),
        IN_HOME(a_remembered_backend_is_taken),
        cmocka_unit_test(the_program_has_a_number), cmocka_unit_test(fast_cores_come_first),
        IN_HOME(machines_that_say_less), cmocka_unit_test(a_mask_is_respected),
    };
    return cmocka_run_group_tests_name("choosing", tests, make_backends, NULL);
}
