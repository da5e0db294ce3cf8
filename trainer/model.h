/* A trained network, loaded to be used: what eval and predict share.
 *
 * model_read takes what the file says of itself; the caller may then change model->about.config; model_load does the rest. Constant afterwards. */
#ifndef TRAINER_MODEL_H
#define TRAINER_MODEL_H

#include "nets/plan.h"
#include "trainer/weights_about.h"

enum weights_choice { WEIGHTS_BEST, WEIGHTS_RAW, WEIGHTS_AVERAGED }; /* best: the average where there is one */

struct model {
    const char *path; /* borrowed */
    struct weights_about about;
    struct graph graph;
    const struct backend *backend;
    int place;        /* device_open's index where that is a GPU; else -1 */
    enum precision precision, stored; /* computed in; that the weights were trained in */
    bool average;     /* the weights are the average */
    float *weights, *stats;
};

/* EXIT_INPUT, EXIT_MEMORY. Release with model_release, also after a failure. */
int model_read(struct model *model, const char *path, struct error *error);
int model_load(struct model *model, enum weights_choice choice, struct error *error);
void model_release(struct model *model);

/* The word after --weights. EXIT_USAGE. */
int model_weights_word(const char *command, const char *word, enum weights_choice *choice, struct error *error);

/* "iteration 1,875, averaged weights" */
void model_describe(const struct model *model, char *text, size_t bytes);

/* "fp32 on lanes (v4)", and what they were trained in if that is another precision. */
void model_describe_computing(const struct model *model, char *text, size_t bytes);

/* One thread's means to compute with a model. Release also after a failure. */
struct model_runner {
    const struct model *model;
    struct device *device;
    struct plan *plan;
    int batch;
    float *weights, *stats; /* the device's; where that is the host's memory, the model's own */
    uint8_t *pixels;        /* a batch on the device; NULL where it is read where it lies */
    int32_t *labels;
    int64_t *index;
    float *logits; /* [batch][classes] of the last run */
};

int model_runner_open(struct model_runner *runner, const struct model *model, int batch, int processor, struct error *error); /* processor: the calling thread's, or -1 */
void model_runner_close(struct model_runner *runner);

/* n images of the batch in planes, and their labels; to *result and runner->logits. EXIT_NOT_FINITE when the loss is not. The first run of a runner packs the
 * weights. */
int model_run(struct model_runner *runner, const uint8_t *pixels, const int32_t *labels, const int64_t *index, int n, struct step_result *result, struct error *error);

#endif
