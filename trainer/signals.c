/* See signals.h. The handler sets one flag; that flag is the program's only state that a signal may touch. */
#include "trainer/signals.h"

#include "base/error.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

static volatile sig_atomic_t caught;

static void on_signal(int number)
{
    if (caught)
        _Exit(EXIT_SIGNAL + number);
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
