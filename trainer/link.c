/* See link.h. */
#include "trainer/link.h"

#include "base/door.h"

#include <string.h>

int link_init(struct link *link, const struct config *config, size_t capacity, struct error *error)
{
    memset(link, 0, sizeof *link);
    if (config->link.bandwidth_gbps <= 0)
        return 0;
    link->on = true;
    link->half = config->link.duplex == DUPLEX_HALF;
    link->ns_per_byte = 8 / config->link.bandwidth_gbps;
    link->latency_ns = (int64_t)(config->link.latency_us * 1000);
    for (int way = 0; way < LINK_WAYS; way++) {
        void *held, *due;
        if (door_allocate(&held, capacity * sizeof(struct message), "the emulated link", error))
            return -1;
        link->queues[way].held = held;
        if (door_allocate(&due, capacity * sizeof(int64_t), "the emulated link", error))
            return -1;
        link->queues[way].due_ns = due;
        link->queues[way].capacity = capacity;
    }
    return 0;
}

void link_release(struct link *link)
{
    for (int way = 0; way < LINK_WAYS; way++) {
        door_free(link->queues[way].held);
        door_free(link->queues[way].due_ns);
    }
    memset(link, 0, sizeof *link);
}

struct transfer link_occupy(struct link *link, enum link_way way, const struct message *message)
{
    int64_t *free_ns = &link->free_ns[link->half ? LINK_IN : way];
    int64_t occupied = (int64_t)((double)message->bytes * link->ns_per_byte);
    int64_t begin = message->sent_ns > *free_ns ? message->sent_ns : *free_ns;
    *free_ns = begin + occupied;
    link->queues[way].occupied_ns += occupied;
    return (struct transfer){ begin, *free_ns, *free_ns + link->latency_ns };
}

struct transfer link_enter(struct link *link, enum link_way way, const struct message *message)
{
    struct link_queue *queue = &link->queues[way];
    struct transfer transfer = link_occupy(link, way, message);
    ASSERT(queue->n < queue->capacity);
    size_t last = (queue->first + queue->n++) % queue->capacity;
    queue->held[last] = *message;
    queue->due_ns[last] = transfer.due_ns;
    return transfer;
}

const struct message *link_first(const struct link *link, enum link_way way)
{
    const struct link_queue *queue = &link->queues[way];
    return queue->n ? &queue->held[queue->first] : NULL;
}

bool link_leave(struct link *link, enum link_way way, int64_t now_ns, struct message *message)
{
    struct link_queue *queue = &link->queues[way];
    if (!queue->n || queue->due_ns[queue->first] > now_ns)
        return false;
    *message = queue->held[queue->first];
    queue->first = (queue->first + 1) % queue->capacity;
    queue->n--;
    return true;
}

int64_t link_next_ns(const struct link *link)
{
    int64_t next = INT64_MAX;
    for (int way = 0; way < LINK_WAYS; way++) {
        const struct link_queue *queue = &link->queues[way];
        if (queue->n && queue->due_ns[queue->first] < next)
            next = queue->due_ns[queue->first];
    }
    return next;
}

int64_t link_occupied_ns(const struct link *link)
{
    int64_t in = link->queues[LINK_IN].occupied_ns, out = link->queues[LINK_OUT].occupied_ns;
    return link->half ? in + out : in > out ? in : out;
}
