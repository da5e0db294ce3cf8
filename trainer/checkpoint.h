/* Checkpoints: a run's whole state in one weights file (trainer/weights.h), which eval and predict can use too. Main thread.
 *
 * Names are checkpoint-NNNNNNNNN.safetensors, by iteration. Besides the network's tensors, which are W_s and the merged statistics, a file holds the lists of snapshot.h, and
 * in its metadata the numbers of snapshot.h and where metrics.csv was. docs/files.md describes all of it. */
#ifndef TRAINER_CHECKPOINT_H
#define TRAINER_CHECKPOINT_H

#include "trainer/metrics.h"
#include "trainer/run.h"
#include "trainer/weights.h"

enum { CHECKPOINT_PATH = 1200 };

/* The file of run->snapshot in the folder; *path says which. EXIT_OUTPUT, EXIT_MEMORY, EXIT_NOT_FINITE. */
int checkpoint_write(const char *folder, const struct run *run, const struct weights_metadata *about, const struct metrics_mark *mark, char path[CHECKPOINT_PATH], uint64_t *bytes,
                     struct error *error);

/* Fills run->snapshot from a file of a run of the same shape. EXIT_INPUT, EXIT_MEMORY. */
int checkpoint_load(const char *path, const struct run *run, struct metrics_mark *mark, struct error *error);

/* The iterations of a folder's checkpoints, the newest first. Free with door_free. EXIT_INPUT when the folder cannot be read, EXIT_MEMORY. */
struct checkpoint_list { int64_t *iterations; int n, room; };
int checkpoint_list(struct checkpoint_list *list, const char *folder, struct error *error);
int checkpoint_path(const char *folder, int64_t iteration, char path[CHECKPOINT_PATH], struct error *error);

/* Removes all but the newest `keep`, and what a killed process left half-written. EXIT_OUTPUT. */
int checkpoint_prune(const char *folder, int64_t keep, struct error *error);

/* A run that goes on from an iteration writes those behind it anew: renames them to NAME.ahead. *n: how many. EXIT_OUTPUT. */
int checkpoint_set_aside(const char *folder, int64_t iteration, int *n, struct error *error);

#endif
