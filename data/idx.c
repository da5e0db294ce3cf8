/* See idx.h. */
#include "data/idx.h"

#include "base/door.h"
#include "base/error.h"
#include "base/sizes.h"
#include "data/gzip.h"

#include <errno.h>
#include <stdio.h>

enum { PATH_ROOM = 4096, WORD = 4, MAGIC_UNSIGNED_BYTES = 0x0800 };

static const char *kind_of_offset(const struct gzip *file) { return file->gzipped ? "unpacked byte" : "byte"; }

static uint32_t big_endian(const uint8_t *b) { return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3]; }

static int ends_early(const struct gzip *file, size_t at, size_t want, struct error *error)
{
    return fail(error, EXIT_INPUT, "%s: %s %zu: the content ends here, its header promises %zu bytes", file->name, kind_of_offset(file), at, want);
}

static int check_side(const struct gzip *file, int dimension, uint32_t found, uint32_t most, const char *what, struct error *error)
{
    if (found >= 1 && found <= most)
        return 0;
    return fail(error, EXIT_INPUT, "%s: %s %d: want 1..%u %s, found %u", file->name, kind_of_offset(file), WORD * (dimension + 1), most, what, found);
}

static int read_header(struct idx *idx, struct gzip *file, int dimensions, struct error *error)
{
    static const char *const what[IDX_DIMENSIONS] = { "items", "rows", "columns" };
    uint8_t header[WORD * (1 + IDX_DIMENSIONS)];
    idx->header_bytes = (size_t)WORD * (1 + (size_t)dimensions);
    int64_t got = gzip_read(file, header, idx->header_bytes, error);
    if (got < 0)
        return -1;
    uint32_t want = MAGIC_UNSIGNED_BYTES | (uint32_t)dimensions;
    if (got >= WORD && big_endian(header) != want)
        return fail(error, EXIT_INPUT, "%s: %s 0: want the magic number 0x%08x (IDX, %d dimensions of unsigned bytes), found 0x%08x", file->name,
                    kind_of_offset(file), want, dimensions, big_endian(header));
    if (got < (int64_t)idx->header_bytes)
        return fail(error, EXIT_INPUT, "%s: %s %lld: the content ends here, want an IDX header of %zu bytes", file->name, kind_of_offset(file),
                    (long long)got, idx->header_bytes);

    idx->n = big_endian(header + WORD);
    idx->item_bytes = 1;
    if (check_side(file, 0, (uint32_t)idx->n, INT32_MAX, what[0], error))
        return -1;
    for (int d = 1; d < IDX_DIMENSIONS; d++) {
        uint32_t side = d < dimensions ? big_endian(header + WORD * (d + 1)) : 1;
        if (check_side(file, d, side, IDX_MOST_SIDE, what[d], error))
            return -1;
        idx->sides[d - 1] = side;
        idx->item_bytes *= side;
    }
    return 0;
}

/* Whether a file of this length can hold what its header promises. */
static int check_promise(const struct gzip *file, size_t promised, struct error *error)
{
    size_t stored = (size_t)file->bytes;
    if (file->gzipped && promised / GZIP_MOST_RATIO > stored)
        return fail(error, EXIT_INPUT, "%s: unpacked byte %d: the header promises %zu bytes, more than %zu gzipped bytes can hold", file->name, WORD,
                    promised, stored);
    if (!file->gzipped && stored < promised)
        return ends_early(file, stored, promised, error);
    return 0;
}

static int read_items(struct idx *idx, struct gzip *file, struct error *error)
{
    size_t bytes, promised;
    if (!size_product((size_t)idx->n, idx->item_bytes, &bytes) || !size_sum(bytes, idx->header_bytes, &promised))
        return fail(error, EXIT_INPUT, "%s: %s %d: the header promises more bytes than this machine can address", file->name, kind_of_offset(file), WORD);
    if (check_promise(file, promised, error) || door_allocate((void **)&idx->items, bytes, file->name, error))
        return -1;
    int64_t got = gzip_read(file, idx->items, bytes, error);
    if (got < 0)
        return -1;
    if ((size_t)got < bytes)
        return ends_early(file, idx->header_bytes + (size_t)got, promised, error);
    uint8_t extra;
    got = gzip_read(file, &extra, 1, error);
    if (got > 0)
        return fail(error, EXIT_INPUT, "%s: %s %zu: want the end of the content, found more", file->name, kind_of_offset(file), promised);
    return (int)got;
}

static int read_all(struct idx *idx, const char *name, int fd, const uint8_t *memory, int64_t bytes, int dimensions, struct error *error)
{
    struct gzip file;
    *idx = (struct idx){ 0 };
    if (gzip_open(&file, name, fd, memory, bytes, error))
        return -1;
    idx->gzipped = file.gzipped;
    int result = read_header(idx, &file, dimensions, error);
    if (result == 0)
        result = read_items(idx, &file, error);
    gzip_close(&file);
    if (result)
        idx_release(idx);
    return result;
}

int idx_parse(struct idx *idx, const char *name, const uint8_t *bytes, size_t n, int dimensions, struct error *error)
{
    return read_all(idx, name, -1, bytes, (int64_t)n, dimensions, error);
}

/* Opens path, or path.gz when there is no such file; `name` is what was opened, or could not be. */
static int open_either(const char *path, char *name, size_t name_bytes, struct error *error)
{
    if ((size_t)snprintf(name, name_bytes, "%s.gz", path) >= name_bytes)
        return fail(error, EXIT_INPUT, "%.60s...: want a path shorter than %zu characters", path, name_bytes - 3);
    snprintf(name, name_bytes, "%s", path);
    int fd = door_open_read(name);
    if (fd < 0 && errno == ENOENT) {
        snprintf(name, name_bytes, "%s.gz", path);
        fd = door_open_read(name);
        if (fd < 0 && errno == ENOENT)
            return fail(error, EXIT_INPUT, "%s: no such file, and no %s", path, name);
    }
    return fd < 0 ? fail_errno(error, EXIT_INPUT, errno, "%s: cannot open", name) : fd;
}

int idx_open(struct idx *idx, const char *path, int dimensions, struct error *error)
{
    char name[PATH_ROOM];
    *idx = (struct idx){ 0 };
    int fd = open_either(path, name, sizeof name, error);
    if (fd < 0)
        return -1;
    int64_t bytes = door_file_bytes(fd);
    int result = bytes < 0 ? fail_errno(error, EXIT_INPUT, errno, "%s: cannot read", name) : read_all(idx, name, fd, NULL, bytes, dimensions, error);
    if (door_close(fd) && result == 0)
        result = fail_errno(error, EXIT_INPUT, errno, "%s: cannot close", name);
    if (result)
        idx_release(idx);
    return result;
}

void idx_release(struct idx *idx)
{
    door_free(idx->items);
    *idx = (struct idx){ 0 };
}
