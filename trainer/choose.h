/* Choices made by measuring: which CPU backend trains this net fastest, and in which precision. */
#ifndef TRAINER_CHOOSE_H
#define TRAINER_CHOOSE_H

#include "trainer/config.h"
#include "trainer/devices.h"
#include "trainer/trial.h"

/* The CPU's backends of this build, the best guess first, ended by NULL; and the GPUs', NULL where it has none. The one place that lists them. */
extern const struct backend *const backends[];
extern const struct backend *const gpu_backend, *const host_backend; /* and whose passes update vectors in the host's memory for GPUs */

/* GPUs that can be used; where there are none, 0 and the reason. */
int choose_gpus(struct error *why);

/* [cuda], whether results must repeat, and the GPUs that are used: before a device is opened. */
void choose_gpu_settings(const struct config *config, const struct devices *devices);

/* [cpu] isa, for the whole process; auto leaves it as it is. Before threads start and before choose_backend. EXIT_USAGE
 * where the processor does not run it. */
int choose_isa(const struct config *config, struct error *error);

/* Whether [cpu] backend, or where it is auto a fast one, computes in [train] precision. */
bool choose_offers(const struct config *config);

/* Every backend but the reference in every precision that it offers; returns how many, at most TRIALS_MOST. */
int choose_candidates(struct choice *candidates);

/* Where `devices` names GPUs, that backend; else [cpu] backend; and [train] precision: what is left to `auto` is what
 * makes the shortest training step with the rest. What was measured is remembered (choice_memory.h) by processor,
 * instruction set, program, net, batch and what was asked, so that later runs are the same; where that cannot be
 * written, a line on stderr says so. `processor`: of the machine, in words. The reference is never measured: alone it
 * computes in fp32. EXIT_USAGE for an unknown name, or a backend that does not offer the precision. */
int choose_backend(struct choice *choice, const struct config *config, const struct devices *devices,
                   const struct graph *graph, const char *processor, struct error *error);

/* The fastest of n candidates, measured now, as trials_measure does. While others use the processor it is chosen by
 * processor time: CHOICE_DISTURBED, and a line on stderr. */
int choose_fastest(struct choice *choice, const struct choice *candidates, int n, const struct graph *graph, int batch,
                   int64_t enough_ns, struct error *error);

/* "onednn"; of the kernels that are there for several instruction sets also which: "lanes (v4)". */
void choose_name(const struct backend *backend, char *text, size_t bytes);

/* "lanes (v4) in fp32, the fastest, remembered" */
void choose_describe(const struct choice *choice, char *text, size_t bytes);

#endif
