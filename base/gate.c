/* See gate.h. */
#include "base/gate.h"

#include "base/door.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* A wait first looks this often; about two microseconds, far less than a futex sleep and wake cost together. */
enum { SPINS = 64 };

static inline void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

uint32_t gate_arm(struct gate *gate)
{
    /* acquire: an opening that came first is read here, and with it what its thread did before */
    return atomic_fetch_or_explicit(&gate->word, 1, memory_order_acq_rel) | 1;
}

void gate_open(struct gate *gate)
{
    /* release: what this thread did before is seen by whoever arms after this */
    uint32_t old = atomic_fetch_add_explicit(&gate->word, 2, memory_order_acq_rel);
    if (old & 1) {
        atomic_fetch_and_explicit(&gate->word, ~(uint32_t)1, memory_order_acq_rel);
        syscall(SYS_futex, &gate->word, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
    }
}

void gate_sleep(struct gate *gate, uint32_t key, int64_t deadline_ns)
{
    struct timespec until = { deadline_ns / 1000000000, deadline_ns % 1000000000 };
    syscall(SYS_futex, &gate->word, FUTEX_WAIT_BITSET_PRIVATE, key, deadline_ns == INT64_MAX ? NULL : &until, NULL, FUTEX_BITSET_MATCH_ANY);
}

bool gate_wait(struct gate *gate, bool (*ready)(void *context), void *context, int64_t deadline_ns)
{
    for (int spin = 0; spin < SPINS; spin++) {
        if (ready(context))
            return true;
        relax();
    }
    for (;;) {
        uint32_t key = gate_arm(gate);
        if (ready(context))
            return true;
        if (deadline_ns != INT64_MAX && door_now_ns() >= deadline_ns)
            return false;
        gate_sleep(gate, key, deadline_ns);
    }
}
