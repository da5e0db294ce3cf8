/* A gate: what a thread sleeps on until something it polls may have changed.
 *
 *     waiter                                   waker
 *     key = gate_arm(gate)                     make the condition true (ring_push, a release store)
 *     if (!condition) gate_sleep(gate, key)    gate_open(gate)
 *
 * Bit 0 of the word says that a waiter may be asleep; the other bits count openings. Arm and open are read-modify-writes of the same
 * word, so one comes first: if the opening does, arming reads it (acquire) and the condition is seen; if arming does, the opening
 * sees the bit, changes the word and wakes, and a sleep begun on the old word returns at once. No wake is lost; some are spurious.
 * Any number of threads may open; any number may wait (all wake). tests/models/gate.pml checks the protocol. */
#ifndef BASE_GATE_H
#define BASE_GATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct gate { _Atomic uint32_t word; };

uint32_t gate_arm(struct gate *gate);
void gate_open(struct gate *gate);

/* Sleep until an opening after the arming that returned `key`, or until `deadline_ns` (monotonic; INT64_MAX for none). May return early. */
void gate_sleep(struct gate *gate, uint32_t key, int64_t deadline_ns);

/* Spin briefly, then sleep, until ready(context) is true (returns true) or the deadline has passed (returns false). */
bool gate_wait(struct gate *gate, bool (*ready)(void *context), void *context, int64_t deadline_ns);

#endif
