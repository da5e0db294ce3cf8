/* One pass over a dataset with a model, on several threads. */
#ifndef TRAINER_TEST_PASS_H
#define TRAINER_TEST_PASS_H

#include "data/dataset.h"
#include "trainer/confusion.h"
#include "trainer/evaluation.h"
#include "trainer/model.h"

/* Batches as in training (config data.eval_batch), sums in batch order: the same bits as the evaluation of a run, on any number of threads.
 * processors: where each thread runs, or -1. Adds to `confusion`. */
int test_pass(const struct model *model, const struct dataset *dataset, int threads, const int *processors, struct evaluation_total *total, struct confusion *confusion,
              struct error *error);

#endif
