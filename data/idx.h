/* IDX files, the format of MNIST: a magic number, big-endian dimensions, then items of unsigned bytes; plain or gzipped.
 *
 * The header is checked against the length of the file before anything is allocated, and the file must end where the header says. */
#ifndef DATA_IDX_H
#define DATA_IDX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;

enum { IDX_DIMENSIONS = 3, IDX_MOST_SIDE = 4096 };

struct idx {
    int64_t n;                              /* items, 1..2^31-1 */
    uint32_t sides[IDX_DIMENSIONS - 1];     /* rows and columns of an item, 1..IDX_MOST_SIDE; 1 where the file has no such dimension */
    size_t item_bytes, header_bytes;
    bool gzipped;
    uint8_t *items;                         /* [n][item_bytes]; owned */
};

/* Reads `path`, or path.gz when there is no such file. dimensions: 1 for labels, 3 for images. EXIT_INPUT, EXIT_MEMORY. */
int idx_open(struct idx *idx, const char *path, int dimensions, struct error *error);

/* The same from memory; `name` is for messages. */
int idx_parse(struct idx *idx, const char *name, const uint8_t *bytes, size_t n, int dimensions, struct error *error);

void idx_release(struct idx *idx);

#endif
