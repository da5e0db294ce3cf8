/* How a failing thread stops all of them: it stores the first error, raises the flag, and wakes everybody. Any thread. */
#ifndef TRAINER_HALT_H
#define TRAINER_HALT_H

#include "base/error.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

struct run;

struct halt {
    _Atomic bool raised, stop_asked;
    pthread_mutex_t lock; /* of `first` */
    struct error first;
};

/* error->code 0: nothing more to say than that it is over. */
void halt_raise(struct run *run, const struct error *error);

static inline bool halted(const struct halt *halt) { return atomic_load_explicit(&halt->raised, memory_order_acquire); } /* pairs with the release in halt_raise */

#endif
