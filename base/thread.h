/* Threads: start with a name, join, pin to a processor. */
#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include <pthread.h>

struct error;

/* EXIT_MEMORY when the system will not give another thread. `name`: at most 15 characters, shown by ps and gdb. */
int thread_start(pthread_t *thread, const char *name, void *(*run)(void *context), void *context, struct error *error);

/* Waits for it to end. */
void thread_join(pthread_t thread);

#endif
