/* Synchronous SGD (docs/algorithms.md section 4): everybody pushes g_t and waits for W_{t+1}. */
#include "trainer/algorithm.h"
#include "trainer/server.h"
#include "trainer/worker.h"

static struct declaration declare(const struct config *config)
{
    (void)config;
    return (struct declaration){ .versions = 1, .server_states = 1u << SERVER_MOMENTUM };
}

static int choose_weights(struct worker *worker, int64_t t, int bucket, struct error *error)
{
    const float *weights;
    int64_t version;
    if (worker_wait_reply(worker, t, bucket, REPLY_WEIGHTS, &weights, &version, error))
        return -1;
    worker_adopt(worker, bucket, weights);
    return worker_built_on(worker, t, bucket, version, 0, error);
}

static int push_arrived(struct server *server, const struct message *push, struct error *error)
{
    if (!server_gathered(server, push))
        return 0;
    if (server_update(server, push->iteration, (int)push->bucket, false, error))
        return -1;
    server_reply_all(server, push->iteration, (int)push->bucket, REPLY_WEIGHTS);
    return 0;
}

const struct algorithm algorithm_ssgd = {
    .name = "ssgd", .help = "synchronous SGD: every worker waits for every other", .synchronous = true,
    .declare = declare, .requires_version = algorithm_requires_newest, .choose_weights = choose_weights, .gradient_ready = worker_push, .push_arrived = push_arrived,
};
