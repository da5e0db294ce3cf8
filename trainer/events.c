/* See events.h. */
#include "trainer/events.h"

#include "base/door.h"

int events_open(struct event ***events, const struct backend *backend, struct device *device, int n, struct error *error)
{
    void *row;
    *events = NULL;
    if (door_allocate(&row, (size_t)n * sizeof **events, "events of buckets", error))
        return -1;
    *events = row;
    for (int i = 0; i < n; i++)
        if (backend->event_open(&(*events)[i], device, error))
            return -1;
    return 0;
}

void events_close(struct event **events, const struct backend *backend, int n)
{
    for (int i = 0; events && i < n; i++)
        backend->event_close(events[i]);
    door_free(events);
}
