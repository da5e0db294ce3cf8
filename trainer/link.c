/* See link.h. */
#include "trainer/link.h"

#include "base/door.h"
#include "trainer/server.h"

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
        void *held;
        if (door_allocate(&held, capacity * sizeof(struct crossing), "the emulated link", error))
            return -1;
        link->queues[way].held = held;
        link->queues[way].capacity = capacity;
    }
    return 0;
}

void link_release(struct link *link)
{
    for (int way = 0; way < LINK_WAYS; way++)
        door_free(link->queues[way].held);
    memset(link, 0, sizeof *link);
}

static struct crossing *at(struct link_queue *queue, size_t i)
{
    return &queue->held[(queue->first + i) % queue->capacity];
}

static int64_t occupied_by(const struct link *link, const struct message *message)
{
    return (int64_t)((double)message->bytes * link->ns_per_byte);
}

static struct transfer transfer_after(const struct link *link, const struct message *message, int64_t free_ns)
{
    int64_t begin = message->sent_ns > free_ns ? message->sent_ns : free_ns, end = begin + occupied_by(link, message);
    return (struct transfer){ begin, end, end + link->latency_ns };
}

struct transfer link_occupy(struct link *link, enum link_way way, const struct message *message)
{
    int64_t *free_ns = &link->free_ns[link->half ? LINK_IN : way];
    struct transfer transfer = transfer_after(link, message, *free_ns);
    *free_ns = transfer.end_ns;
    link->queues[way].occupied_ns += occupied_by(link, message);
    return transfer;
}

/* The place of a message among those that are waiting: behind the messages whose turns are not later. The turn of a
 * message is the number of its worker's messages before it, from the one on that crosses when the new one is sent. */
static size_t place_of(struct link_queue *queue, const struct message *message)
{
    size_t turns[WORKERS_MAX] = { 0 }, place = 0, mine = 0;
    ASSERT(message->worker < WORKERS_MAX);
    while (place < queue->n && at(queue, place)->transfer.end_ns <= message->sent_ns)
        place++;
    for (size_t i = place; i < queue->n; i++)
        mine += at(queue, i)->message.worker == message->worker;
    for (; place < queue->n; place++)
        if (turns[at(queue, place)->message.worker]++ > mine)
            break;
    return place;
}

void link_enter(struct link *link, enum link_way way, const struct message *message)
{
    struct link_queue *queue = &link->queues[way];
    ASSERT(queue->n < queue->capacity);
    size_t place = link->half ? queue->n : place_of(queue, message), last = queue->n++;
    for (size_t i = last; i > place; i--)
        *at(queue, i) = *at(queue, i - 1);
    at(queue, place)->message = *message;
    if (place == last) {
        at(queue, place)->transfer = link_occupy(link, way, message);
        return;
    }
    /* it is not the first: what crosses when it is sent stays before it */
    for (size_t i = place; i <= last; i++)
        at(queue, i)->transfer = transfer_after(link, &at(queue, i)->message, at(queue, i - 1)->transfer.end_ns);
    link->free_ns[way] = at(queue, last)->transfer.end_ns;
    queue->occupied_ns += occupied_by(link, message);
}

bool link_leave(struct link *link, enum link_way way, int64_t now_ns, struct crossing *crossing)
{
    struct link_queue *queue = &link->queues[way];
    if (!queue->n || at(queue, 0)->transfer.due_ns > now_ns)
        return false;
    *crossing = *at(queue, 0);
    queue->first = (queue->first + 1) % queue->capacity;
    queue->n--;
    return true;
}

int64_t link_occupied_ns(const struct link *link)
{
    int64_t in = link->queues[LINK_IN].occupied_ns, out = link->queues[LINK_OUT].occupied_ns;
    return link->half ? in + out : in > out ? in : out;
}
