/* One `onestep train`: everything that it holds, to be closed in one place. Inside command_train.c and training*.c only; the main thread. */
#ifndef TRAINER_TRAINING_H
#define TRAINER_TRAINING_H

#include "trainer/checkpoint.h"
#include "trainer/devices.h"
#include "trainer/folder.h"
#include "trainer/metrics.h"
#include "trainer/progress.h"
#include "trainer/run.h"
#include "trainer/server.h"
#include "trainer/topology.h"
#include "trainer/trial.h"

/* What the run goes on from. */
struct resumption {
    bool asked;
    char from[CHECKPOINT_PATH];      /* --resume's word: a file, a folder, or nothing */
    char folder[CHECKPOINT_PATH];
    struct checkpoint_list list;     /* of the folder; one row for a file */
    int next;                        /* the first of them that was not found wanting */
    struct metrics_mark mark;
    int64_t iteration;
    char backend[CONFIG_TEXT];       /* that the checkpoint's run was computed with */
};

/* Checkpoints written so far. */
struct written { int n; uint64_t bytes; int64_t ns; char last[CHECKPOINT_PATH]; };

struct training {
    const char *config_path; /* NULL: the config is the checkpoint's */
    char name[64];           /* of the config: its file without folder and ending */
    struct config config;
    struct topology topology;
    struct devices devices;
    int processors[WORKERS_MAX]; /* by worker; read by their threads */
    struct dataset train, test;
    struct graph graph;
    struct choice choice;    /* what computes */
    float *first_weights, *first_stats;
    struct folder folder;
    struct metrics metrics;
    struct progress progress;
    struct run *run;
    struct resumption resumption;
    struct metrics_mark mark; /* of the snapshot that is being taken */
    struct written written;
    char about[16384], about_run[16384]; /* the config that goes with the weights; with checkpoints */
};

/* ---- training_resume.c ---- */

/* Finds the checkpoints, and settles the config: the checkpoint's where there is no other, and what the program chose in any case. EXIT_NO_RESUME, EXIT_USAGE. */
int training_find(struct training *training, int n_sets, char **sets, struct error *error);

/* Loads the newest that is whole into the run. EXIT_NO_RESUME. */
int training_go_on(struct training *training, struct error *error);

/* In the folder that it writes into, what is behind the iteration that it goes on from, and says so. EXIT_OUTPUT. */
int training_set_aside(const struct training *training, struct error *error);

/* ---- training_start.c ---- */

/* To standard output, when everything is open. */
void training_print_start(const struct training *training);

/* ---- training_follow.c ---- */

/* Reports until the server has ended; metrics and checkpoints as they come. When one cannot be written the run stops as on a signal: its weights may still be saved. */
void training_follow(struct training *training, struct error *error);

/* Metadata of what is written. Borrows from the training. */
struct weights_metadata training_metadata(const struct training *training, const char *config);

#endif
