/* An emulated interconnect at the server (docs/algorithms.md section 8): messages are held back until their payload would have crossed it.
 *
 * A transfer of n bytes occupies the link for n/bandwidth, one after another in a queue each way (or one for both), and arrives `latency` after
 * that. The server's thread only. */
#ifndef TRAINER_LINK_H
#define TRAINER_LINK_H

#include "trainer/config.h"
#include "base/ring.h"

enum link_way { LINK_IN, LINK_OUT, LINK_WAYS };

struct link_queue {
    struct message *held; /* capacity of them, first due first */
    int64_t *due_ns;
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

/* When a transfer occupies the link. */
struct transfer { int64_t begin_ns, end_ns, due_ns; };

/* Occupies the link with a message that is ready to leave at message->sent_ns. due_ns: when it arrives. */
struct transfer link_occupy(struct link *link, enum link_way way, const struct message *message);

/* The same, and holds it until then. */
struct transfer link_enter(struct link *link, enum link_way way, const struct message *message);

/* The message that arrives next; NULL when none is under way. */
const struct message *link_first(const struct link *link, enum link_way way);

/* Takes it, when it has arrived by now_ns. False otherwise. */
bool link_leave(struct link *link, enum link_way way, int64_t now_ns, struct message *message);

/* Messages under way. */
static inline size_t link_pending(const struct link *link, enum link_way way) { return link->queues[way].n; }

/* When the next one arrives; INT64_MAX when nothing is under way. */
int64_t link_next_ns(const struct link *link);

/* T_x's numerator: the time that the busier queue was occupied. */
int64_t link_occupied_ns(const struct link *link);

#endif
