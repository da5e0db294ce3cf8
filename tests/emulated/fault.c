/* Calls that are to fail: from ONESTEP_EMULATED_FAIL=function:n[:code],... and from tests. With ONESTEP_EMULATED_CALLS=file all of them are counted, and the file tells how many
 * calls of each there were. */
#include "tests/emulated/emulated.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FAULTS = 160, NAME = 64 };

static struct fault { char function[NAME]; long calls, at; int code; } faults[FAULTS];
static atomic_int n_faults; /* nothing is counted or locked while there are none */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static const char *counts; /* the file, or NULL */

static struct fault *find(const char *function)
{
    for (int i = 0; i < atomic_load(&n_faults); i++)
        if (strcmp(faults[i].function, function) == 0)
            return &faults[i];
    return NULL;
}

static struct fault *find_or_add(const char *function)
{
    struct fault *fault = find(function);
    if (fault)
        return fault;
    if (atomic_load(&n_faults) == FAULTS)
        abort();
    fault = &faults[atomic_load(&n_faults)];
    snprintf(fault->function, sizeof fault->function, "%s", function);
    atomic_fetch_add(&n_faults, 1);
    return fault;
}

static void ask(const char *function, long n, int code)
{
    pthread_mutex_lock(&lock);
    struct fault *fault = find_or_add(function);
    fault->at = n ? fault->calls + n : 0;
    fault->code = code;
    pthread_mutex_unlock(&lock);
}

static void write_counts(void)
{
    FILE *file = fopen(counts, "w");
    for (int i = 0; file && i < atomic_load(&n_faults); i++)
        fprintf(file, "%s %ld\n", faults[i].function, faults[i].calls);
    if (!file || fclose(file))
        fprintf(stderr, "ONESTEP_EMULATED_CALLS: %s cannot be written\n", counts);
}

static void read_environment(void)
{
    const char *list = getenv("ONESTEP_EMULATED_FAIL");
    char function[NAME];
    counts = getenv("ONESTEP_EMULATED_CALLS");
    if (counts)
        atexit(write_counts);
    for (int taken; list && *list; list += taken, list += *list == ',') {
        long n = 0;
        int code = 0;
        taken = 0;
        if (sscanf(list, "%63[^:,]:%ld%n:%d%n", function, &n, &taken, &code, &taken) < 2 || (list[taken] && list[taken] != ',')) {
            fprintf(stderr, "ONESTEP_EMULATED_FAIL: want function:n[:code],..., got \"%s\"\n", list);
            exit(2);
        }
        ask(function, n, code);
    }
}

void emulated_fail(const char *function, long n, int code)
{
    pthread_once(&once, read_environment);
    ask(function, n, code);
}

int emulated_fault(const char *function, int otherwise)
{
    pthread_once(&once, read_environment);
    if (!counts && !atomic_load_explicit(&n_faults, memory_order_relaxed))
        return 0;
    pthread_mutex_lock(&lock);
    struct fault *fault = counts ? find_or_add(function) : find(function);
    bool fails = fault && ++fault->calls == fault->at;
    int code = fails && fault->code ? fault->code : otherwise;
    pthread_mutex_unlock(&lock);
    return fails ? code : 0;
}

long emulated_calls(const char *function)
{
    pthread_mutex_lock(&lock);
    struct fault *fault = find(function);
    long calls = fault ? fault->calls : 0;
    pthread_mutex_unlock(&lock);
    return calls;
}
