/* How far a run is: a row on standard output for each epoch, and on a terminal one live line below them (stderr).
 * Main thread. */
#ifndef TRAINER_PROGRESS_H
#define TRAINER_PROGRESS_H

#include "trainer/metrics.h"

enum { PROGRESS_LINE = 256 };

struct progress {
    bool live;                /* stderr is a terminal */
    int columns;              /* of the rows */
    char line[PROGRESS_LINE]; /* that is there; "": none */
    const struct schedule *schedule;
    int64_t global_batch;
    int printed;              /* rows */
};

void progress_open(struct progress *progress, const struct schedule *schedule, int64_t global_batch);
void progress_report(struct progress *progress, const struct message *report, const struct metrics *metrics);
void progress_close(struct progress *progress, const struct metrics *metrics);

/* What a live line tells. */
struct live {
    double epoch, epochs;
    double rate, loss, accuracy;
    double seconds_left;
    const char *scale; /* of fp16, in words, or NULL */
};

/* The line in at most `columns`: what matters least is left out, the time that is left last of all. */
void progress_write(char line[PROGRESS_LINE], int columns, const struct live *live);

/* 12345 as "12,345". */
const char *grouped(int64_t n, char text[32]);

#endif
