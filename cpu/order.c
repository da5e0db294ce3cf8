/* Order on the CPU: every call has run when it returns, so there is nothing to wait for. See device.h. */
#include "cpu/device.h"

#include "base/door.h"

#include <string.h>

struct event { char none; };

static struct event always; /* every event of every device: it is done */

int cpu_device_second(struct device **device, struct device *of, int urgency, struct error *error)
{
    (void)urgency;
    return cpu_device_open(device, of->processor, error);
}

int cpu_allocate_host(void **block, size_t bytes, const char *what, struct error *error) { return door_allocate(block, bytes, what, error); }
void cpu_release_host(void *block) { door_free(block); }

bool cpu_same(const struct device *a, const struct device *b)
{
    (void)a, (void)b;
    return true;
}

void cpu_upload(struct device *device, void *to, const void *from, size_t bytes)
{
    (void)device;
    memcpy(to, from, bytes);
}

void cpu_copy(struct device *device, float *to, const float *from, size_t n)
{
    (void)device;
    memcpy(to, from, n * sizeof *to);
}

int cpu_event_open(struct event **event, struct device *device, struct error *error)
{
    (void)device, (void)error;
    *event = &always;
    return 0;
}

void cpu_event_close(struct event *event) { (void)event; }
void cpu_record(struct device *device, struct event *event) { (void)device, (void)event; }

bool cpu_done(struct event *event)
{
    (void)event;
    return true;
}

int cpu_finish(struct event *event, struct error *error)
{
    (void)event, (void)error;
    return 0;
}

int cpu_sync(struct device *device, struct error *error)
{
    (void)device, (void)error;
    return 0;
}

void cpu_begin(struct device *device, const struct step *step) { (void)device, (void)step; }
