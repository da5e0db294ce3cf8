/* Threads: start with a name, join, ask for quick wake-ups. */
#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include <pthread.h>

struct error;

/* EXIT_MEMORY when the system will not give another thread. `name`: at most 15 characters, shown by ps and gdb. */
int thread_start(pthread_t *thread, const char *name, void *(*run)(void *context), void *context, struct error *error);

/* Asks that the calling thread, when it is woken, runs soon, though busy threads have its processor: a short slice for Linux's scheduler (6.12 and later;
 * others ignore it). For threads that mostly sleep and that others wait for. */
void thread_wake_soon(void);

/* Asks that the calling thread's sleeps end when they are to end: Linux otherwise adds up to 50 microseconds, so that
 * several timers can be served at once. */
void thread_sleep_exactly(void);

/* Waits for it to end. */
void thread_join(pthread_t thread);

#endif
