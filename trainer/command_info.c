/* onestep info: what this build has and what this machine is. */
#include "trainer/command.h"

#include "base/error.h"
#include "cpu/cpu.h"
#include "data/dataset.h"
#include "nets/network.h"
#include "trainer/algorithm.h"
#include "trainer/choose.h"
#include "trainer/topology.h"

#include <hwloc.h>
#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

static void print_machine(const struct topology *topology)
{
    printf("cpu        %s, %d core%s for us, L2 %ld KiB, L3 %ld KiB\n", topology->model, topology->cores, topology->cores == 1 ? "" : "s", topology->l2_kib, topology->l3_kib);
    printf("memory     %.1f GiB\n", (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGE_SIZE) / (1 << 30));
    printf("vectors    "
#if defined(__AVX512F__)
           "AVX-512"
#elif defined(__AVX2__)
           "AVX2"
#else
           "baseline"
#endif
           " (chosen when this was built)\n");
    printf("gpu        none: this build has no CUDA backend\n");
}

static void print_libraries(void)
{
#ifdef HAVE_ONEDNN
    printf("libraries  oneDNN %s, ", onednn_version());
#else
    printf("libraries  no oneDNN, ");
#endif
    printf("zlib %s, cJSON %s, hwloc %x.%x.%x, inih\n", zlibVersion(), cJSON_Version(), HWLOC_API_VERSION >> 16, HWLOC_API_VERSION >> 8 & 255, HWLOC_API_VERSION & 255);
    printf("compiler   %s\n", __VERSION__);
}

static void print_lists(void)
{
    for (int i = 0; backends[i]; i++)
        printf("%-10s %-13s %s\n", i ? "" : "backends", backends[i]->name, backends[i]->help);
    for (int i = 0; networks[i]; i++)
        printf("%-10s %-13s %s\n", i ? "" : "networks", networks[i]->name, networks[i]->help);
    for (int i = 0; dataset_formats[i]; i++)
        printf("%-10s %-13s %s\n", i ? "" : "datasets", dataset_formats[i]->name, dataset_formats[i]->help);
    for (int i = ALGORITHM_SSGD; i <= ALGORITHM_ODSGD; i++)
        printf("%-10s %-13s %s\n", i ? "" : "algorithms", algorithm_of(i)->name, algorithm_of(i)->help);
}

int command_info(int n, char **words, struct error *error)
{
    struct topology topology;
    if (n && strcmp(words[0], "--help") == 0) {
        printf("usage: onestep info\n\nPrints the machine, the libraries of this build, and what it can train, on what, and how.\n");
        return 0;
    }
    if (n)
        return fail(error, EXIT_USAGE, "info: want no argument, got \"%s\"", words[0]);
    if (topology_read(&topology, error))
        return -1;
    printf("onestep    %s\n", ONESTEP_VERSION);
    print_machine(&topology);
    print_libraries();
    print_lists();
    return 0;
}
