/* Evaluation in the middle of a run, on a snapshot of the global weights; it changes nothing that training reads.
 *
 * The server copies W_s bucket by bucket as it becomes final, then sends everybody GO; workers take batches of the test set in turn until none is left, each
 * with a plan of its own. Sums are made in batch order, so the result does not depend on who computed what. */
#ifndef TRAINER_EVALUATION_H
#define TRAINER_EVALUATION_H

#include "data/loader.h"
#include "nets/plan.h"

#include <stdatomic.h>
#include <stdint.h>

struct run;
struct worker;

struct evaluation {
    const struct backend *backend; /* whose memory weights and statistics are */
    struct loader *loader;       /* of the test set */
    int64_t batches;             /* in one pass */
    float *weights, *stats;      /* the snapshot, in the host's memory; written by the server before GO */
    struct step_result *results; /* by batch; written by whoever took it, read by the server after all are done */
    _Atomic uint64_t next;       /* evaluation number << 32 | next batch to take */
    _Atomic int64_t done;        /* batches done in this evaluation */
};

struct evaluation_total { double loss; int64_t correct, correct5, samples; };

int evaluation_open(struct evaluation *evaluation, const struct run *run, struct error *error);
void evaluation_close(struct evaluation *evaluation);

/* Server: the snapshot is complete; evaluation `number` (0, 1, ...) may begin. */
void evaluation_begin(struct evaluation *evaluation, int64_t number);

/* Server, after MESSAGE_EVALUATED. */
struct evaluation_total evaluation_sum(const struct evaluation *evaluation, int64_t samples);

/* Worker: computes batches of that evaluation until none is left to take; *last: this worker finished the last of all. */
int evaluation_work(struct run *run, struct worker *worker, int64_t number, bool *last, struct error *error);

/* One set of running statistics out of K (docs/algorithms.md section 6): mean = mean_k(mean_k), var = mean_k(var_k + mean_k^2) - mean^2; or worker 0's. In doubles. */
void merge_stats(const struct graph *graph, const float *const *stats, int k, bool worker0, float *merged);

#endif
