/* The confusion matrix: how many images of each class were taken for which. */
#ifndef TRAINER_CONFUSION_H
#define TRAINER_CONFUSION_H

#include "base/error.h"

#include <stdint.h>

struct confusion {
    int classes;
    const char *const *names; /* [classes]; borrowed */
    int64_t *counts;          /* [true][predicted]; owned */
};

/* All zero. EXIT_MEMORY. */
int confusion_open(struct confusion *confusion, int classes, const char *const *names, struct error *error);
void confusion_release(struct confusion *confusion);

static inline int64_t *confusion_row(const struct confusion *confusion, int label) { return confusion->counts + (int64_t)label * confusion->classes; }

int64_t confusion_row_sum(const struct confusion *confusion, int label);

/* The class that images of this one are most often wrongly taken for, the first of equals; -1: none. */
int confusion_rival(const struct confusion *confusion, int label);

/* Replaces the file `path` by a picture of the matrix (PNG); `title` stands above it. EXIT_OUTPUT, EXIT_MEMORY. */
int confusion_picture(const struct confusion *confusion, const char *title, const char *path, struct error *error);

#endif
