/* A safetensors file that is being read: its header is checked, its bytes are in memory. Inside weights*.c and checkpoint*.c only. */
#ifndef TRAINER_WEIGHTS_READING_H
#define TRAINER_WEIGHTS_READING_H

#include "trainer/weights.h"

struct cJSON;

struct reading {
    const char *name; /* of the file */
    const struct graph *graph;
    struct cJSON *header;
    const char *data;
    size_t n;         /* bytes of data */
    char *bytes;      /* of the whole file; NULL: the caller's */
    bool checksum;    /* it had one, and it was right */
    struct error *error;
};

/* Reads it and checks names, ranges and, where there is one, the checksum. Borrows the path, the graph and the error. Release with reading_close, also after a failure. */
int reading_open(struct reading *reading, const char *path, const struct graph *graph, struct error *error);
int reading_parse(struct reading *reading, const char *name, const char *bytes, size_t n, const struct graph *graph, struct error *error);
void reading_close(struct reading *reading);

/* All parameters, and the statistics that are there; with `prefix` before their names, "" or WEIGHTS_AVERAGE. */
int reading_tensors(const struct reading *reading, const char *prefix, float *weights, float *stats);

/* A list of `count` numbers by its whole name: fp32, finite; or int64. *count, where not NULL, is what may be there at most, and then what is. */
int reading_floats(const struct reading *reading, const char *name, float *to, size_t count);
int reading_integers(const struct reading *reading, const char *name, int64_t *to, size_t most, size_t *count);

/* Metadata; NULL when it is not there. */
const char *reading_text(const struct reading *reading, const char *key);

/* CRC-32 of a header, with the eight digits of its checksum counted as zeros, and of the parts behind it. *digits: where they are in the header; NULL when there are none. */
struct file_part;
uint32_t weights_checksum(const char *header, size_t header_bytes, const char *digits, const struct file_part *parts, int n_parts);
const char *weights_checksum_digits(const char *header, size_t header_bytes);

#endif
