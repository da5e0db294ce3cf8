/* A record becomes done once: a word to sleep on. Releasing a reference would order whoever held it before whoever frees it, which no program
 * may rely on, so ThreadSanitizer is told to overlook it. */
#include "tests/emulated/runtime.h"

#include <limits.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifdef __SANITIZE_THREAD__
void AnnotateIgnoreSyncBegin(const char *file, int line);
void AnnotateIgnoreSyncEnd(const char *file, int line);
void AnnotateIgnoreWritesBegin(const char *file, int line);
void AnnotateIgnoreWritesEnd(const char *file, int line);
static void overlook(void) { AnnotateIgnoreSyncBegin(__FILE__, __LINE__), AnnotateIgnoreWritesBegin(__FILE__, __LINE__); }
static void look(void) { AnnotateIgnoreWritesEnd(__FILE__, __LINE__), AnnotateIgnoreSyncEnd(__FILE__, __LINE__); }
#else
static void overlook(void) {}
static void look(void) {}
#endif

struct record {
    atomic_uint done, references;
    int64_t ns; /* written before done */
};

struct record *emulated_record_new(void)
{
    struct record *record = calloc(1, sizeof *record);
    if (!record)
        abort();
    atomic_store_explicit(&record->references, 1, memory_order_relaxed);
    return record;
}

struct record *emulated_record_keep(struct record *record)
{
    atomic_fetch_add_explicit(&record->references, 1, memory_order_relaxed);
    return record;
}

void emulated_record_drop(struct record *record)
{
    if (!record)
        return;
    overlook();
    if (atomic_fetch_sub(&record->references, 1) == 1)
        free(record);
    look();
}

void emulated_record_complete(struct record *record)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    record->ns = now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
    atomic_store_explicit(&record->done, 1, memory_order_release);
    syscall(SYS_futex, &record->done, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

bool emulated_record_done(const struct record *record) { return atomic_load_explicit(&record->done, memory_order_acquire); }

void emulated_record_wait(const struct record *record)
{
    while (!emulated_record_done(record))
        syscall(SYS_futex, &record->done, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
}

int64_t emulated_record_ns(const struct record *record) { return record->ns; }
