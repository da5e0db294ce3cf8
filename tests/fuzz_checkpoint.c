/* libFuzzer's entry to checkpoints: a header and data whose checksum is made right, read into the snapshot of a run of two workers. Whatever the bytes, they are refused with one
 * line, or every number is as the lists of the snapshot want it. Seeds are in tests/inputs/checkpoint. The first byte says which algorithm. */
#include "nets/layers.h"
#include "trainer/checkpoint.h"
#include "trainer/weights_reading.h"

#include "base/door.h"
#include "base/file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* All that a snapshot wants of one. */
static const struct backend memory = { .name = "memory", .allocate_host = door_allocate, .release_host = door_free };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

/* The names of states stand beside the table of algorithms, of which nothing is called here. */
const struct algorithm algorithm_ssgd = { 0 }, algorithm_asgd = { 0 }, algorithm_dcasgd = { 0 }, algorithm_odsgd = { 0 };

static void make_graph(struct graph *graph)
{
    const struct input_args input = { .c = 2, .h = 1, .w = 1, .std = { 1, 1, 1, 1 } };
    struct error error = { 0 };
    graph_init(graph, "small", &input);
    loss(graph, linear(graph, batchnorm(graph, linear(graph, 0, "fc1", 3), "bn1"), "fc2", 2), 0);
    ASSERT(graph_finish(graph, &error) == 0);
}

/* The bytes with a right checksum, where their header has one. */
static void write_file(const char *path, const uint8_t *bytes, size_t n)
{
    char *copy = malloc(n + 1), sum[16];
    uint64_t length = UINT64_MAX;
    FILE *file = fopen(path, "wb");
    memcpy(copy, bytes, n);
    if (n >= sizeof length)
        memcpy(&length, copy, sizeof length);
    const char *digits = length <= n - sizeof length && n >= sizeof length ? weights_checksum_digits(copy + sizeof length, length) : NULL;
    if (digits) {
        const struct file_part data = { copy + sizeof length + length, n - sizeof length - length };
        snprintf(sum, sizeof sum, "%08x", (unsigned)weights_checksum(copy + sizeof length, length, digits, &data, 1));
        memcpy(copy + (digits - copy), sum, 8);
    }
    ASSERT(file && fwrite(copy, 1, n, file) == n && fclose(file) == 0);
    free(copy);
}

static void check_numbers(const struct snapshot *snapshot, const struct graph *graph)
{
    for (size_t i = 0; i < graph->params.total; i++)
        ASSERT(isfinite(snapshot->weights[i]));
    for (int i = 0; i < snapshot->n_tensors; i++)
        for (size_t j = 0; snapshot->tensors[i].type == SNAPSHOT_F32 && j < snapshot->tensors[i].count; j++)
            ASSERT(isfinite(((const float *)snapshot->tensors[i].data)[j]));
    ASSERT(isfinite(snapshot->epoch.loss) && isfinite(snapshot->last.loss));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    char path[64];
    struct graph graph;
    struct run run = { .k = 2 };
    struct snapshot snapshot;
    struct metrics_mark mark;
    struct error error = { 0 };
    bool synchronous = n && *bytes & 1;
    const struct declaration declared = { .server_states = 1u << SERVER_MOMENTUM | 1u << SERVER_AVERAGE, .worker_states = synchronous ? 1u << WORKER_MOMENTUM : 0, .local_weights = true };
    make_graph(&graph);
    const struct snapshot_shape shape = {
        .backend = &memory, .graph = &graph, .declared = &declared, .n_stats = 2 * graph.stats.total, .synchronous = synchronous, .k = 2, .buckets = 2, .services = synchronous ? 0 : 8,
    };
    ASSERT(snapshot_init(&snapshot, &shape, &error) == 0);
    run.graph = &graph;
    run.snapshot = &snapshot;
    snprintf(path, sizeof path, "/tmp/onestep-fuzz-checkpoint-%d", (int)getpid());
    write_file(path, n ? bytes + 1 : bytes, n ? n - 1 : 0);
    if (checkpoint_load(path, &run, &mark, &error))
        ASSERT((error.code == EXIT_INPUT || error.code == EXIT_MEMORY) && strncmp(error.text, path, strlen(path)) == 0);
    else
        check_numbers(&snapshot, &graph);
    door_remove(path);
    snapshot_release(&snapshot);
    graph_release(&graph);
    return 0;
}
