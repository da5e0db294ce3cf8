/* Datasets: numbered samples of any length, and what turns one into pixels.
 *
 * A format is one file and one const struct. Opening checks everything that can be checked without reading every sample; after that
 * any thread may read any sample at the same time (pread into the caller's buffer, no shared position). Samples are images of one
 * shape, 8 bits a channel, planes in C, H, W order; labels are 0..classes-1. */
#ifndef DATA_DATASET_H
#define DATA_DATASET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct dataset;

enum split { SPLIT_TRAIN, SPLIT_TEST };

/* What to open. Strings are borrowed for the call. */
struct dataset_request {
    const char *name;  /* a format's name: "mnist", "cifar10" */
    const char *path;  /* the folder that holds it; NULL for formats that need none */
    enum split split;
    int64_t limit;     /* use the first `limit` samples; 0 for all */
    uint64_t seed;     /* for formats that draw their samples */
    int side;          /* of square images, for formats that make them in any size; 0: the usual */
};

struct dataset_format {
    const char *name;
    const char *help;  /* one line, for `onestep config` and errors */
    int side;          /* the usual one, where request.side may ask for another; 0: images have a size of their own */
    const char *folder; /* the usual name of the folder that holds it; NULL: it needs none, nor request.path */
    int (*open)(struct dataset *dataset, const struct dataset_request *request, struct error *error);
    /* Sample `index`, 0..n-1, into `raw` (sample_bytes of room): *bytes of it, and its label. Thread-safe. EXIT_INPUT. */
    int (*read)(const struct dataset *dataset, int64_t index, void *raw, size_t *bytes, int32_t *label, struct error *error);
    /* Raw bytes to channels*height*width pixels; NULL where the raw bytes are the pixels. Thread-safe. */
    int (*decode)(const struct dataset *dataset, const void *raw, size_t bytes, uint8_t *pixels, struct error *error);
    void (*close)(struct dataset *dataset);
};

struct dataset {
    const struct dataset_format *format;
    int64_t n;
    int channels, height, width, classes;
    const char *const *class_names; /* [classes], owned by the dataset until it is closed; NULL: classes are numbers only */
    size_t sample_bytes; /* the longest raw sample */
    void *state;         /* the format's */
};

/* All formats, ended by NULL. */
extern const struct dataset_format *const dataset_formats[];

/* EXIT_USAGE for an unknown name, EXIT_INPUT for missing or bad files, EXIT_MEMORY. Before the threads start. */
int dataset_open(struct dataset *dataset, const struct dataset_request *request, struct error *error);
void dataset_close(struct dataset *dataset);

/* Where `data.path = auto` finds the dataset `name`: $ONESTEP_DATA/<folder>, then datasets/<folder>, the folder's name being the
 * format's; an empty path for a format that needs no folder. Writes the path and returns 0, or -1: EXIT_INPUT naming the places
 * looked at, EXIT_USAGE for an unknown name. */
int dataset_find(const char *name, char *path, size_t path_bytes, struct error *error);

#endif
