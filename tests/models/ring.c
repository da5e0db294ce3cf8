/* Explores base/ring.h and base/gate.c as they stand: whole messages, once, in order, no race on a slot or on a tensor that a message
 * speaks of, no sleep that nobody ends. tests/models/run builds it on the true code and on mutants.
 *
 * Each program is two or three threads; an operation is one function here. Exit 1 when a program is wrong. */
#include "tests/models/explore.h"

#include <linux/futex.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#undef atomic_load_explicit
#undef atomic_store_explicit
#undef atomic_fetch_add_explicit
#undef atomic_fetch_or_explicit
#undef atomic_fetch_and_explicit
#define atomic_load_explicit(object, order) model_load(object, order)
#define atomic_store_explicit(object, value, order) model_store(object, value, order)
#define atomic_fetch_add_explicit(object, value, order) model_change(object, '+', value, order)
#define atomic_fetch_or_explicit(object, value, order) model_change(object, '|', value, order)
#define atomic_fetch_and_explicit(object, value, order) model_change(object, '&', value, order)
#define syscall futex_call
#define RING_COPY(to, from) copy_message(to, from)

struct message;
static void copy_message(struct message *to, const struct message *from);

static long futex_call(long number, volatile void *word, int operation, uint32_t value, const void *until, const void *unused, uint32_t bits)
{
    (void)number, (void)until, (void)unused, (void)bits;
    return operation == FUTEX_WAKE_PRIVATE ? model_futex_wake() : model_futex_wait(word, value);
}

#include "base/ring.h"
#include "base/gate.c"

/* What every thread has a copy of: the rings' private fields are its own, the atomics are the model's. */
struct world { struct ring ring[2]; struct gate gate; int64_t n, sent, taken[2]; };

enum { CAPACITY = 2, SLOTS = 2 * CAPACITY, TENSORS = SLOTS }; /* cells: the slots of both rings, then two tensors */
static struct message slots[2][CAPACITY];

static int slot_cell(const struct message *message)
{
    uintptr_t offset = (uintptr_t)message - (uintptr_t)slots;
    return offset < sizeof slots ? (int)(offset / sizeof *message) : -1;
}

static void copy_message(struct message *to, const struct message *from)
{
    if (slot_cell(to) >= 0)
        model_write_cell(slot_cell(to), from);
    else
        model_read_cell(slot_cell(from), to);
}

static struct message message_of(int64_t i)
{
    return (struct message){ .kind = 1, .worker = 7, .iteration = i, .version = ~i, .bucket = (uint32_t)i + 3, .spare = i << 8 };
}

static void check_message(const struct message *message, int64_t i)
{
    struct message want = message_of(i);
    model_check(message->iteration == i, "a message is lost, doubled or out of order");
    model_check(memcmp(message, &want, sizeof want) == 0, "a message is torn");
}

static void write_tensor(int number, int64_t value)
{
    int64_t tensor[MODEL_CELL_BYTES / 8] = { value };
    model_write_cell(TENSORS + number, tensor);
}

static void check_tensor(int number, int64_t value)
{
    int64_t tensor[MODEL_CELL_BYTES / 8];
    model_read_cell(TENSORS + number, tensor);
    model_check(tensor[0] == value, "a tensor is not what its message says");
}

/* ---- stream: messages through one ring, both sides polling ---- */

static bool send_next(void *context)
{
    struct world *w = context;
    struct message message = message_of(w->sent);
    if (ring_push(&w->ring[0], &message))
        w->sent++;
    return w->sent == w->n;
}

static bool take_from(struct world *w, int ring)
{
    struct message message;
    if (ring_pop(&w->ring[ring], &message))
        check_message(&message, w->taken[ring]++);
    return w->taken[ring] == w->n;
}

static bool take_next(void *context) { return take_from(context, 0); }

static bool look_then_take(void *context)
{
    struct world *w = context;
    int64_t before = w->taken[0];
    if (!ring_readable(&w->ring[0]))
        return false;
    bool done = take_from(w, 0);
    model_check(w->taken[0] == before + 1, "a readable ring gave nothing");
    return done;
}

/* ---- exchange: one tensor slot, written again once the answer to its message is in ---- */

static bool ask(void *context)
{
    struct world *w = context;
    struct message message;
    if (w->sent > w->taken[1]) {
        if (ring_pop(&w->ring[1], &message)) {
            check_message(&message, w->taken[1]);
            check_tensor(0, ~w->taken[1]++);
        }
        return w->taken[1] == w->n;
    }
    write_tensor(0, w->sent);
    message = message_of(w->sent++);
    model_check(ring_push(&w->ring[0], &message), "a ring with a free slot is full");
    return false;
}

static bool answer(void *context)
{
    struct world *w = context;
    struct message message;
    if (w->sent == w->taken[0]) {
        if (ring_pop(&w->ring[0], &message)) {
            check_message(&message, w->taken[0]);
            check_tensor(0, w->taken[0]++);
        }
        return false;
    }
    write_tensor(0, ~w->sent);
    message = message_of(w->sent++);
    model_check(ring_push(&w->ring[1], &message), "a ring with a free slot is full");
    return w->sent == w->n;
}

/* ---- relay: a tensor written by the first thread, announced by the second, read by the third ---- */

static bool relay_first(void *context)
{
    struct world *w = context;
    write_tensor((int)w->sent, w->sent);
    struct message message = message_of(w->sent++);
    model_check(ring_push(&w->ring[0], &message), "a ring with a free slot is full");
    return w->sent == w->n;
}

static bool relay_second(void *context)
{
    struct world *w = context;
    struct message message;
    if (!ring_pop(&w->ring[0], &message))
        return false;
    model_check(ring_push(&w->ring[1], &message), "a ring with a free slot is full");
    return ++w->taken[0] == w->n;
}

static bool relay_third(void *context)
{
    struct world *w = context;
    struct message message;
    if (!ring_pop(&w->ring[1], &message))
        return false;
    check_message(&message, w->taken[1]);
    check_tensor((int)w->taken[1], w->taken[1]);
    return ++w->taken[1] == w->n;
}

/* ---- gates: sleeping until a ring is readable ---- */

static bool send_and_open(struct world *w, int ring, int64_t i)
{
    struct message message = message_of(i);
    model_check(ring_push(&w->ring[ring], &message), "a ring with a free slot is full");
    gate_open(&w->gate);
    return ++w->sent == w->n;
}

static bool open_first(void *context) { return send_and_open(context, 0, ((struct world *)context)->sent); }
static bool open_second(void *context) { return send_and_open(context, 1, ((struct world *)context)->sent); }

static bool open_both(void *context)
{
    struct world *w = context;
    send_and_open(w, (int)(w->sent % 2), w->sent / 2);
    return w->sent == 2 * w->n;
}

static bool wait_and_take(struct world *w, int first, int last)
{
    uint32_t key = gate_arm(&w->gate);
    bool ready = false;
    for (int ring = first; ring <= last; ring++)
        ready = ready || ring_readable(&w->ring[ring]);
    if (!ready)
        gate_sleep(&w->gate, key, INT64_MAX);
    bool done = true;
    for (int ring = first; ring <= last; ring++)
        done = take_from(w, ring) && done;
    return done;
}

static bool wait_first(void *context) { return wait_and_take(context, 0, 0); }
static bool wait_second(void *context) { return wait_and_take(context, 1, 1); }

static bool wait_either(void *context)
{
    struct world *w = context;
    bool left[2] = { w->taken[0] < w->n, w->taken[1] < w->n };
    return wait_and_take(w, left[0] ? 0 : 1, left[1] ? 1 : 0);
}

/* ---- the table ---- */

static const struct {
    const char *name;
    uint32_t capacity, start;
    int n, n_threads;
    bool (*operation[MODEL_THREADS])(void *local);
} cases[] = {
    { "stream, 1 slot, 4 messages", 1, 0, 4, 2, { send_next, take_next } },
    { "stream, 2 slots, 4 messages", 2, 0, 4, 2, { send_next, take_next } },
    { "stream, 2 slots, 9 messages, across the wrap", 2, UINT32_MAX - 3, 9, 2, { send_next, take_next } },
    { "stream, 2 slots, 6 messages, readable first", 2, UINT32_MAX, 6, 2, { send_next, look_then_take } },
    { "exchange of one tensor, 4 times", 1, 0, 4, 2, { ask, answer } },
    { "relay over 3 threads, 2 tensors", 2, 0, 2, 3, { relay_first, relay_second, relay_third } },
    { "gate, 1 opener, 1 waiter, 2 messages", 2, 0, 2, 2, { open_first, wait_first } },
    { "gate, 2 openers, 1 waiter, 1 message each", 1, 0, 1, 3, { open_first, open_second, wait_either } },
    { "gate, 1 opener, 2 waiters, 1 message each", 1, 0, 1, 3, { open_both, wait_first, wait_second } },
};

static bool explore_case(size_t c)
{
    static struct world first;
    memset(&first, 0, sizeof first);
    first.n = cases[c].n;
    for (int r = 0; r < 2; r++) {
        first.ring[r].slots = slots[r];
        first.ring[r].mask = cases[c].capacity - 1;
        first.ring[r].head_seen = first.ring[r].tail_seen = cases[c].start;
        memcpy(&first.ring[r].head, &cases[c].start, sizeof cases[c].start);
        memcpy(&first.ring[r].tail, &cases[c].start, sizeof cases[c].start);
    }
    struct model_program program = {
        .n_threads = cases[c].n_threads, .initial = &first, .bytes = sizeof first, .n_atomics = 5,
        .atomics = { { offsetof(struct world, ring[0].tail), "tail 0" }, { offsetof(struct world, ring[0].head), "head 0" },
                     { offsetof(struct world, ring[1].tail), "tail 1" }, { offsetof(struct world, ring[1].head), "head 1" },
                     { offsetof(struct world, gate.word), "gate" } },
        .operation = { cases[c].operation[0], cases[c].operation[1], cases[c].operation[2] },
    };
    struct model_result result;
    model_explore(&program, &result);
    printf("%-46s %8lld states %9lld steps  %s\n", cases[c].name, (long long)result.states, (long long)result.steps, result.fault[0] ? result.fault : "right");
    return !result.fault[0];
}

int main(void)
{
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++)
        if (!explore_case(c))
            return 1;
    return 0;
}
