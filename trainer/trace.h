/* Where the time went: each thread adds what it did to its own trace. The "where the time went" table comes from the totals, trace.json from the records. */
#ifndef TRAINER_TRACE_H
#define TRAINER_TRACE_H

#include <stddef.h>
#include <stdint.h>

struct error;

enum phase {
    PHASE_COMPUTE,      /* forward and backward; where the backend enqueues, enqueueing them */
    PHASE_LOCAL,        /* local update, or copying new weights */
    PHASE_WAIT_WEIGHTS, /* for the server's answer */
    PHASE_WAIT_DATA,    /* for the loader */
    PHASE_WAIT_DEVICE,  /* for what a GPU was given: a step's loss */
    PHASE_EVALUATE,
    PHASE_EMULATED,     /* sleeping as a straggler */
    PHASE_UPDATE,       /* server: sum and global update */
    PHASE_LINK_IN,      /* server: a push on the emulated link */
    PHASE_LINK_OUT,     /* server: an answer on it */
    PHASES,
};

struct trace_record {
    int64_t begin_ns, end_ns;
    int64_t iteration;
    int32_t bucket; /* -1: none */
    int32_t phase;
};

/* Written by its own thread; read by others after the join. */
struct trace {
    int64_t total_ns[PHASES];
    struct trace_record *records; /* the last `room` of them, in a circle; NULL: totals alone are kept */
    size_t room, n;               /* n counts on */
};

int trace_init(struct trace *trace, size_t room, struct error *error);
void trace_release(struct trace *trace);
void trace_add(struct trace *trace, enum phase phase, int64_t iteration, int bucket, int64_t begin_ns, int64_t end_ns);

#endif
