/* Asynchronous SGD and its delay-compensated form, DC-ASGD (docs/algorithms.md section 5; arXiv 1609.08326): the server applies each push at once and answers its
 * sender alone. They differ in one term of the update. */
#include "trainer/algorithm.h"
#include "trainer/server.h"
#include "trainer/worker.h"

static struct declaration declare_asgd(const struct config *config)
{
    (void)config;
    return (struct declaration){ .server_states = 1u << SERVER_MOMENTUM, .local_weights = true };
}

static struct declaration declare_dcasgd(const struct config *config)
{
    return (struct declaration){ .server_states = 1u << SERVER_MOMENTUM | (config->async.adaptive ? 1u << SERVER_MEAN_SQUARE : 0), .local_weights = true };
}

static int choose_weights(struct worker *worker, int64_t t, int bucket, struct error *error)
{
    const float *weights;
    int64_t version;
    if (worker_wait_reply(worker, t, bucket, REPLY_WEIGHTS, &weights, &version, error))
        return -1;
    worker_adopt(worker, bucket, weights);
    worker_note_version(worker, bucket, version);
    return 0;
}

static int serve(struct server *server, const struct message *push, bool compensate)
{
    server_update_one(server, push, compensate);
    server_reply_one(server, push);
    return 0;
}

static int push_arrived_asgd(struct server *server, const struct message *push, struct error *error)
{
    (void)error;
    return serve(server, push, false);
}

static int push_arrived_dcasgd(struct server *server, const struct message *push, struct error *error)
{
    (void)error;
    return serve(server, push, true);
}

const struct algorithm algorithm_asgd = {
    .name = "asgd", .help = "asynchronous SGD: nobody waits, gradients are stale",
    .declare = declare_asgd, .requires_version = algorithm_requires_newest, .choose_weights = choose_weights, .gradient_ready = worker_push, .push_arrived = push_arrived_asgd,
};

const struct algorithm algorithm_dcasgd = {
    .name = "dcasgd", .help = "asynchronous SGD with delay compensation (arXiv 1609.08326)",
    .declare = declare_dcasgd, .requires_version = algorithm_requires_newest, .choose_weights = choose_weights, .gradient_ready = worker_push, .push_arrived = push_arrived_dcasgd,
};
