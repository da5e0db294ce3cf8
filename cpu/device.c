/* See device.h. */
#include "cpu/device.h"

#include "base/door.h"

#include <string.h>

int cpu_device_open(struct device **device, int index, struct error *error)
{
    void *block;
    *device = NULL;
    if (door_allocate(&block, sizeof **device, "device", error))
        return -1;
    *device = block;
    (*device)->processor = index;
    return 0;
}

void cpu_device_close(struct device *device) { door_free(device); }

int cpu_allocate(struct device *device, void **block, size_t bytes, const char *what, struct error *error)
{
    (void)device;
    return door_allocate(block, bytes, what, error);
}

void cpu_release(struct device *device, void *block)
{
    (void)device;
    door_free(block);
}
