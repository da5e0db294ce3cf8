/* The verbs that algorithms are written in, on the server's side. See server.h. */
#include "trainer/server.h"

#include "base/door.h"
#include "trainer/message.h"
#include "trainer/server_parts.h"
#include "trainer/topology.h"
#include "trainer/worker.h"

/* Where all processors have workers, the server takes time from one of them: from the one that is ahead, because it
 * would only wait for the others. */
static void go_beside(struct server *server, int worker)
{
    const struct run *run = server->run;
    if (!run->crowded || server->beside == worker)
        return;
    topology_pin(run->processors[worker]);
    server->beside = worker;
}

bool server_gathered(struct server *server, const struct message *push)
{
    uint64_t *arrived = &server->arrived[2 * push->bucket + (push->iteration & 1)], mask = (uint64_t)1 << push->worker;
    ASSERT(push->iteration == server->versions[push->bucket] || push->iteration == server->versions[push->bucket] + 1);
    ASSERT(!(*arrived & mask));
    if (!*arrived)
        server->ahead = push->worker;
    *arrived |= mask;
    if ((*arrived & server->active) != server->active)
        return false;
    *arrived = server->sending[2 * push->bucket + (push->iteration & 1)] = 0;
    go_beside(server, server->ahead);
    return true;
}

static const struct vector *version_slot(const struct server *server, int64_t version) { return &server->w[server->declared.versions ? version % server->declared.versions : 0]; }
static const struct vector *forecast_slot(const struct server *server, int64_t version) { return &server->p[version % server->declared.forecasts]; }

static float *at(const struct server *server, const struct vector *vector, int bucket) { return shards_at(&server->shards, vector, bucket); }

/* What every update of a bucket has in common; the iteration is the schedule's. */
static struct update update_of(const struct server *server, int64_t iteration, int bucket)
{
    const struct run *run = server->run;
    return (struct update){
        .backend = server->shards.backend, .device = shards_order(&server->shards, bucket), .config = &run->config, .buckets = &run->buckets, .bucket = bucket, .scale = 1,
        .rate = schedule_rate(&run->schedule, iteration), .next_rate = schedule_rate(&run->schedule, iteration + 1),
        .momentum = (float)run->config.optimizer.momentum, .v = at(server, &server->states[SERVER_MOMENTUM], bucket),
        .decays = shards_decays(&server->shards, bucket), .average = at(server, &server->states[SERVER_AVERAGE], bucket), .average_rate = schedule_average_rate(&run->schedule, iteration, run->algorithm->synchronous ? 1 : run->k),
    };
}

int server_gradients(const struct server *server, int64_t iteration, int bucket, const float **gradients)
{
    int n = 0;
    for (int k = 0; k < server->run->k; k++)
        if (server->active & (uint64_t)1 << k)
            gradients[n++] = server_gradient_at(server, k, (int)(iteration & 1), bucket);
    return n;
}

/* The next version is this one again; what is predicted from it has the next rate. */
static void repeat_version(struct server *server, struct update *update)
{
    const struct bucket *row = &server->run->buckets.rows[update->bucket];
    if (update->w_out != update->w)
        server->shards.backend->copy(update->device, update->w_out, update->w, row->end - row->begin);
    update->w = update->w_out;
    if (update->p)
        server->optimizer->forecast(update);
}

int server_update(struct server *server, int64_t iteration, int bucket, bool forecast, struct error *error)
{
    const float *gradients[WORKERS_MAX];
    const struct verdict *verdict = server_verdict(server, iteration, 0);
    struct update update = update_of(server, iteration, bucket);
    update.k = server_gradients(server, iteration, bucket, gradients);
    int64_t began = door_now_ns(); /* where they are copied to the host, they have come */
    update.gradients = gradients;
    update.inv_k = 1.0f / (float)update.k * verdict->factor;
    update.w = at(server, version_slot(server, iteration), bucket);
    update.w_out = at(server, version_slot(server, iteration + 1), bucket);
    update.p = forecast ? at(server, forecast_slot(server, iteration + 1), bucket) : NULL;
    if (verdict->skip)
        repeat_version(server, &update);
    else if (!server->replicas.n)
        server->optimizer->update(&update);
    else if (server_replicas_update(server, &update, iteration, error))
        return -1;
    trace_add(&server->trace, PHASE_UPDATE, iteration, bucket, began, door_now_ns());
    server_version_done(server, bucket, version_slot(server, iteration + 1));
    return 0;
}

void server_update_one(struct server *server, const struct message *push, bool compensate)
{
    const struct run *run = server->run;
    const struct config *config = &run->config;
    int bucket = (int)push->bucket;
    const float *gradient = server_gradient_at(server, push->worker, (int)push->slot, bucket);
    const struct verdict *verdict = server_verdict(server, push->iteration, push->worker);
    struct update update = update_of(server, server->versions[bucket] / run->k, bucket);
    int64_t began = door_now_ns();
    update.gradients = &gradient;
    update.k = 1;
    update.inv_k = verdict->factor;
    update.scale = config->async.scale < 0 ? 1.0f / (float)run->k : (float)config->async.scale;
    if (config->async.server_momentum >= 0)
        update.momentum = (float)config->async.server_momentum;
    if (compensate) {
        float strength = config->async.lambda >= 0 ? (float)config->async.lambda : config->async.adaptive ? 2.0f : 0.04f;
        update.compensation = (struct compensation){ at(server, &server->w[0], bucket), at(server, &server->replies[push->worker], bucket),
                                                     at(server, &server->states[SERVER_MEAN_SQUARE], bucket), strength, (float)config->async.ms_decay };
    }
    update.w = update.w_out = at(server, &server->w[0], bucket);
    if (!verdict->skip)
        server->optimizer->update(&update);
    trace_add(&server->trace, PHASE_UPDATE, push->iteration, bucket, began, door_now_ns());
    ledger_count(&server->ledger, server->versions[bucket] - push->version);
    server_version_done(server, bucket, &server->w[0]);
}

static void reply(struct server *server, int worker, struct message *message)
{
    const struct bucket *row = &server->run->buckets.rows[message->bucket];
    message->worker = (uint16_t)worker;
    message->encoding = ENCODING_FP32;
    message->bytes = (row->end - row->begin) * sizeof(float);
    server_deliver(server, worker, (int)message->bucket, message->kind == MESSAGE_FORECAST ? REPLY_FORECAST : REPLY_WEIGHTS, message->slot);
    message->sent_ns = door_now_ns();
    if (message->iteration + 1 > server->answered[worker])
        server->answered[worker] = message->iteration + 1;
    /* the worker keeps it back until it has arrived: it is seldom waiting by then, and the server need not wake up */
    message->value = server->link.on ? server_occupy_link(server, message) : 0;
    message->spare = server_loss_scale(server, worker)->exponent;
    server_send(server, worker, message);
}

void server_reply_all(struct server *server, int64_t iteration, int bucket, enum reply_kind kind)
{
    int64_t version = iteration + 1;
    int slots = kind == REPLY_FORECAST ? server->declared.forecasts : server->declared.versions;
    for (int k = 0; k < server->run->k; k++) {
        struct message message = {
            .kind = kind == REPLY_FORECAST ? MESSAGE_FORECAST : MESSAGE_REPLY, .iteration = iteration, .version = version, .bucket = (uint32_t)bucket, .slot = (uint32_t)(version % slots),
        };
        if (server->active & (uint64_t)1 << k)
            reply(server, k, &message);
    }
}

void server_reply_one(struct server *server, const struct message *push)
{
    const struct run *run = server->run;
    const struct bucket *row = &run->buckets.rows[push->bucket];
    int bucket = (int)push->bucket;
    server->shards.backend->copy(shards_order(&server->shards, bucket), at(server, &server->replies[push->worker], bucket), at(server, &server->w[0], bucket), row->end - row->begin);
    struct message message = {
        .kind = MESSAGE_REPLY, .iteration = push->iteration, .version = server->versions[push->bucket], .bucket = push->bucket, .slot = push->worker,
    };
    server->sent[push->bucket * (size_t)run->k + push->worker].version = message.version;
    reply(server, push->worker, &message);
}

void server_forecast_start(struct server *server)
{
    for (int bucket = 0; bucket < server->run->buckets.n; bucket++) {
        int64_t version = server->versions[bucket];
        const float *none[1] = { at(server, &server->w[0], bucket) };
        struct update update = update_of(server, version - 1, bucket);
        update.gradients = none; /* not read */
        update.w = update.w_out = at(server, version_slot(server, version), bucket);
        update.p = at(server, forecast_slot(server, version), bucket);
        server->optimizer->forecast(&update);
        server_reply_all(server, version - 1, bucket, REPLY_FORECAST);
    }
}
