/* See thread.h. */
#include "base/thread.h"

#include "base/error.h"

#include <signal.h>
#include <stdio.h>

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

void thread_join(pthread_t thread) { pthread_join(thread, NULL); }
