/* The staleness ledger: for every bucket of every step, how many global updates the weights it was computed on lacked. */
#ifndef TRAINER_LEDGER_H
#define TRAINER_LEDGER_H

#include <stdint.h>

enum { LEDGER_BINS = 64 }; /* the last one counts everything from there on */

/* Written by one thread; read by others after the join. */
struct ledger { int64_t count[LEDGER_BINS]; };

static inline void ledger_count(struct ledger *ledger, int64_t staleness)
{
    ledger->count[staleness < 0 || staleness >= LEDGER_BINS ? LEDGER_BINS - 1 : staleness]++;
}

#endif
