/* What `onestep eval` tells: for people, and as JSON. */
#ifndef TRAINER_EVAL_REPORT_H
#define TRAINER_EVAL_REPORT_H

#include "trainer/confusion.h"
#include "trainer/evaluation.h"
#include "trainer/model.h"

struct eval_report {
    const struct model *model;
    const struct confusion *confusion;
    struct evaluation_total total;
    int threads;
    double seconds;
    const char *picture; /* path of it */
};

void eval_report_print(const struct eval_report *report);

/* EXIT_MEMORY. */
int eval_report_json(const struct eval_report *report, struct error *error);

#endif
