/* See gzip.h. zlib does the inflating; its memory comes through the door. */
#include "data/gzip.h"

#include "base/door.h"
#include "base/error.h"
#include "base/sizes.h"

#include <errno.h>
#include <string.h>

enum { MAGIC_1 = 0x1f, MAGIC_2 = 0x8b, GZIP_ONLY = 16 + MAX_WBITS };

static void *allocate(void *unused, unsigned n, unsigned bytes)
{
    (void)unused;
    void *block;
    struct error ignored = { 0 }; /* zlib reports Z_MEM_ERROR itself */
    return door_allocate(&block, (size_t)n * bytes, "inflating", &ignored) ? Z_NULL : block;
}

static void release(void *unused, void *block)
{
    (void)unused;
    door_free(block);
}

/* Up to `bytes` stored bytes; fewer only where the file ends. */
static int64_t fetch(struct gzip *gzip, void *to, size_t bytes, struct error *error)
{
    size_t want = size_min(bytes, (size_t)(gzip->bytes - gzip->offset));
    if (want == 0)
        return 0;
    int64_t got = (int64_t)want;
    if (gzip->fd < 0)
        memcpy(to, gzip->memory + gzip->offset, want);
    else
        got = door_read_at(gzip->fd, to, want, gzip->offset);
    if (got < 0)
        return fail_errno(error, EXIT_INPUT, errno, "%s: byte %lld: cannot read", gzip->name, (long long)gzip->offset);
    gzip->offset += got;
    if (got < (int64_t)want)
        gzip->bytes = gzip->offset; /* the file was cut after it was opened */
    return got;
}

static int refill(struct gzip *gzip, struct error *error)
{
    int64_t got = fetch(gzip, gzip->input, sizeof gzip->input, error);
    if (got < 0)
        return -1;
    gzip->stream.next_in = gzip->input;
    gzip->stream.avail_in = (unsigned)got;
    return 0;
}

int gzip_open(struct gzip *gzip, const char *name, int fd, const uint8_t *memory, int64_t bytes, struct error *error)
{
    uint8_t magic[2] = { 0 };
    *gzip = (struct gzip){ .name = name, .fd = fd, .memory = memory, .bytes = bytes };
    if (fetch(gzip, magic, sizeof magic, error) < 0)
        return -1;
    gzip->offset = 0;
    if (magic[0] != MAGIC_1 || magic[1] != MAGIC_2)
        return 0;
    gzip->stream.zalloc = allocate;
    gzip->stream.zfree = release;
    if (inflateInit2(&gzip->stream, GZIP_ONLY) != Z_OK)
        return fail(error, EXIT_MEMORY, "out of memory: inflating %s", name);
    gzip->gzipped = true;
    return 0;
}

static int64_t stored_offset(const struct gzip *gzip) { return gzip->offset - gzip->stream.avail_in; }

/* A member is complete: the content ends here, or another member follows. */
static int next_member(struct gzip *gzip, struct error *error)
{
    if (gzip->stream.avail_in == 0 && refill(gzip, error))
        return -1;
    if (gzip->stream.avail_in == 0) {
        gzip->ended = true;
        return 0;
    }
    if (gzip->stream.next_in[0] != MAGIC_1)
        return fail(error, EXIT_INPUT, "%s: byte %lld: want the end of the file or another gzip member, found byte 0x%02x", gzip->name,
                    (long long)stored_offset(gzip), gzip->stream.next_in[0]);
    inflateReset(&gzip->stream);
    return 0;
}

static int inflate_some(struct gzip *gzip, struct error *error)
{
    if (gzip->stream.avail_in == 0 && refill(gzip, error))
        return -1;
    if (gzip->stream.avail_in == 0)
        return fail(error, EXIT_INPUT, "%s: byte %lld: the file ends inside its gzipped data, after %lld unpacked bytes", gzip->name,
                    (long long)gzip->offset, (long long)gzip->unpacked);
    unsigned before = gzip->stream.avail_out;
    int result = inflate(&gzip->stream, Z_NO_FLUSH);
    gzip->unpacked += before - gzip->stream.avail_out;
    if (result == Z_STREAM_END)
        return next_member(gzip, error);
    if (result == Z_MEM_ERROR)
        return fail(error, EXIT_MEMORY, "out of memory: inflating %s", gzip->name);
    if (result != Z_OK)
        return fail(error, EXIT_INPUT, "%s: byte %lld: want gzipped data, found %s", gzip->name, (long long)stored_offset(gzip),
                    gzip->stream.msg ? gzip->stream.msg : "damage");
    return 0;
}

int64_t gzip_read(struct gzip *gzip, void *to, size_t bytes, struct error *error)
{
    size_t done = 0;
    if (!gzip->gzipped) {
        int64_t got = fetch(gzip, to, bytes, error);
        gzip->unpacked += got > 0 ? got : 0;
        return got;
    }
    while (done < bytes && !gzip->ended) {
        unsigned room = (unsigned)size_min(bytes - done, (size_t)1 << 30); /* zlib counts in 32 bits */
        gzip->stream.next_out = (uint8_t *)to + done;
        gzip->stream.avail_out = room;
        if (inflate_some(gzip, error))
            return -1;
        done += room - gzip->stream.avail_out;
    }
    return (int64_t)done;
}

void gzip_close(struct gzip *gzip)
{
    if (gzip->gzipped)
        inflateEnd(&gzip->stream);
    gzip->gzipped = false;
}
