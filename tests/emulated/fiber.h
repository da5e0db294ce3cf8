/* Fibers: stacks of their own on one thread. */
#ifndef TESTS_EMULATED_FIBER_H
#define TESTS_EMULATED_FIBER_H

#include <stdbool.h>
#include <stddef.h>

struct fiber;
struct fiber *fiber_new(void (*run)(struct fiber *fiber)); /* run() never returns */
void fiber_free(struct fiber *fiber, bool idle);           /* not idle: it has frames on its stack that are given up */
void fiber_enter(struct fiber *fiber);                     /* by the thread: returns when the fiber leaves */
void fiber_leave(struct fiber *fiber);                     /* by the fiber: returns when it is entered again */

/* An order that ThreadSanitizer is to know of: switching alone is none. */
void fiber_release(void *order);
void fiber_acquire(void *order);

/* Only the first `used` bytes may be touched, says AddressSanitizer. */
void fiber_guard(void *base, size_t bytes, size_t used);

#endif
