/* See halt.h. */
#include "trainer/halt.h"

#include "trainer/run.h"

void halt_raise(struct run *run, const struct error *error)
{
    pthread_mutex_lock(&run->halt.lock);
    if (error->code && !run->halt.first.code)
        run->halt.first = *error;
    pthread_mutex_unlock(&run->halt.lock);
    atomic_store_explicit(&run->halt.raised, true, memory_order_release); /* pairs with the acquire in halted */
    loader_stop(run->loader);
    loader_stop(run->evaluation.loader);
    for (int end = 0; end < run->transport.ends; end++)
        run->transport.calls->wake(&run->transport, end);
}
