/* See door.h. The counters and planned faults are the one piece of process-wide state: a test plans a fault before the threads start. */
#include "base/door.h"

#include "base/error.h"
#include "base/sizes.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static struct {
    _Atomic int64_t calls, fail_at; /* fail_at: absolute call number; 0 for never */
    _Atomic int number, stays;
} doors[DOOR_CALLS];

static const char *const call_names[DOOR_CALLS] = { "open", "read", "write", "sync", "close", "rename", "mkdir", "remove", "allocate" };

/* True when this call is to fail; errno is then set. */
static bool faulty(enum door_call call)
{
    int64_t now = atomic_fetch_add_explicit(&doors[call].calls, 1, memory_order_relaxed) + 1;
    int64_t at = atomic_load_explicit(&doors[call].fail_at, memory_order_relaxed);
    if (!at || now < at || (now > at && !atomic_load_explicit(&doors[call].stays, memory_order_relaxed)))
        return false;
    errno = atomic_load_explicit(&doors[call].number, memory_order_relaxed);
    return true;
}

int64_t door_calls(enum door_call call) { return atomic_load_explicit(&doors[call].calls, memory_order_relaxed); }

void door_fail_at(enum door_call call, int64_t n, int number, bool stays)
{
    atomic_store(&doors[call].number, number);
    atomic_store(&doors[call].stays, stays);
    atomic_store(&doors[call].fail_at, n ? door_calls(call) + n : 0);
}

int door_faults_from_environment(struct error *error)
{
    const char *plan = getenv("ONESTEP_FAULT");
    if (!plan)
        return 0;
    char name[16];
    int64_t n;
    int number, end = 0;
    if (sscanf(plan, "%15[a-z]:%18" SCNd64 ":%9d%n", name, &n, &number, &end) == 3 && n > 0 && number > 0)
        for (int call = 0; call < DOOR_CALLS; call++)
            if (strcmp(name, call_names[call]) == 0 && (!plan[end] || strcmp(plan + end, ":stay") == 0)) {
                door_fail_at(call, n, number, plan[end]);
                return 0;
            }
    return fail(error, EXIT_USAGE, "ONESTEP_FAULT: want CALL:N:ERRNO or CALL:N:ERRNO:stay, got \"%s\"", plan);
}

static int open_retrying(const char *path, int flags)
{
    if (faulty(DOOR_OPEN))
        return -1;
    int fd;
    do
        fd = open(path, flags | O_CLOEXEC, 0666);
    while (fd < 0 && errno == EINTR);
    return fd;
}

/* Not blocking: opening a named pipe that nobody writes to would wait for ever. It changes nothing for a file or a folder. */
int door_open_read(const char *path) { return open_retrying(path, O_RDONLY | O_NONBLOCK); }
int door_open_new(const char *path) { return open_retrying(path, O_WRONLY | O_CREAT | O_TRUNC); }
int door_open_append(const char *path) { return open_retrying(path, O_WRONLY | O_CREAT | O_APPEND); }

int64_t door_file_bytes(int fd)
{
    struct stat status;
    if (fstat(fd, &status) < 0)
        return -1;
    if (!S_ISREG(status.st_mode)) {
        errno = S_ISDIR(status.st_mode) ? EISDIR : EINVAL;
        return -1;
    }
    return status.st_size;
}

int64_t door_read_at(int fd, void *to, size_t bytes, int64_t offset)
{
    if (faulty(DOOR_READ))
        return -1;
    size_t done = 0;
    while (done < bytes) {
        ssize_t got = pread(fd, (char *)to + done, bytes - done, offset + (int64_t)done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        done += (size_t)got;
    }
    return (int64_t)done;
}

int door_write(int fd, const void *from, size_t bytes)
{
    if (faulty(DOOR_WRITE))
        return -1;
    size_t done = 0;
    while (done < bytes) {
        ssize_t put = write(fd, (const char *)from + done, bytes - done);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return -1;
        done += (size_t)put;
    }
    return 0;
}

int door_truncate(int fd, int64_t bytes) { return faulty(DOOR_WRITE) ? -1 : ftruncate(fd, bytes); }
int door_sync(int fd) { return faulty(DOOR_SYNC) ? -1 : fsync(fd); }

int door_close(int fd)
{
    bool fault = faulty(DOOR_CLOSE);
    int number = errno;
    int result = close(fd);
    if (!fault)
        return result;
    errno = number;
    return -1;
}

int door_rename(const char *from, const char *to) { return faulty(DOOR_RENAME) ? -1 : rename(from, to); }
int door_mkdir(const char *path) { return faulty(DOOR_MKDIR) ? -1 : mkdir(path, 0777); }
int door_remove(const char *path) { return faulty(DOOR_REMOVE) ? -1 : remove(path); }
bool door_exists(const char *path) { return access(path, F_OK) == 0; }

int64_t door_age_seconds(const char *path)
{
    struct stat file;
    if (stat(path, &file))
        return -1;
    int64_t age = door_wall_seconds() - (int64_t)file.st_mtime;
    return age > 0 ? age : 0;
}

int door_touch(const char *path) { return utimensat(AT_FDCWD, path, NULL, 0); }

bool door_same(const char *a, const char *b)
{
    struct stat first, second;
    return stat(a, &first) == 0 && stat(b, &second) == 0 && first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

int door_list_folder(const char *path, int (*take)(void *context, const char *name), void *context)
{
    if (faulty(DOOR_OPEN))
        return -1;
    DIR *folder = opendir(path);
    if (!folder)
        return -1;
    int result = 0, number = 0;
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(folder);
        number = errno;
        if (!entry || (result = take(context, entry->d_name)) != 0)
            break;
    }
    if (closedir(folder) && !number)
        number = errno;
    errno = number;
    return result || number ? -1 : 0;
}

int door_allocate(void **block, size_t bytes, const char *what, struct error *error)
{
    size_t alignment = bytes >= (size_t)2 << 20 ? (size_t)2 << 20 : DOOR_ALIGNMENT;
    size_t rounded;
    *block = NULL;
    if (faulty(DOOR_ALLOCATE) || !size_sum(bytes, alignment - 1, &rounded))
        return fail(error, EXIT_MEMORY, "out of memory: %s wants %zu bytes", what, bytes);
    rounded = round_up(bytes ? bytes : 1, DOOR_ALIGNMENT);
    if (posix_memalign(block, alignment, rounded)) {
        *block = NULL;
        return fail(error, EXIT_MEMORY, "out of memory: %s wants %zu bytes", what, bytes);
    }
    if (alignment > DOOR_ALIGNMENT)
        madvise(*block, rounded, MADV_HUGEPAGE);
    memset(*block, 0, rounded);
    return 0;
}

void door_free(void *block) { free(block); }

int64_t door_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t door_thread_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t door_wall_seconds(void) { return (int64_t)time(NULL); }

void door_sleep_until_ns(int64_t ns)
{
    struct timespec until = { ns / 1000000000, ns % 1000000000 };
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
        ;
}
