/* See thread.h. */
#include "base/thread.h"

#include "base/error.h"

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

int thread_start(pthread_t *thread, const char *name, void *(*run)(void *context), void *context, struct error *error)
{
    /* Signals go to the main thread only. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int number = pthread_create(thread, NULL, run, context);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (number)
        return fail_errno(error, EXIT_MEMORY, number, "cannot start thread %s", name);
    char short_name[16];
    snprintf(short_name, sizeof short_name, "%s", name);
    pthread_setname_np(*thread, short_name);
    return 0;
}

/* The kernel's struct sched_attr in its first version: glibc 2.36 declares none. */
struct schedule_request { uint32_t bytes, policy; uint64_t flags; int32_t nice; uint32_t priority; uint64_t runtime_ns, deadline_ns, period_ns; };

void thread_wake_soon(void)
{
    /* of SCHED_OTHER the runtime is the slice: the shortest one that is accepted */
    struct schedule_request request = { .bytes = sizeof request, .nice = getpriority(PRIO_PROCESS, 0), .runtime_ns = 100000 };
    syscall(SYS_sched_setattr, 0, &request, 0);
}

void thread_sleep_exactly(void) { prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL); }

void thread_join(pthread_t thread) { pthread_join(thread, NULL); }
