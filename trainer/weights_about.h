/* What a weights file says of itself: how the weights came to be and what they are for. Tensors are not read here. */
#ifndef TRAINER_WEIGHTS_ABOUT_H
#define TRAINER_WEIGHTS_ABOUT_H

#include "nets/graph.h"
#include "trainer/config.h"

struct cJSON;

struct weights_about {
    struct config config;    /* of the run that wrote it, resolved */
    int64_t iteration;
    struct shape input;      /* of the images that the network takes */
    int classes;             /* at least 1 */
    const char **class_names; /* [classes] */
    bool average;            /* averaged weights are there too */
    struct cJSON *names;     /* holds the names */
};

/* EXIT_INPUT: not a safetensors file, or not from `onestep train`. Release with weights_about_release, also after a failure. */
int weights_about_read(struct weights_about *about, const char *path, struct error *error);
void weights_about_release(struct weights_about *about);

#endif
