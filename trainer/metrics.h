/* What a run has measured: epochs and steps, kept for the tables and appended to metrics.csv as they come. Main thread. */
#ifndef TRAINER_METRICS_H
#define TRAINER_METRICS_H

#include "base/ring.h"
#include "trainer/schedule.h"

struct epoch {
    int64_t iteration; /* global updates done at its end */
    int64_t samples;   /* that it trained on */
    double train_loss, train_accuracy;
    bool trained, evaluated;
    double test_loss, test_accuracy, test_top5;
    double seconds;    /* of training, since the start */
    double loss_scale; /* fp16: that its last iteration was computed with */
    int64_t skipped;   /* fp16: iterations before that whose gradient overflowed */
};

/* Where the file was when a snapshot was taken; what a run that goes on from it needs to know of what came before. */
struct metrics_mark {
    int64_t bytes;
    double seconds;         /* of the last epoch that was trained */
    double best_accuracy;   /* so far, on the test set */
    int64_t best_iteration; /* -1: none yet */
};

struct metrics {
    const struct schedule *schedule; /* borrowed */
    char path[1024];
    int fd;                          /* -1: none */
    int64_t global_batch;
    struct epoch *epochs;            /* by iteration */
    int n, room, written;
    struct metrics_mark newest;      /* of what has been written */
    double began_seconds;            /* of the last epoch before a resume */
};

/* Creates the file. EXIT_OUTPUT. */
int metrics_open(struct metrics *metrics, const char *path, const struct schedule *schedule, int64_t global_batch, struct error *error);

/* Goes on with a file as it was at the mark: what comes behind is cut off, and a row says resumed_from. A file that is missing, or shorter, is gone on with as it is; *whole says
 * which. EXIT_OUTPUT. */
int metrics_resume(struct metrics *metrics, const char *path, const struct schedule *schedule, int64_t global_batch, const struct metrics_mark *mark, int64_t iteration, bool *whole,
                   struct error *error);

/* A snapshot holds what was reported so far: writes all of it, safely, and marks the place. EXIT_OUTPUT. */
int metrics_mark(struct metrics *metrics, struct metrics_mark *mark, struct error *error);

/* Takes a report of the server: REPORT_STEP, REPORT_EPOCH, REPORT_EVALUATION. A row is written when no more can come for it. EXIT_OUTPUT, EXIT_MEMORY. */
int metrics_take(struct metrics *metrics, const struct message *report, struct error *error);

/* Writes what is left, syncs, closes. */
int metrics_close(struct metrics *metrics, struct error *error);
void metrics_release(struct metrics *metrics);

/* Images per second of epoch i, without evaluations. */
double metrics_rate(const struct metrics *metrics, int i);

#endif
