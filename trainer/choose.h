/* Choices made by measuring: which CPU backend trains this net fastest. */
#ifndef TRAINER_CHOOSE_H
#define TRAINER_CHOOSE_H

#include "nets/backend.h"
#include "trainer/config.h"

/* All backends of this build, the best guess first, ended by NULL. The one place that lists them. */
extern const struct backend *const backends[];

/* [cpu] backend: by name, or `auto`: the one whose training step measures fastest. What was measured is remembered in
 * $XDG_CACHE_HOME/onestep (or ~/.cache/onestep) by machine, program, net and batch, so that later runs are the same; where that cannot be written, a
 * line on stderr says so. EXIT_USAGE for an unknown name. */
int choose_backend(const struct backend **backend, const struct config *config, const struct graph *graph, const char *cpu_model, struct error *error);

#endif
