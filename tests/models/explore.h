/* An exhaustive explorer of small concurrent programs under the memory orderings of C11.
 *
 * The program under test is real code whose atomic operations, futex calls and slot copies are redirected here by macros. The explorer
 * runs it through every interleaving and every value that each load may return.
 *
 * The memory is operational: each atomic keeps all of its writes in modification order, each write carries a view (for every atomic
 * the oldest write that may still be read, and a vector clock of the plain accesses that happened before), each thread has one.
 * A load may return any write that is not older than its thread's view, an acquire joins the write's view into it, a release hands the
 * thread's view to the write, a relaxed store hands on only itself, a read-modify-write reads the newest write and continues its release
 * sequence. Plain accesses (cells) must be ordered by happens-before, or it is a data race.
 *
 * What is left out: a store goes to the end of the modification order (no restriction where one thread writes an atomic, as with a
 * ring's indices), a load never returns a value that is stored later in the execution, and seq_cst is taken as acq_rel. */
#ifndef TESTS_MODELS_EXPLORE_H
#define TESTS_MODELS_EXPLORE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MODEL_THREADS = 3, MODEL_ATOMICS = 5, MODEL_CELLS = 6, MODEL_WRITES = 16, MODEL_LOCAL_BYTES = 640, MODEL_CELL_BYTES = 64 };

/* Every thread has a copy of `initial` as its private memory. An atomic is known by its offset there; its value there is only the first. */
struct model_program {
    int n_threads;
    const void *initial;
    size_t bytes; /* of initial */
    int n_atomics;
    struct { size_t offset; const char *name; } atomics[MODEL_ATOMICS];
    /* One operation: a few calls of the code under test. True when the thread has nothing more to do. It is run again from its start
     * for each step within it, so it depends on nothing but its private memory and what the model returns, and reads no cell that it
     * writes later. */
    bool (*operation[MODEL_THREADS])(void *local);
};

struct model_result {
    int64_t states, steps; /* distinct states, and steps between them */
    char fault[128];       /* empty when every execution is right and every state can reach the end */
};

/* Prints the steps that lead to a fault. */
void model_explore(const struct model_program *program, struct model_result *result);

/* For the program under test. */
uint32_t model_load(const volatile void *atomic, memory_order order);
void model_store(volatile void *atomic, uint32_t value, memory_order order);
uint32_t model_change(volatile void *atomic, char operator, uint32_t operand, memory_order order); /* '+', '|' or '&'; returns the old value */
void model_read_cell(int cell, void *to);
void model_write_cell(int cell, const void *from);
long model_futex_wait(volatile void *atomic, uint32_t value); /* sleeps, in one step, when the newest value is this one */
long model_futex_wake(void);                                  /* wakes all */
void model_check(bool condition, const char *fault);

#endif
