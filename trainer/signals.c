/* See signals.h. The handler sets one flag; that flag and its time are the program's only state that a signal may touch. */
#include "trainer/signals.h"

#include "base/error.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static volatile sig_atomic_t caught;
static struct timespec caught_at; /* written by the handler alone */

/* timeout(1) and job schedulers signal the process and then its group: twice in this time is once. */
enum { ONCE_MS = 300 };

static void on_signal(int number)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (caught && (now.tv_sec - caught_at.tv_sec) * 1000 + (now.tv_nsec - caught_at.tv_nsec) / 1000000 > ONCE_MS)
        _Exit(EXIT_SIGNAL + number);
    if (!caught)
        caught_at = now;
    caught = number;
}

void signals_catch(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

int signals_caught(void) { return caught; }
