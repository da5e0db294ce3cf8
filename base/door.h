/* The one door to files, memory and the clock.
 *
 * Everything that can fail outside the program goes through here, so that a test can make the n-th call fail, and a count of calls
 * can show that a training step allocates nothing. Each function behaves as the system call of its name (errno is set, partial
 * transfers are completed, EINTR is retried). Any thread may call; the counters are atomic. */
#ifndef BASE_DOOR_H
#define BASE_DOOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;

enum door_call { DOOR_OPEN, DOOR_READ, DOOR_WRITE, DOOR_SYNC, DOOR_CLOSE, DOOR_RENAME, DOOR_MKDIR, DOOR_REMOVE, DOOR_ALLOCATE, DOOR_CALLS };

/* ---- files ---- */
int door_open_read(const char *path);                              /* file descriptor or -1 */
int door_open_new(const char *path);                               /* created or truncated, for writing */
int door_open_append(const char *path);                            /* created when missing */
int64_t door_file_bytes(int fd);                                   /* -1 when it is no regular file (errno EINVAL) */
int64_t door_read_at(int fd, void *to, size_t bytes, int64_t offset); /* bytes read: fewer only at the end of the file; -1 on error */
int door_write(int fd, const void *from, size_t bytes);            /* all of it, or -1 */
int door_truncate(int fd, int64_t bytes);
int door_sync(int fd);
int door_close(int fd);
int door_rename(const char *from, const char *to);
int door_mkdir(const char *path);
int door_remove(const char *path);
bool door_exists(const char *path);
int64_t door_age_seconds(const char *path);                        /* since it was written or touched; -1: no file */
int door_touch(const char *path);                                  /* age 0 from now on */
bool door_same(const char *a, const char *b);                      /* both are there, and are one file or folder */
int door_list_folder(const char *path, int (*take)(void *context, const char *name), void *context); /* every name in it, until `take` returns anything but 0 */

/* ---- memory ---- */
enum { DOOR_ALIGNMENT = 64 };

/* Zeroed, aligned to DOOR_ALIGNMENT (large blocks to a page, with huge pages advised). `what` goes into the message: EXIT_MEMORY. */
int door_allocate(void **block, size_t bytes, const char *what, struct error *error);
void door_free(void *block);

/* ---- the clock ---- */
int64_t door_now_ns(void);            /* monotonic */
int64_t door_thread_ns(void);         /* processor time of the calling thread */
int64_t door_wall_seconds(void);      /* calendar time, for logs and metadata only */
void door_sleep_until_ns(int64_t ns); /* monotonic */

/* ---- faults, for tests ---- */
int64_t door_calls(enum door_call call); /* made so far by this process */

/* From now on the n-th call (1 is the next) of that kind, and every later one when `stays`, fails with errno `number`. n = 0: none. */
void door_fail_at(enum door_call call, int64_t n, int number, bool stays);

/* Faults for a whole process, from ONESTEP_FAULT="write:17:28[:stay]" (call name, n, errno); nothing when unset. EXIT_USAGE when malformed. */
int door_faults_from_environment(struct error *error);

#endif
