/* What is told at the end of a run, behind the table of epochs. Main thread, after the join. */
#ifndef TRAINER_SUMMARY_H
#define TRAINER_SUMMARY_H

#include "trainer/run.h"

#include <stdio.h>

void summary_print(FILE *to, const struct run *run);

/* What is emulated in this run, in words; "" when nothing is. */
void summary_emulated(const struct config *config, char *text, size_t bytes);

#endif
