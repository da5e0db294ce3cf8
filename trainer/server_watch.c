/* Main's watch over sums of GPUs. A thread that waits for its GPU sees no halt, and a sum that one of the GPUs stays away from ends by abort alone: so whoever aborts waits for no
 * GPU, and that is main. The server says each time around until when it will be back. */
#include "trainer/server_parts.h"

#include "base/door.h"

enum { GRACE_S = 2 }; /* the server's own patience speaks first */

void server_watch_for(struct server *server)
{
    atomic_store_explicit(&server->back_by_ns, door_now_ns() + server->patience_ns + (int64_t)GRACE_S * 1000000000, memory_order_relaxed);
}

int server_watch_fail(struct error *error)
{
    return fail(error, EXIT_DEVICE, "cuda: summing over GPUs: NCCL: a sum does not end, as if one of the GPUs took no part in it; NCCL_DEBUG=INFO shows more");
}

void server_watch(struct server *server)
{
    struct run *run = server->run;
    struct error error = { 0 };
    int64_t back_by = atomic_load_explicit(&server->back_by_ns, memory_order_relaxed);
    if (!server->replicas.collective)
        return;
    if (back_by && door_now_ns() > back_by && !halted(&run->halt)) {
        server_watch_fail(&error);
        halt_raise(run, &error);
    }
    if (halted(&run->halt))
        server_replicas_abort(server);
}
