/* One live line on a terminal, plain lines elsewhere. Main thread. */
#ifndef TRAINER_PROGRESS_H
#define TRAINER_PROGRESS_H

#include "trainer/metrics.h"

struct progress {
    bool live;     /* stderr is a terminal */
    bool shown;    /* a line is there */
    const struct schedule *schedule;
    int64_t global_batch;
    int64_t began_iteration;
    int printed;   /* epochs told in plain lines */
};

void progress_open(struct progress *progress, const struct schedule *schedule, int64_t global_batch);
void progress_report(struct progress *progress, const struct message *report, const struct metrics *metrics);
void progress_close(struct progress *progress, const struct metrics *metrics);

/* 12345 as "12,345". */
const char *grouped(int64_t n, char text[32]);

#endif
