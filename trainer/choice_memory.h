/* Choices that were measured, remembered from one run to the next: a file each in $XDG_CACHE_HOME/onestep or
 * ~/.cache/onestep. */
#ifndef TRAINER_CHOICE_MEMORY_H
#define TRAINER_CHOICE_MEMORY_H

#include "trainer/trial.h"

/* What a choice depends on, besides this program and its libraries. */
struct choice_key {
    const struct choice *candidates;
    int n; /* of them */
    const struct graph *graph;
    int batch;
    const char *processor;
};

enum { CHOICE_MEMORY_DAYS = 90 }; /* a file that nobody has read for so long goes */

/* The file of such a choice: its name is a hash of all that it depends on. False when there is no home for it, or the
 * program cannot be read. */
bool choice_memory_path(char *path, size_t bytes, const struct choice_key *key);

/* What the file says, if that is one of the candidates. */
bool choice_recall(struct choice *choice, const struct choice_key *key, const char *path);

/* Writes the file, and removes others of this folder that are too old. Where that fails, a line on stderr says so. */
void choice_remember(const struct choice *choice, const char *path);

#endif
