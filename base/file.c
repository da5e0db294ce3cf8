/* See file.h. */
#include "base/file.h"

#include "base/door.h"
#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { PATH_ROOM = 4096 };

static int sync_folder(const char *path)
{
    char folder[PATH_ROOM];
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) + (slash == path) : 1, slash ? path : ".");
    int fd = door_open_read(folder);
    if (fd < 0)
        return -1;
    int synced = door_sync(fd), number = errno;
    if (door_close(fd) == 0 && synced == 0)
        return 0;
    if (synced)
        errno = number;
    return -1;
}

static int write_parts(const char *path, const struct file_part *parts, int n_parts)
{
    int fd = door_open_new(path);
    if (fd < 0)
        return -1;
    int result = 0;
    for (int i = 0; i < n_parts && result == 0; i++)
        if (parts[i].n)
            result = door_write(fd, parts[i].bytes, parts[i].n);
    if (result == 0)
        result = door_sync(fd);
    int number = errno;
    int closed = door_close(fd);
    if (result) {
        errno = number;
        return -1;
    }
    return closed;
}

int file_replace(const char *path, const struct file_part *parts, int n_parts, struct error *error)
{
    char part[PATH_ROOM];
    if ((size_t)snprintf(part, sizeof part, "%s.part", path) >= sizeof part)
        return fail(error, EXIT_OUTPUT, "%.60s...: want a path shorter than %d characters", path, PATH_ROOM - 5);
    if (write_parts(part, parts, n_parts) || door_rename(part, path)) {
        int number = errno;
        door_remove(part);
        return fail_errno(error, EXIT_OUTPUT, number, "%s: cannot write", path);
    }
    if (sync_folder(path))
        return fail_errno(error, EXIT_OUTPUT, errno, "%s: written, but its folder could not be synced", path);
    return 0;
}

int file_append(int fd, const char *path, const char *text, size_t n, struct error *error)
{
    return door_write(fd, text, n) ? fail_errno(error, EXIT_OUTPUT, errno, "%s: cannot append", path) : 0;
}

int file_read(const char *path, size_t limit, char **text, size_t *n, struct error *error)
{
    *text = NULL;
    int fd = door_open_read(path);
    if (fd < 0)
        return fail_errno(error, EXIT_INPUT, errno, "%s: cannot open", path);
    int64_t bytes = door_file_bytes(fd);
    int result = 0;
    void *block = NULL;
    if (bytes < 0)
        result = fail_errno(error, EXIT_INPUT, errno, "%s: cannot read", path);
    else if ((uint64_t)bytes > limit)
        result = fail(error, EXIT_INPUT, "%s: want at most %zu bytes, found %lld", path, limit, (long long)bytes);
    else
        result = door_allocate(&block, (size_t)bytes + 1, path, error);
    if (result == 0) {
        int64_t got = door_read_at(fd, block, (size_t)bytes, 0);
        if (got < 0)
            result = fail_errno(error, EXIT_INPUT, errno, "%s: cannot read", path);
        else if (got != bytes)
            result = fail(error, EXIT_INPUT, "%s: changed while it was read: %lld of %lld bytes", path, (long long)got, (long long)bytes);
    }
    if (door_close(fd) && result == 0)
        result = fail_errno(error, EXIT_INPUT, errno, "%s: cannot close", path);
    if (result) {
        door_free(block);
        return -1;
    }
    *text = block;
    *n = (size_t)bytes;
    return 0;
}
