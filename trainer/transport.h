/* How messages travel between workers, server and main: one ring for each directed pair that was asked for, one gate for each end.
 *
 * The table has one implementation, inside the process; between processes or nodes another one stands behind the same calls, which is
 * why messages hold slot numbers and no pointers. */
#ifndef TRAINER_TRANSPORT_H
#define TRAINER_TRANSPORT_H

#include "base/ring.h"

struct error;
struct transport;

struct transport_calls {
    /* A message from one end to another. False when the ring between them is full. The sender's thread only. */
    bool (*send)(struct transport *transport, int from, int to, const struct message *message);
    /* The same, but the receiver is not woken: it reads the message when it looks next. `wake` has to follow the last
     * of several messages, because a sleeper that is woken for each of them spends its time on waking up. */
    bool (*post)(struct transport *transport, int from, int to, const struct message *message);
    /* The next message for `at` from anyone, taking turns. False when there is none. The thread of `at` only. */
    bool (*receive)(struct transport *transport, int at, struct message *message);
    /* Sleeps until there may be something to receive at `at`, `wake` was called for it, or the deadline (monotonic) has passed. */
    void (*wait)(struct transport *transport, int at, int64_t deadline_ns);
    /* Any thread. */
    void (*wake)(struct transport *transport, int at);
    void (*close)(struct transport *transport);
};

struct transport {
    const struct transport_calls *calls;
    void *state;
    int ends;
};

/* Messages inside one process. Ends are numbered 0..ends-1. */
int transport_open_local(struct transport *transport, int ends, struct error *error);

/* Before the threads start: a ring of at least `messages` from one end to another. */
int transport_connect_local(struct transport *transport, int from, int to, size_t messages, struct error *error);

static inline void transport_close(struct transport *transport)
{
    if (transport->calls)
        transport->calls->close(transport);
    transport->calls = NULL;
}

#endif
