/* See ring.h. */
#include "base/ring.h"

#include "base/door.h"
#include "base/error.h"

#include <string.h>

int ring_init(struct ring *ring, uint32_t capacity, struct error *error)
{
    ASSERT(capacity && capacity <= 1u << 20 && (capacity & (capacity - 1)) == 0);
    memset(ring, 0, sizeof *ring);
    void *slots;
    if (door_allocate(&slots, capacity * sizeof(struct message), "a message ring", error))
        return -1;
    ring->slots = slots;
    ring->mask = capacity - 1;
    return 0;
}

void ring_release(struct ring *ring)
{
    door_free(ring->slots);
    memset(ring, 0, sizeof *ring);
}
