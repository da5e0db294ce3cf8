/* The ring against Concurrency Kit's ck_ring (single producer, single consumer, the same 64-byte message by value), in turn, medians.
 *
 * Throughput: one thread pushes, one pops, a call per message. Round trip: a message to and fro over two rings. One thread: a push and a
 * pop. Order and content are checked in every run. Both threads poll, each on a processor of its own. Without libck-dev only ours is timed. */
#include "base/door.h"
#include "base/error.h"
#include "base/ring.h"
#include "base/thread.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if __has_include(<ck_ring.h>)
#define HAVE_CK 1
#include <ck_ring.h>
CK_RING_PROTOTYPE(message, message)
#endif

enum kind { OURS, CK, KINDS };
enum { CAPACITY = 1024, ROUNDS = 11, N_THROUGH = 2000000, N_TRIPS = 200000, N_ALONE = 5000000 };

/* One ring of either kind. */
struct lane {
    struct ring ours;
#ifdef HAVE_CK
    alignas(64) struct ck_ring ck;
    struct message *ck_slots;
#endif
};

struct bench { struct lane there, back; int64_t wrong; int processor[2]; };

/* `kind` is a constant in every caller, so that both are compiled in place. */
__attribute__((always_inline)) static inline bool push(enum kind kind, struct lane *lane, struct message *message)
{
#ifdef HAVE_CK
    if (kind == CK)
        return ck_ring_enqueue_spsc_message(&lane->ck, lane->ck_slots, message);
#endif
    (void)kind;
    return ring_push(&lane->ours, message);
}

__attribute__((always_inline)) static inline bool pop(enum kind kind, struct lane *lane, struct message *message)
{
#ifdef HAVE_CK
    if (kind == CK)
        return ck_ring_dequeue_spsc_message(&lane->ck, lane->ck_slots, message);
#endif
    (void)kind;
    return ring_pop(&lane->ours, message);
}

/* Polls; gives the processor away now and then, in case the other side waits for this one. */
static void poll_again(unsigned *polls)
{
    if (++*polls % 4096 == 0)
        sched_yield();
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

/* Makes the compiler move all 64 bytes, not only the fields that are looked at here. */
static inline void whole(struct message *message) { __asm__ volatile("" : : "r"(message) : "memory"); }

__attribute__((always_inline)) static inline void send(enum kind kind, struct lane *lane, int64_t i)
{
    struct message message = { .iteration = i, .value = ~i };
    whole(&message);
    for (unsigned polls = 0; !push(kind, lane, &message);)
        poll_again(&polls);
}

/* 1 when the message is not the i-th. */
__attribute__((always_inline)) static inline int64_t take(enum kind kind, struct lane *lane, int64_t i)
{
    struct message message;
    for (unsigned polls = 0; !pop(kind, lane, &message);)
        poll_again(&polls);
    whole(&message);
    return message.iteration != i || message.value != ~i;
}

static void pin(int processor)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(processor, &set);
    sched_setaffinity(0, sizeof set, &set);
}

__attribute__((always_inline)) static inline void *send_all(enum kind kind, struct bench *bench)
{
    pin(bench->processor[1]);
    for (int64_t i = 0; i < N_THROUGH; i++)
        send(kind, &bench->there, i);
    return NULL;
}

__attribute__((always_inline)) static inline void *return_all(enum kind kind, struct bench *bench)
{
    pin(bench->processor[1]);
    for (int64_t i = 0; i < N_TRIPS; i++) {
        bench->wrong += take(kind, &bench->there, i);
        send(kind, &bench->back, i);
    }
    return NULL;
}

__attribute__((always_inline)) static inline void take_all(enum kind kind, struct bench *bench)
{
    for (int64_t i = 0; i < N_THROUGH; i++)
        bench->wrong += take(kind, &bench->there, i);
}

__attribute__((always_inline)) static inline void ask_all(enum kind kind, struct bench *bench)
{
    int64_t wrong = 0;
    for (int64_t i = 0; i < N_TRIPS; i++) {
        send(kind, &bench->there, i);
        wrong += take(kind, &bench->back, i);
    }
    bench->wrong += wrong; /* the other side is done with its own count: its last answer is here */
}

__attribute__((always_inline)) static inline void alone(enum kind kind, struct bench *bench)
{
    for (int64_t i = 0; i < N_ALONE; i++) {
        send(kind, &bench->there, i);
        bench->wrong += take(kind, &bench->there, i);
    }
}

static void *ours_send_all(void *bench) { return send_all(OURS, bench); }
static void *ours_return_all(void *bench) { return return_all(OURS, bench); }
static void ours_take_all(struct bench *bench) { take_all(OURS, bench); }
static void ours_ask_all(struct bench *bench) { ask_all(OURS, bench); }
static void ours_alone(struct bench *bench) { alone(OURS, bench); }
static void *ck_send_all(void *bench) { return send_all(CK, bench); }
static void *ck_return_all(void *bench) { return return_all(CK, bench); }
static void ck_take_all(struct bench *bench) { take_all(CK, bench); }
static void ck_ask_all(struct bench *bench) { ask_all(CK, bench); }
static void ck_alone(struct bench *bench) { alone(CK, bench); }

static const struct task {
    const char *name, *unit;
    int64_t n;
    bool rate; /* messages per second, more is better; else nanoseconds */
    void *(*far[KINDS])(void *bench); /* the second thread, if any */
    void (*near[KINDS])(struct bench *bench);
} tasks[] = {
    { "throughput, two threads", "M messages/s", N_THROUGH, true, { ours_send_all, ck_send_all }, { ours_take_all, ck_take_all } },
    { "round trip, two threads", "ns", N_TRIPS, false, { ours_return_all, ck_return_all }, { ours_ask_all, ck_ask_all } },
    { "push and pop, one thread", "ns", N_ALONE, false, { NULL, NULL }, { ours_alone, ck_alone } },
};

static int run(const struct task *task, enum kind kind, struct bench *bench, double *result, struct error *error)
{
    pthread_t thread;
    int64_t begin = door_now_ns();
    if (task->far[kind] && thread_start(&thread, "bench", task->far[kind], bench, error))
        return -1;
    task->near[kind](bench);
    if (task->far[kind])
        thread_join(thread);
    double ns = (double)(door_now_ns() - begin) / (double)task->n;
    *result = task->rate ? 1e3 / ns : ns;
    return 0;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int compare(const struct task *task, struct bench *bench, struct error *error)
{
    double results[KINDS][ROUNDS];
    int kinds = OURS + 1;
#ifdef HAVE_CK
    kinds = KINDS;
#endif
    for (int round = 0; round < ROUNDS; round++)
        for (int kind = 0; kind < kinds; kind++)
            if (run(task, kind, bench, &results[kind][round], error))
                return -1;
    for (int kind = 0; kind < kinds; kind++)
        qsort(results[kind], ROUNDS, sizeof(double), by_value);
    double ours = results[OURS][ROUNDS / 2];
    printf("%-26s %8.1f", task->name, ours);
    if (kinds == KINDS) {
        double ck = results[CK][ROUNDS / 2];
        printf(" %8.1f %8.2f", ck, task->rate ? ours / ck : ck / ours);
    } else
        printf(" %8s %8s", "-", "-");
    printf("  %s\n", task->unit);
    return 0;
}

static int open_lane(struct lane *lane, struct error *error)
{
    if (ring_init(&lane->ours, CAPACITY, error))
        return -1;
#ifdef HAVE_CK
    void *slots;
    if (door_allocate(&slots, CAPACITY * sizeof(struct message), "ck_ring", error))
        return -1;
    lane->ck_slots = slots;
    ck_ring_init(&lane->ck, CAPACITY);
#endif
    return 0;
}

static void close_lane(struct lane *lane)
{
    ring_release(&lane->ours);
#ifdef HAVE_CK
    door_free(lane->ck_slots);
#endif
}

/* Two processors that this process may use; one twice when there is no other. */
static void choose_processors(int processor[2])
{
    cpu_set_t set;
    sched_getaffinity(0, sizeof set, &set);
    int found = 0;
    for (int p = 0; p < CPU_SETSIZE && found < 2; p++)
        if (CPU_ISSET(p, &set))
            processor[found++] = p;
    if (found == 1) {
        processor[1] = processor[0];
        puts("only one processor: two threads share it, and their times mean little");
    }
}

int main(void)
{
    static struct bench bench;
    struct error error = { 0 };
    int result = open_lane(&bench.there, &error) || open_lane(&bench.back, &error) ? -1 : 0;
    choose_processors(bench.processor);
    pin(bench.processor[0]);
#ifndef HAVE_CK
    puts("ck_ring.h not found (libck-dev): ours alone");
#endif
    printf("%-26s %8s %8s %8s  (median of %d; ratio: how much better ours is)\n", "", "ours", "ck_ring", "ratio", ROUNDS);
    for (size_t t = 0; t < sizeof tasks / sizeof *tasks && result == 0; t++)
        result = compare(&tasks[t], &bench, &error);
    close_lane(&bench.there);
    close_lane(&bench.back);
    if (result == 0 && bench.wrong)
        result = fail(&error, EXIT_INVARIANT, "%lld messages were wrong", (long long)bench.wrong);
    if (result)
        fprintf(stderr, "%s\n", error.text);
    return error.code;
}
