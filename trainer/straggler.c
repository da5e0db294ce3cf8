/* See straggler.h. */
#include "trainer/straggler.h"

#include "base/door.h"
#include "base/elementary.h"
#include "base/philox.h"
#include "trainer/worker.h"
#include "trainer/worker_wait.h"

bool straggler_is_on(const struct config *config)
{
    const struct real_list *slowdown = &config->workers.slowdown;
    for (int i = 0; i < slowdown->n; i++)
        if (slowdown->values[i] != 1)
            return true;
    return config->workers.jitter > 0;
}

void straggler_draw(struct worker *worker)
{
    const struct config *config = &worker->run->config;
    const struct real_list *slowdown = &config->workers.slowdown;
    worker->stretch = slowdown->values[slowdown->n == 1 ? 0 : worker->number];
    if (config->workers.jitter > 0) {
        struct philox_block block = philox(philox_key((uint64_t)config->train.seed, hash_name("jitter")), (uint64_t)worker->number, (uint64_t)worker->iteration);
        worker->stretch *= 1 - config->workers.jitter
            * elementary_log(1 - uniform_double(block.word[0], block.word[1]));
    }
}

int64_t straggler_sleep(struct worker *worker, int64_t computed_ns, int64_t now_ns)
{
    if (worker->stretch <= 1)
        return now_ns;
    worker_wake_server(worker);
    door_sleep_until_ns(now_ns + (int64_t)((double)computed_ns * (worker->stretch - 1)));
    int64_t after = door_now_ns();
    trace_add(&worker->trace, PHASE_EMULATED, worker->iteration, -1, now_ns, after);
    return after;
}
