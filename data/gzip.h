/* A file read once from front to back, inflated on the way when it is gzipped; plain files pass through.
 *
 * What a file is follows from its first two bytes, not from its name. Several gzip members one after another are one content, as
 * gzip(1) has it; anything else after a member, zeros too, is an error. The checksums are verified before the end is reported. */
#ifndef DATA_GZIP_H
#define DATA_GZIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zlib.h>

struct error;

struct gzip {
    const char *name;       /* for messages; borrowed */
    int fd;                 /* borrowed; -1: the content is in memory */
    const uint8_t *memory;  /* borrowed */
    int64_t bytes;          /* length of the file as it is stored */
    int64_t offset;         /* of the next stored byte to fetch */
    int64_t unpacked;       /* bytes delivered so far */
    bool gzipped, ended;
    z_stream stream;
    uint8_t input[1 << 15]; /* stored bytes fetched but not yet inflated */
};

/* Deflate cannot do better than this, so what a file of a known length can hold is known before anything is inflated. */
enum { GZIP_MOST_RATIO = 1032 };

/* Start on an open file, or on bytes in memory when fd is -1. EXIT_INPUT, EXIT_MEMORY. */
int gzip_open(struct gzip *gzip, const char *name, int fd, const uint8_t *memory, int64_t bytes, struct error *error);

/* The next bytes of the content; fewer only at its end. -1: EXIT_INPUT, naming the file and the offset. */
int64_t gzip_read(struct gzip *gzip, void *to, size_t bytes, struct error *error);

void gzip_close(struct gzip *gzip);

#endif
