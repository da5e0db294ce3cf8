/* Emulated stragglers: `[workers] slowdown` and `jitter` stretch what a worker computes by sleeping after it. */
#ifndef TRAINER_STRAGGLER_H
#define TRAINER_STRAGGLER_H

#include <stdbool.h>
#include <stdint.h>

struct config;
struct worker;

/* Whether any worker is one. */
bool straggler_is_on(const struct config *config);

/* This iteration's factor, from (seed, worker, iteration). */
void straggler_draw(struct worker *worker);

/* Sleeps for (factor - 1) times the time computed, which ended at now_ns. Returns the time after it. */
int64_t straggler_sleep(struct worker *worker, int64_t computed_ns, int64_t now_ns);

#endif
