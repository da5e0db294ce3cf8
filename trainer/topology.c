/* See topology.h. */
#include "trainer/topology.h"

#include "base/error.h"

#include <hwloc.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

static long cache_kib(hwloc_topology_t hardware, hwloc_obj_type_t type)
{
    hwloc_obj_t cache = hwloc_get_obj_by_type(hardware, type, 0);
    return cache ? (long)(cache->attr->cache.size / 1024) : 0;
}

static void read_cores(struct topology *topology, hwloc_topology_t hardware)
{
    int n = hwloc_get_nbobjs_by_type(hardware, HWLOC_OBJ_CORE);
    hwloc_obj_type_t type = n > 0 ? HWLOC_OBJ_CORE : HWLOC_OBJ_PU;
    n = hwloc_get_nbobjs_by_type(hardware, type);
    for (int i = 0; i < n && topology->cores < 1024; i++) {
        hwloc_obj_t core = hwloc_get_obj_by_type(hardware, type, (unsigned)i);
        int processor = hwloc_bitmap_first(core->cpuset);
        if (processor >= 0)
            topology->processors[topology->cores++] = processor;
    }
}

int topology_read(struct topology *topology, struct error *error)
{
    hwloc_topology_t hardware;
    memset(topology, 0, sizeof *topology);
    if (hwloc_topology_init(&hardware))
        return fail(error, EXIT_DEVICE, "cpu: hwloc cannot start");
    if (hwloc_topology_load(hardware) == 0) {
        read_cores(topology, hardware);
        const char *model = hwloc_obj_get_info_by_name(hwloc_get_obj_by_type(hardware, HWLOC_OBJ_PACKAGE, 0), "CPUModel");
        snprintf(topology->model, sizeof topology->model, "%s", model ? model : "unknown");
        topology->l2_kib = cache_kib(hardware, HWLOC_OBJ_L2CACHE);
        topology->l3_kib = cache_kib(hardware, HWLOC_OBJ_L3CACHE);
    }
    hwloc_topology_destroy(hardware);
    return topology->cores ? 0 : fail(error, EXIT_DEVICE, "cpu: hwloc finds no core that this process may use");
}

void topology_pin(int processor)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)processor, &set);
    sched_setaffinity(0, sizeof set, &set);
}
