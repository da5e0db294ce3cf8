/* A bounded ring of messages between one producer thread and one consumer thread, without locks, and the gate that lets a consumer sleep.
 *
 * The ring holds copies of small records; indices count for ever and are masked on use. Each side keeps a private copy of the other's
 * index and reads the shared one only when its copy says full (or empty), so in the steady state a message costs one shared store
 * and no shared load. Producer's and consumer's fields stand on cache lines of their own.
 *
 * A gate is what one thread sleeps on while all the rings it consumes are empty. Waiting spins briefly, then sleeps on a futex. */
#ifndef BASE_RING_H
#define BASE_RING_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A message: no pointers, no events, so that it can cross a process or a node. 64 bytes: one cache line, aligned as one wherever it
 * stands, because a copy that straddles two lines costs more than the rest of a push. */
struct message {
    alignas(64) uint8_t kind; /* enum message_kind (trainer/message.h) */
    uint8_t encoding;   /* of the payload: enum payload_encoding */
    uint16_t worker;    /* who sent it, or whom it is for */
    uint32_t epoch;     /* of the membership, 0 until a worker is lost or joins */
    int64_t iteration;  /* of the gradient pushed; of what an announcement takes effect at */
    int64_t version;    /* of the global weights carried, or that the gradient was computed on */
    uint32_t bucket;
    uint32_t slot;      /* which preallocated slot holds the payload */
    uint64_t bytes;     /* of the payload in its encoding, without padding */
    int64_t sent_ns;    /* monotonic clock when it was sent; the emulated link counts from here */
    int64_t value;      /* what the kind says */
    int64_t spare;
};
_Static_assert(sizeof(struct message) == 64, "a message is one cache line");

struct ring {
    alignas(64) _Atomic uint32_t tail; /* written by the producer */
    uint32_t head_seen;                /* the producer's copy of head */
    alignas(64) _Atomic uint32_t head; /* written by the consumer */
    uint32_t tail_seen;                /* the consumer's copy of tail */
    alignas(64) struct message *slots; /* capacity of them; set before the threads start */
    uint32_t mask;                     /* capacity - 1 */
};

/* How a message goes into a slot and out of one; tests/models replaces it, to see who touches which slot when. */
#ifndef RING_COPY
#define RING_COPY(to, from) (*(to) = *(from))
#endif

struct error;

/* capacity: a power of two, 1..2^20. EXIT_MEMORY. Before the threads start. */
int ring_init(struct ring *ring, uint32_t capacity, struct error *error);
void ring_release(struct ring *ring);

/* Producer only. False when full. */
static inline bool ring_push(struct ring *ring, const struct message *message)
{
    uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    if (tail - ring->head_seen > ring->mask) {
        /* acquire; pairs with the release in ring_pop: the consumer has finished reading the slot before we write it again */
        uint32_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
        if (tail - head > ring->mask)
            return false;
        ring->head_seen = head;
    }
    RING_COPY(&ring->slots[tail & ring->mask], message);
    /* release; pairs with the acquire in ring_pop: the message, and the tensor it speaks of, are there before the index says so */
    atomic_store_explicit(&ring->tail, tail + 1, memory_order_release);
    return true;
}

/* Consumer only. False when empty. */
static inline bool ring_pop(struct ring *ring, struct message *message)
{
    uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    /* expected, because a consumer that polls waits here, and what comes after the last failed poll is its latency */
    if (__builtin_expect(head == ring->tail_seen, 1)) {
        /* acquire; pairs with the release in ring_push */
        uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
        if (head == tail)
            return false;
        ring->tail_seen = tail;
    }
    RING_COPY(message, &ring->slots[head & ring->mask]);
    /* release; pairs with the acquire in ring_push */
    atomic_store_explicit(&ring->head, head + 1, memory_order_release);
    return true;
}

/* Consumer only: whether ring_pop would succeed now. */
static inline bool ring_readable(struct ring *ring)
{
    uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    if (head == ring->tail_seen)
        ring->tail_seen = atomic_load_explicit(&ring->tail, memory_order_acquire); /* pairs with the release in ring_push */
    return head != ring->tail_seen;
}

#endif
