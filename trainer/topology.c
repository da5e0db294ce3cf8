/* See topology.h. */
#include "trainer/topology.h"

#include "base/error.h"
#include "base/text.h"

#include <hwloc.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

static long cache_kib(hwloc_topology_t hardware, hwloc_obj_type_t type)
{
    hwloc_obj_t cache = hwloc_get_obj_by_type(hardware, type, 0);
    return cache ? (long)(cache->attr->cache.size / 1024) : 0;
}

/* A core, and how fast its kind is among the machine's: the higher, the faster. */
struct core { int processor, rank; };

/* hwloc ranks kinds of cores by what the system says of them; all are alike (0) where it knows of one kind, or of no
 * order. */
static int rank_of(hwloc_topology_t hardware, hwloc_const_bitmap_t cpuset)
{
#if HWLOC_API_VERSION >= 0x00020400
    int kinds = hwloc_cpukinds_get_nr(hardware, 0), rank = -1;
    int kind = kinds > 1 ? hwloc_cpukinds_get_by_cpuset(hardware, cpuset, 0) : -1;
    if (kind >= 0 && hwloc_cpukinds_get_info(hardware, (unsigned)kind, NULL, &rank, NULL, NULL, 0) == 0 && rank >= 0)
        return rank;
#else
    (void)hardware;
    (void)cpuset;
#endif
    return 0;
}

/* The core's first processor, or -1; how many it has is added to *n. A mask that the process was started with (taskset)
 * leaves some out; the system's own limits (cgroups) hwloc has left out already. */
static int processor_of(hwloc_obj_t core, hwloc_const_bitmap_t bound, int *n)
{
    int first = -1;
    for (int i = hwloc_bitmap_first(core->cpuset); i >= 0; i = hwloc_bitmap_next(core->cpuset, i)) {
        if (!hwloc_bitmap_isset(bound, (unsigned)i))
            continue;
        if (first < 0)
            first = i;
        ++*n;
    }
    return first;
}

static void add_core(struct topology *topology, struct core *cores, struct core core)
{
    int at = topology->cores++;
    for (; at > 0 && cores[at - 1].rank < core.rank; at--)
        cores[at] = cores[at - 1];
    cores[at] = core;
}

static void read_cores(struct topology *topology, hwloc_topology_t hardware, hwloc_const_bitmap_t bound)
{
    struct core cores[sizeof topology->processors / sizeof *topology->processors];
    const int room = sizeof cores / sizeof *cores;
    hwloc_obj_type_t type = hwloc_get_nbobjs_by_type(hardware, HWLOC_OBJ_CORE) > 0 ? HWLOC_OBJ_CORE : HWLOC_OBJ_PU;
    int n = hwloc_get_nbobjs_by_type(hardware, type);
    for (int i = 0; i < n && topology->cores < room; i++) {
        hwloc_obj_t core = hwloc_get_obj_by_type(hardware, type, (unsigned)i);
        int processor = processor_of(core, bound, &topology->threads);
        if (processor >= 0)
            add_core(topology, cores, (struct core){ processor, rank_of(hardware, core->cpuset) });
    }
    for (int i = 0; i < topology->cores; i++) {
        topology->processors[i] = cores[i].processor;
        topology->fast += cores[i].rank == cores[0].rank;
    }
}

/* Some machines have no package, and say what they know of the CPU at the root. */
static const char *cpu_info(hwloc_topology_t hardware, const char *name)
{
    hwloc_obj_t package = hwloc_get_obj_by_type(hardware, HWLOC_OBJ_PACKAGE, 0);
    const char *value = package ? hwloc_obj_get_info_by_name(package, name) : NULL;
    return value ? value : hwloc_obj_get_info_by_name(hwloc_get_root_obj(hardware), name);
}

static void read_model(struct topology *topology, hwloc_topology_t hardware)
{
    /* A virtual machine's "AMD EPYC" is any of them: family and model tell them apart. */
    static const char *const names[] = { "CPUVendor", "CPUFamilyNumber", "CPUModelNumber", "CPUStepping",
        "CPUArchitecture", "CPUImplementer", "CPUPart" };
    const char *model = cpu_info(hardware, "CPUModel");
    struct text text;
    snprintf(topology->model, sizeof topology->model, "%s", model ? model : "unknown");
    topology->l2_kib = cache_kib(hardware, HWLOC_OBJ_L2CACHE);
    topology->l3_kib = cache_kib(hardware, HWLOC_OBJ_L3CACHE);
    text_begin(&text, topology->identity, sizeof topology->identity);
    text_add(&text, "%s", topology->model);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = cpu_info(hardware, names[i]);
        text_add(&text, "|%s", value ? value : "");
    }
    text_add(&text, "|%ld|%ld", topology->l2_kib, topology->l3_kib);
}

static int read_hardware(struct topology *topology, hwloc_topology_t hardware, struct error *error)
{
    hwloc_bitmap_t bound = hwloc_bitmap_alloc_full();
    if (!bound)
        return fail(error, EXIT_MEMORY, "out of memory for the set of processors");
    if (hwloc_topology_load(hardware) == 0) {
        if (hwloc_topology_is_thissystem(hardware) && hwloc_get_cpubind(hardware, bound, HWLOC_CPUBIND_THREAD))
            hwloc_bitmap_fill(bound); /* no mask can be read */
        read_cores(topology, hardware, bound);
        read_model(topology, hardware);
    }
    hwloc_bitmap_free(bound);
    return topology->cores ? 0 : fail(error, EXIT_DEVICE, "cpu: hwloc finds no core that this process may use");
}

int topology_read(struct topology *topology, struct error *error)
{
    hwloc_topology_t hardware;
    memset(topology, 0, sizeof *topology);
    if (hwloc_topology_init(&hardware))
        return fail(error, EXIT_DEVICE, "cpu: hwloc cannot start");
    int result = read_hardware(topology, hardware, error);
    hwloc_topology_destroy(hardware);
    return result;
}

void topology_describe(const struct topology *topology, int workers, char *buffer, size_t bytes)
{
    int slow = topology->cores - topology->fast;
    struct text text;
    text_begin(&text, buffer, bytes);
    if (!slow)
        return;
    if (workers < topology->fast)
        text_add(&text, "%d of ", workers);
    text_add(&text, "%d fast core%s", topology->fast, topology->fast == 1 ? "" : "s");
    if (workers > topology->fast)
        text_add(&text, " and %d of %d slower", workers - topology->fast, slow);
}

void topology_pin(int processor)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)processor, &set);
    sched_setaffinity(0, sizeof set, &set);
}
