/* onestep info: what this build has and what this machine is. */
#include "trainer/command.h"

#include "base/error.h"
#include "base/text.h"
#include "cpu/cpu.h"
#include "cpu/isa.h"
#include "data/dataset.h"
#include "nets/layers.h"
#include "nets/network.h"
#include "trainer/algorithm.h"
#include "trainer/choose.h"
#include "trainer/topology.h"

#ifdef HAVE_CUDA
#include "cuda/cuda.h"
#endif

#include <hwloc.h>
#include <cjson/cJSON.h>
#include <png.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

enum { COLUMN = 11 }; /* where what is told begins */

static void print_machine(const struct topology *topology)
{
    char fast[32] = "";
    if (topology->fast < topology->cores)
        snprintf(fast, sizeof fast, " (%d fast)", topology->fast);
    text_print(stdout, COLUMN, "cpu", "%s, %d core%s for us%s, L2 %ld KiB, L3 %ld KiB", topology->model,
               topology->cores, topology->cores == 1 ? "" : "s", fast, topology->l2_kib, topology->l3_kib);
    printf("memory     %.1f GiB\n", (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGE_SIZE) / (1 << 30));
}

/* Which of our kernels are used. */
static void print_isa(void)
{
    const enum isa isa = isa_chosen();
    char others[64];
    struct text text;
    text_begin(&text, others, sizeof others);
    for (int i = ISAS - 1; i >= 0; i--)
        if (isa_runs((enum isa)i) && i != (int)isa)
            text_add(&text, "%s%s", text.used ? ", " : "; this processor also runs ", isa_name((enum isa)i));
    text_print(stdout, COLUMN, "isa", "%s (%s)%s", isa_name(isa), isa_vectors(isa), others);
}

#ifdef HAVE_CUDA

/* Whose memory each GPU may read, as the driver says. */
static void print_peers(int n)
{
    printf("%-11s%-8s", "peers", "reads");
    for (int owner = 0; owner < n; owner++)
        printf(" %4d", owner);
    for (int reader = 0; reader < n; reader++) {
        printf("\n%-11scuda:%-3d", "", reader);
        for (int owner = 0; owner < n; owner++)
            printf(" %4s", reader == owner ? "-" : cuda_peer_offered(reader, owner) ? "yes" : "no");
    }
    putchar('\n');
}

/* Bandwidths; between GPUs a pair that does not work is named, with what would be done about it. */
static int check_gpus(int n, struct error *error)
{
    for (int i = 0; i < n; i++) {
        struct gpu_bandwidths bandwidths;
        if (cuda_measure_gpu(&bandwidths, i, error))
            return -1;
        text_print(stdout, COLUMN, i ? "" : "copies",
                   "cuda:%d  pinned host memory to it %.1f GB/s, back %.1f, within it %.0f (read and written)", i,
                   bandwidths.from_host, bandwidths.to_host, bandwidths.on_gpu);
    }
    for (int from = 0; from < n; from++)
        for (int to = 0; to < n; to++) {
            double bandwidth;
            struct error bad = { 0 };
            if (from == to)
                continue;
            bool directly = cuda_peer_works(to, from);
            if (cuda_measure_pair(&bandwidth, from, to, &bad))
                text_print(stdout, COLUMN, "", "cuda:%d to cuda:%d  BAD, would go through pinned host memory: %s", from,
                           to, bad.text);
            else
                text_print(stdout, COLUMN, "", "cuda:%d to cuda:%d  %.1f GB/s, %s", from, to, bandwidth,
                       directly                       ? "directly"
                       : cuda_peer_offered(to, from) ? "BAD directly, would go through pinned host memory"
                                                      : "through host memory");
        }
    return 0;
}

static int print_gpus(bool check, struct error *error)
{
    struct error none = { 0 };
    char versions[256];
    int n = cuda_gpus(&none);
    if (n == 0)
        text_print(stdout, COLUMN, "gpu", "none: %s", none.text);
    for (int i = 0; i < n; i++) {
        struct gpu gpu;
        if (cuda_gpu_read(&gpu, i, error))
            return -1;
        text_print(stdout, COLUMN, i ? "" : "gpu", "cuda:%d  %s, compute capability %d.%d, %d SMs, %.1f GiB, %.1f free",
                   i, gpu.name, gpu.capability / 10, gpu.capability % 10, gpu.processors,
               (double)gpu.memory_bytes / (1 << 30), (double)gpu.free_bytes / (1 << 30));
    }
    cuda_versions(versions, sizeof versions);
    text_print(stdout, COLUMN, "cuda", "%s", versions);
    if (n > 1)
        print_peers(n);
    return check ? check_gpus(n, error) : 0;
}

#else

static int print_gpus(bool check, struct error *error)
{
    printf("gpu        none: this build has no CUDA backend\n");
    return check ? fail(error, EXIT_USAGE, "info: --check checks GPUs, and this build has no CUDA backend: make CUDA=1 says what that takes") : 0;
}

#endif

static bool has_bf16_instructions(void)
{
#if defined(__x86_64__)
    return __builtin_cpu_supports("avx512bf16");
#else
    return false;
#endif
}

/* Two 3x3 convolutions, of 64 channels at 16x16, make nearly all of its work. */
static int build_probe(struct graph *graph, struct error *error)
{
    const struct conv_args args = { .filters = 64, .size = 3, .pad = 1, .no_bias = true };
    graph_init(graph, "probe", &(struct input_args){ .c = 3, .h = 16, .w = 16, .std = { 1, 1, 1 } });
    int x = conv(graph, 0, "conv1", &args);
    x = conv(graph, conv(graph, x, "conv2", &args), "conv3", &args);
    loss(graph, linear(graph, global_avgpool(graph, x), "fc", 10), 0);
    return graph_finish(graph, error);
}

static int64_t step_ns(const struct trial_time *time, bool quiet)
{
    return quiet ? time->shortest_ns : time->processor_ns;
}

/* The best of all backends in each precision, by their training steps. */
static int print_speeds(const struct graph *graph, struct error *error)
{
    enum { BATCH = 8 };
    struct choice candidates[TRIALS_MOST];
    struct trial_time times[TRIALS_MOST];
    struct text text;
    char line[512];
    bool quiet;
    int n = choose_candidates(candidates), best[PRECISIONS];
    double operations = 0;
    if (trials_measure(times, candidates, n, graph, BATCH, 250000000, error))
        return -1;
    trials_fastest(times, n, &quiet);
    for (int i = 0; i < graph->n_nodes; i++)
        operations += 6 * BATCH * node_multiply_adds(graph, &graph->nodes[i]); /* a multiplication and an addition, forward and twice backward */
    for (int p = 0; p < PRECISIONS; p++)
        best[p] = -1;
    for (int i = 0; i < n; i++) {
        int p = (int)candidates[i].precision;
        if (best[p] < 0 || step_ns(&times[i], quiet) < step_ns(&times[best[p]], quiet))
            best[p] = i;
    }
    text_begin(&text, line, sizeof line);
    for (int p = 0; p < PRECISIONS; p++)
        if (best[p] >= 0)
            text_add(&text, "%s%s %.0f GFLOP/s (%s)", p ? ", " : "", precision_name((enum precision)p),
                     operations / (double)step_ns(&times[best[p]], quiet), candidates[best[p]].backend->name);
    if (best[PRECISION_BF16] >= 0) {
        int64_t narrow_ns = step_ns(&times[best[PRECISION_BF16]], quiet);
        bool narrow = narrow_ns < step_ns(&times[best[PRECISION_FP32]], quiet);
        text_add(&text, ": %s is faster here", narrow ? "bf16" : "fp32");
    }
    text_add(&text, "; the CPU has %sbf16 instructions", has_bf16_instructions() ? "" : "no ");
    if (!quiet)
        text_add(&text, "; by processor time, because the machine is busy");
    text_print(stdout, COLUMN, "cores", "%s", line);
    return 0;
}

static int measure_precisions(struct error *error)
{
    struct graph graph;
    int result = build_probe(&graph, error) || print_speeds(&graph, error) ? -1 : 0;
    graph_release(&graph);
    return result;
}

static void print_libraries(void)
{
#ifdef HAVE_ONEDNN
    const char *onednn = "oneDNN ", *version = onednn_version();
#else
    const char *onednn = "no oneDNN", *version = "";
#endif
    text_print(stdout, COLUMN, "libraries", "%s%s, zlib %s, libpng %s, TurboJPEG, cJSON %s, hwloc %x.%x.%x, inih",
               onednn, version, zlibVersion(), png_get_libpng_ver(NULL), cJSON_Version(),
               HWLOC_API_VERSION >> 16, HWLOC_API_VERSION >> 8 & 255, HWLOC_API_VERSION & 255);
    text_print(stdout, COLUMN, "compiler", "%s", __VERSION__);
}

static void print_entry(const char *list, const char *name, const char *help)
{
    char label[64];
    snprintf(label, sizeof label, "%-*s%s", COLUMN, list, name);
    text_print(stdout, COLUMN + 19, label, "%s", help);
}

static void print_lists(void)
{
    if (gpu_backend)
        print_entry("on GPUs", gpu_backend->name, gpu_backend->help);
    for (int i = 0; backends[i]; i++)
        print_entry(i ? "" : "backends", backends[i]->name, backends[i]->help);
    for (int i = 0; networks[i]; i++)
        print_entry(i ? "" : "networks", networks[i]->name, networks[i]->help);
    for (int i = 0; dataset_formats[i]; i++)
        print_entry(i ? "" : "datasets", dataset_formats[i]->name, dataset_formats[i]->help);
    for (int i = ALGORITHM_SSGD; i <= ALGORITHM_ODSGD; i++)
        print_entry(i ? "" : "algorithms", algorithm_of(i)->name, algorithm_of(i)->help);
}

int command_info(int n, char **words, struct error *error)
{
    struct topology topology;
    if (n && strcmp(words[0], "--help") == 0) {
        printf("usage: onestep info [--check]\n\n"
               "Prints the machine, the libraries of this build, and what it can train, on what,\n"
               "and how. --check copies within and between the GPUs, compares, and prints how\n"
               "fast that goes.\n");
        return 0;
    }
    bool check = n && strcmp(words[0], "--check") == 0;
    if (n > check)
        return fail(error, EXIT_USAGE, "info: want --check or nothing, got \"%s\"", words[check]);
    if (topology_read(&topology, error))
        return -1;
    printf("onestep    %s\n", ONESTEP_VERSION);
    print_machine(&topology);
    print_isa();
    if (print_gpus(check, error) || measure_precisions(error))
        return -1;
    print_libraries();
    print_lists();
    return 0;
}
