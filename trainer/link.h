/* An emulated interconnect at the server (docs/algorithms.md section 8): messages are held back until their payload would have crossed it.
 *
 * A transfer of n bytes occupies the link for n/bandwidth, one after another in a queue each way (or one for both), and
 * arrives `latency` after that. In a queue of their own the workers that have transfers waiting take turns, as a
 * switch lets its ports; a queue for both ways keeps the order in which transfers are sent.
 *
 * The server's thread only. */
#ifndef TRAINER_LINK_H
#define TRAINER_LINK_H

#include "trainer/config.h"
#include "base/ring.h"

enum link_way { LINK_IN, LINK_OUT, LINK_WAYS };

/* When a transfer occupies the link. */
struct transfer { int64_t begin_ns, end_ns, due_ns; };

/* That of a message that is held until it is due. */
struct crossing { struct message message; struct transfer transfer; };

struct link_queue {
    struct crossing *held; /* capacity of them, in a circle, first due first */
    size_t capacity, first, n;
    int64_t occupied_ns; /* in all */
};

struct link {
    bool on, half;
    double ns_per_byte;
    int64_t latency_ns;
    int64_t free_ns[LINK_WAYS]; /* when the last transfer leaves it; half duplex uses the first alone */
    struct link_queue queues[LINK_WAYS];
};

/* capacity: messages that can be under way in one direction. EXIT_MEMORY. */
int link_init(struct link *link, const struct config *config, size_t capacity, struct error *error);
void link_release(struct link *link);

/* Occupies the link with a message that is ready to leave at message->sent_ns. due_ns: when it arrives. */
struct transfer link_occupy(struct link *link, enum link_way way, const struct message *message);

/* The message is held until it arrives. Where workers take turns, later ones may move it back. */
void link_enter(struct link *link, enum link_way way, const struct message *message);

/* Number i of the messages under way, the first to arrive being 0; until the next call. */
static inline const struct crossing *link_held(const struct link *link, enum link_way way, size_t i)
{
    const struct link_queue *queue = &link->queues[way];
    return &queue->held[(queue->first + i) % queue->capacity];
}

/* Takes the next one, when it has arrived by now_ns. False otherwise. */
bool link_leave(struct link *link, enum link_way way, int64_t now_ns, struct crossing *crossing);

/* Messages under way. */
static inline size_t link_pending(const struct link *link, enum link_way way) { return link->queues[way].n; }

/* T_x's numerator: the time that the busier queue was occupied. */
int64_t link_occupied_ns(const struct link *link);

#endif
