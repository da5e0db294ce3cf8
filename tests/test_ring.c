/* base/ring.h and base/gate.h: a ring against a counting model, across the wrap of its indices, between threads, and behind a gate. */
#include "base/door.h"
#include "base/error.h"
#include "base/gate.h"
#include "base/philox.h"
#include "base/ring.h"
#include "base/thread.h"
#include "tests/tests.h"

#include <sched.h>
#include <string.h>

/* Every field follows from (producer, i), so a torn or repeated message shows. */
static struct message expected(uint32_t producer, int64_t i)
{
    uint64_t u = (uint64_t)i;
    return (struct message){ .kind = (uint8_t)u, .encoding = (uint8_t)(u >> 3), .worker = (uint16_t)producer, .epoch = (uint32_t)u * 3,
        .iteration = i, .version = ~i, .bucket = (uint32_t)u ^ 0x5a5a, .slot = producer + (uint32_t)u, .bytes = u * u, .sent_ns = -i, .value = i << 20, .spare = i * 7 };
}

static bool is_expected(const struct message *message, uint32_t producer, int64_t i)
{
    struct message want = expected(producer, i);
    return memcmp(message, &want, sizeof want) == 0;
}

static void make_ring(struct ring *ring, uint32_t capacity, uint32_t start)
{
    struct error error = { 0 };
    assert_int_equal(ring_init(ring, capacity, &error), 0);
    atomic_store(&ring->tail, start);
    atomic_store(&ring->head, start);
    ring->head_seen = ring->tail_seen = start;
}

/* ---- one thread ---- */

/* Random pushes and pops; the model is two counters. */
static void follow_model(uint32_t capacity, uint32_t start)
{
    struct ring ring;
    make_ring(&ring, capacity, start);
    int64_t pushed = 0, popped = 0, full = 0, empty = 0;
    for (uint64_t step = 0; step < 4000; step++) {
        uint32_t word = philox(capacity, start, step).word[0];
        bool push = (word & 255) < (step / 500 % 2 ? 160u : 96u); /* filling and draining in turn */
        struct message message = expected(1, pushed);
        if (push) {
            bool want = pushed - popped < capacity;
            assert_int_equal(ring_push(&ring, &message), want);
            want ? pushed++ : full++;
            continue;
        }
        bool want = pushed > popped;
        if (word & 256)
            assert_int_equal(ring_readable(&ring), want);
        assert_int_equal(ring_pop(&ring, &message), want);
        if (want)
            assert_true(is_expected(&message, 1, popped));
        want ? popped++ : empty++;
    }
    assert_true(full && empty && popped > 500);
    ring_release(&ring);
    assert_null(ring.slots);
}

static void ring_follows_its_model(void **state)
{
    (void)state;
    static const uint32_t capacities[] = { 1, 2, 8, 64 }, starts[] = { 0, UINT32_MAX, UINT32_MAX - 70, (uint32_t)INT32_MAX - 5 };
    for (size_t c = 0; c < sizeof capacities / sizeof *capacities; c++)
        for (size_t s = 0; s < sizeof starts / sizeof *starts; s++)
            follow_model(capacities[c], starts[s]);
}

static void failed_calls_change_nothing(void **state)
{
    (void)state;
    struct ring ring;
    make_ring(&ring, 2, UINT32_MAX);
    struct message message = expected(2, 99), kept = message;
    assert_false(ring_readable(&ring));
    assert_false(ring_pop(&ring, &message));
    assert_memory_equal(&message, &kept, sizeof kept);
    for (int64_t i = 0; i < 2; i++) {
        struct message sent = expected(2, i);
        assert_true(ring_push(&ring, &sent));
    }
    assert_false(ring_push(&ring, &message));
    for (int64_t i = 0; i < 2; i++) {
        assert_true(ring_pop(&ring, &message));
        assert_true(is_expected(&message, 2, i));
    }
    assert_false(ring_pop(&ring, &message));
    ring_release(&ring);
}

static void no_memory_for_a_ring_is_told(void **state)
{
    (void)state;
    struct ring ring;
    struct error error = { 0 };
    door_fail_at(DOOR_ALLOCATE, 1, 12, false);
    assert_int_equal(ring_init(&ring, 64, &error), -1);
    assert_int_equal(error.code, EXIT_MEMORY);
    assert_string_equal(error.text, "out of memory: a message ring wants 4096 bytes");
}

/* ---- threads ---- */

/* One producer: sends n messages through its ring, opening the gate (when there is one) after each, resting now and then so that the
 * consumer falls asleep. */
struct producer { struct ring ring; struct gate *gate; uint32_t number; int64_t n; uint32_t rest_mask; pthread_t thread; };

static void *produce(void *context)
{
    struct producer *p = context;
    for (int64_t i = 0; i < p->n; i++) {
        struct message message = expected(p->number, i);
        while (!ring_push(&p->ring, &message))
            sched_yield();
        if (p->gate)
            gate_open(p->gate);
        if (p->gate && (philox(p->number, 0, (uint64_t)i).word[0] & p->rest_mask) == 0)
            door_sleep_until_ns(door_now_ns() + 200000);
    }
    return NULL;
}

static void start(struct producer *p, uint32_t capacity, uint32_t index)
{
    struct error error = { 0 };
    make_ring(&p->ring, capacity, index);
    assert_int_equal(thread_start(&p->thread, "producer", produce, p, &error), 0);
}

static void messages_cross_threads_in_order(void **state)
{
    (void)state;
    static const uint32_t capacities[] = { 1, 2, 64 };
    for (size_t c = 0; c < sizeof capacities / sizeof *capacities; c++) {
        struct producer producer = { .number = 3, .n = capacities[c] == 64 ? 200000 : 20000 };
        start(&producer, capacities[c], UINT32_MAX - 1000);
        int64_t bad = 0;
        for (int64_t i = 0; i < producer.n; i++) {
            struct message message;
            while (!ring_pop(&producer.ring, &message))
                sched_yield();
            bad += !is_expected(&message, 3, i);
        }
        thread_join(producer.thread);
        assert_int_equal(bad, 0);
        assert_false(ring_readable(&producer.ring));
        ring_release(&producer.ring);
    }
}

/* A tensor that the message only names: its bytes must be there when the message is, and its slot is free again once the answer is. */
struct exchange { struct ring there, back; int64_t tensor[2][32]; int64_t n; };

static void *exchange_answer(void *context)
{
    struct exchange *x = context;
    int64_t bad = 0;
    for (int64_t i = 0; i < x->n; i++) {
        struct message message;
        while (!ring_pop(&x->there, &message))
            sched_yield();
        for (int e = 0; e < 32; e++) {
            bad += x->tensor[message.slot][e] != i;
            x->tensor[message.slot][e] = ~i;
        }
        message.value = bad;
        while (!ring_push(&x->back, &message))
            sched_yield();
    }
    return NULL;
}

static void tensors_travel_with_their_messages(void **state)
{
    (void)state;
    struct exchange x = { .n = 5000 };
    struct error error = { 0 };
    pthread_t thread;
    int64_t bad = 0;
    make_ring(&x.there, 2, 0);
    make_ring(&x.back, 2, 0);
    assert_int_equal(thread_start(&thread, "answer", exchange_answer, &x, &error), 0);
    for (int64_t i = 0; i < x.n + 2; i++) {
        struct message message = { .slot = (uint32_t)i % 2 };
        if (i >= 2) {
            while (!ring_pop(&x.back, &message))
                sched_yield();
            for (int e = 0; e < 32; e++)
                bad += x.tensor[message.slot][e] != ~(i - 2);
            bad += message.value;
        }
        for (int e = 0; e < 32 && i < x.n; e++)
            x.tensor[message.slot][e] = i;
        if (i < x.n)
            bad += !ring_push(&x.there, &message);
    }
    thread_join(thread);
    ring_release(&x.there);
    ring_release(&x.back);
    assert_int_equal(bad, 0);
}

/* ---- gates ---- */

enum { PRODUCERS = 3 };
static const int64_t patience_ns = 10000000000; /* what a lost wake would cost; a slow machine must not reach it */

/* A sleeper whose wake was lost still sees its condition when the deadline wakes it: only the time tells. */
static bool woken_in_time(struct gate *gate, bool (*ready)(void *context), void *context)
{
    int64_t deadline = door_now_ns() + patience_ns;
    return gate_wait(gate, ready, context, deadline) && door_now_ns() < deadline;
}

struct many { struct producer producer[PRODUCERS]; struct gate gate; };

static bool any_readable(void *context)
{
    struct many *many = context;
    for (int p = 0; p < PRODUCERS; p++)
        if (ring_readable(&many->producer[p].ring))
            return true;
    return false;
}

/* Takes what is there; returns how many were not the next expected ones. */
static int64_t drain(struct many *many, int64_t seen[PRODUCERS], int64_t *total)
{
    int64_t bad = 0;
    struct message message;
    for (int p = 0; p < PRODUCERS; p++)
        for (; ring_pop(&many->producer[p].ring, &message); ++*total)
            bad += !is_expected(&message, (uint32_t)p, seen[p]++);
    return bad;
}

/* The consumer waits behind one gate for rings of several producers, whose pauses put it to sleep again and again. */
static void no_wake_is_lost(void **state)
{
    (void)state;
    struct many many = { 0 };
    int64_t seen[PRODUCERS] = { 0 }, total = 0, bad = 0, want = PRODUCERS * 3000;
    for (int p = 0; p < PRODUCERS; p++) {
        many.producer[p] = (struct producer){ .gate = &many.gate, .number = (uint32_t)p, .n = 3000, .rest_mask = 7 };
        start(&many.producer[p], 4, UINT32_MAX);
    }
    while (total < want && woken_in_time(&many.gate, any_readable, &many))
        bad += drain(&many, seen, &total);
    int64_t in_time = total;
    while (total < want)
        bad += drain(&many, seen, &total); /* lets the producers end */
    for (int p = 0; p < PRODUCERS; p++) {
        thread_join(many.producer[p].thread);
        ring_release(&many.producer[p].ring);
    }
    assert_int_equal(in_time, want);
    assert_int_equal(bad, 0);
}

/* A ball goes to and fro over two gates without deadlines: each side sleeps until the other has played. */
struct court { struct gate gate[2]; _Atomic int64_t ball; int64_t n; };
struct player { struct court *court; int side; };

static bool my_turn(void *context)
{
    struct player *player = context;
    return atomic_load_explicit(&player->court->ball, memory_order_acquire) % 2 == player->side;
}

static void *play(void *context)
{
    struct player *player = context;
    struct court *court = player->court;
    for (int64_t i = 0; i < court->n; i++) {
        if (!woken_in_time(&court->gate[player->side], my_turn, player))
            return context;
        atomic_fetch_add_explicit(&court->ball, 1, memory_order_release);
        gate_open(&court->gate[!player->side]);
    }
    return NULL;
}

static void two_sleepers_wake_each_other(void **state)
{
    (void)state;
    struct court court = { .n = 5000 };
    struct player near = { &court, 0 }, far = { &court, 1 };
    struct error error = { 0 };
    pthread_t thread;
    assert_int_equal(thread_start(&thread, "far", play, &far, &error), 0);
    void *failed = play(&near);
    thread_join(thread);
    assert_null(failed);
    assert_true(court.ball == 2 * court.n);
}

/* All that wait are woken by one opening. */
struct crowd { struct gate gate; _Atomic int go, waiting, released; };

static bool may_go(void *context) { return atomic_load_explicit(&((struct crowd *)context)->go, memory_order_acquire); }

static void *wait_in_crowd(void *context)
{
    struct crowd *crowd = context;
    atomic_fetch_add(&crowd->waiting, 1);
    if (woken_in_time(&crowd->gate, may_go, crowd))
        atomic_fetch_add(&crowd->released, 1);
    return NULL;
}

static void one_opening_wakes_all(void **state)
{
    (void)state;
    struct crowd crowd = { 0 };
    struct error error = { 0 };
    pthread_t thread[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(thread_start(&thread[i], "waiter", wait_in_crowd, &crowd, &error), 0);
    while (atomic_load(&crowd.waiting) < 4)
        sched_yield();
    door_sleep_until_ns(door_now_ns() + 20000000);
    assert_int_equal(atomic_load(&crowd.released), 0);
    atomic_store_explicit(&crowd.go, 1, memory_order_release);
    gate_open(&crowd.gate);
    for (int i = 0; i < 4; i++)
        thread_join(thread[i]);
    assert_int_equal(atomic_load(&crowd.released), 4);
}

static bool never(void *context) { (void)context; return false; }
static bool always(void *context) { (void)context; return true; }

static void waiting_ends_at_the_deadline(void **state)
{
    (void)state;
    struct gate gate = { 0 };
    int64_t begin = door_now_ns();
    assert_false(gate_wait(&gate, never, NULL, begin + 30000000));
    int64_t waited = door_now_ns() - begin;
    assert_true(waited >= 30000000 && waited < 5000000000);
    assert_false(gate_wait(&gate, never, NULL, begin));
    assert_false(gate_wait(&gate, never, NULL, 0));
    assert_true(gate_wait(&gate, always, NULL, begin));
}

/* What the protocol rests on: an opening between arming and sleeping is noticed at once. */
static void sleep_after_an_opening_returns_at_once(void **state)
{
    (void)state;
    struct gate gate = { 0 };
    int64_t begin = door_now_ns();
    uint32_t key = gate_arm(&gate);
    gate_open(&gate);
    gate_sleep(&gate, key, begin + patience_ns);
    assert_true(door_now_ns() - begin < patience_ns / 2);
}

int test_ring(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(ring_follows_its_model),
        cmocka_unit_test(failed_calls_change_nothing),
        cmocka_unit_test(no_memory_for_a_ring_is_told),
        cmocka_unit_test(messages_cross_threads_in_order),
        cmocka_unit_test(tensors_travel_with_their_messages),
        cmocka_unit_test(no_wake_is_lost),
        cmocka_unit_test(two_sleepers_wake_each_other),
        cmocka_unit_test(one_opening_wakes_all),
        cmocka_unit_test(waiting_ends_at_the_deadline),
        cmocka_unit_test(sleep_after_an_opening_returns_at_once),
    };
    return cmocka_run_group_tests_name("ring", tests, NULL, NULL);
}
