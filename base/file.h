/* Files that last: replaced whole, or appended to. Written by one thread with plain writes; every write, sync and close is checked. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stddef.h>
#include <stdint.h>

struct error;

/* A part of a file to be written. */
struct file_part { const void *bytes; size_t n; };

/* Writes the parts to `path` so that at any moment the path holds the old file or the whole new one: path.part, fsync, rename, fsync
 * of the folder. On failure, EXIT_OUTPUT, the temporary file is removed and the old file stays; when only the folder's fsync failed the
 * new file is in its place, and the message says so. */
int file_replace(const char *path, const struct file_part *parts, int n_parts, struct error *error);

/* Appends text to an open file (door_open_append). EXIT_OUTPUT; `path` is for the message. */
int file_append(int fd, const char *path, const char *text, size_t n, struct error *error);

/* Reads a whole file of at most `limit` bytes; one zero byte is added. The caller frees with door_free. EXIT_INPUT, EXIT_MEMORY. */
int file_read(const char *path, size_t limit, char **text, size_t *n, struct error *error);

#endif
