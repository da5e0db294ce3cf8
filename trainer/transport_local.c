/* The transport inside one process: rings (base/ring.h) and gates (base/gate.h). */
#include "trainer/transport.h"

#include "base/door.h"
#include "base/error.h"
#include "base/gate.h"

struct end {
    alignas(64) struct gate gate;
    int turn; /* the sender to look at first; the receiver's own */
};

struct local {
    struct ring *rings; /* [from * ends + to]; slots NULL where nobody asked */
    struct end *ends;
};

static bool local_post(struct transport *transport, int from, int to, const struct message *message)
{
    struct local *local = transport->state;
    return ring_push(&local->rings[from * transport->ends + to], message);
}

static bool local_send(struct transport *transport, int from, int to, const struct message *message)
{
    struct local *local = transport->state;
    if (!local_post(transport, from, to, message))
        return false;
    gate_open(&local->ends[to].gate);
    return true;
}

static bool local_receive(struct transport *transport, int at, struct message *message)
{
    struct local *local = transport->state;
    struct end *end = &local->ends[at];
    for (int i = 0; i < transport->ends; i++) {
        int from = end->turn + i < transport->ends ? end->turn + i : end->turn + i - transport->ends;
        struct ring *ring = &local->rings[from * transport->ends + at];
        if (ring->slots && ring_pop(ring, message)) {
            end->turn = from + 1 < transport->ends ? from + 1 : 0;
            return true;
        }
    }
    return false;
}

static bool anything_readable(struct transport *transport, int at)
{
    struct local *local = transport->state;
    for (int from = 0; from < transport->ends; from++) {
        struct ring *ring = &local->rings[from * transport->ends + at];
        if (ring->slots && ring_readable(ring))
            return true;
    }
    return false;
}

static void local_wait(struct transport *transport, int at, int64_t deadline_ns)
{
    struct local *local = transport->state;
    enum { SPINS = 32 };
    for (int spin = 0; spin < SPINS; spin++)
        if (anything_readable(transport, at))
            return;
    uint32_t key = gate_arm(&local->ends[at].gate);
    if (!anything_readable(transport, at))
        gate_sleep(&local->ends[at].gate, key, deadline_ns);
}

static void local_wake(struct transport *transport, int at)
{
    struct local *local = transport->state;
    gate_open(&local->ends[at].gate);
}

static void local_close(struct transport *transport)
{
    struct local *local = transport->state;
    for (int i = 0; local->rings && i < transport->ends * transport->ends; i++)
        ring_release(&local->rings[i]);
    door_free(local->rings);
    door_free(local->ends);
    door_free(local);
    transport->state = NULL;
}

static const struct transport_calls local_calls = {
    local_send, local_post, local_receive, local_wait, local_wake, local_close,
};

int transport_open_local(struct transport *transport, int ends, struct error *error)
{
    void *state, *rings, *end_rows;
    if (door_allocate(&state, sizeof(struct local), "the transport", error))
        return -1;
    struct local *local = state;
    *transport = (struct transport){ .calls = &local_calls, .state = local, .ends = ends };
    if (door_allocate(&rings, (size_t)(ends * ends) * sizeof *local->rings, "the transport's rings", error))
        return -1;
    local->rings = rings;
    if (door_allocate(&end_rows, (size_t)ends * sizeof *local->ends, "the transport's gates", error))
        return -1;
    local->ends = end_rows;
    return 0;
}

int transport_connect_local(struct transport *transport, int from, int to, size_t messages, struct error *error)
{
    struct local *local = transport->state;
    uint32_t capacity = 16;
    while (capacity < messages && capacity < 1u << 20)
        capacity *= 2;
    return ring_init(&local->rings[from * transport->ends + to], capacity, error);
}
