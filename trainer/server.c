/* The server's thread: takes messages, serves pushes, announces stops and evaluations. Verbs are in server_verbs.c, memory in server_memory.c. */
#include "trainer/server_parts.h"

#include "base/door.h"
#include "base/thread.h"
#include "trainer/message.h"
#include "trainer/worker.h"

void server_send(struct server *server, int to, const struct message *message)
{
    struct run *run = server->run;
    /* rings to workers hold all that can be under way; main may be busy writing a file, but reads until the last report */
    while (!run->transport.calls->send(&run->transport, server->run->k, to, message)) {
        ASSERT(to == run_main_end(run));
        if (halted(&run->halt) && message->kind != REPORT_FINISHED)
            return;
        door_sleep_until_ns(door_now_ns() + 1000000);
    }
}

static void trace_transfer(struct server *server, enum link_way way, const struct message *message, const struct transfer *transfer)
{
    trace_add(&server->trace, way == LINK_IN ? PHASE_LINK_IN : PHASE_LINK_OUT, message->iteration, (int)message->bucket, transfer->begin_ns, transfer->end_ns);
}

int64_t server_occupy_link(struct server *server, const struct message *reply)
{
    struct transfer transfer = link_occupy(&server->link, LINK_OUT, reply);
    trace_transfer(server, LINK_OUT, reply, &transfer);
    return transfer.due_ns;
}

static void hold_push(struct server *server, const struct message *push)
{
    server->sending[2 * push->bucket + (push->iteration & 1)] |= (uint64_t)1 << push->worker;
    link_enter(&server->link, LINK_IN, push);
}

/* A push is being served now: the running statistics that came with it are the worker's newest. */
static int serve(struct server *server, const struct message *push, struct error *error)
{
    struct run *run = server->run;
    if (push->spare)
        run->backend->copy(server_ferry(server, push->worker, (int)push->bucket), server->stats[push->worker], run->workers[push->worker].stats_out, run->n_stats);
    return run->algorithm->push_arrived(server, push, error);
}

/* The next asynchronous push of the bucket that may be served now, or NULL. */
static struct message *next_pending(struct server *server, int bucket)
{
    struct run *run = server->run;
    struct message *row = server->pending + (size_t)bucket * (size_t)run->k;
    /* a record cannot be followed to its end by workers that stopped before it */
    int next = server->draining ? -1 : service_next(&run->service, bucket);
    if (server_must_hold(server, bucket))
        return NULL;
    for (int k = 0; k < run->k; k++)
        if (row[k].kind != MESSAGE_NONE && (next < 0 || next == k) && !server_snapshot_holds(server, &row[k]))
            return &row[k];
    return NULL;
}

static int serve_pending(struct server *server, int bucket, struct error *error)
{
    for (struct message *push; (push = next_pending(server, bucket));) {
        struct message taken = *push;
        push->kind = MESSAGE_NONE;
        server->n_pending--;
        service_served(&server->run->service, bucket, taken.worker, taken.value);
        server->sent[(size_t)bucket * (size_t)server->run->k + taken.worker].served++;
        if (serve(server, &taken, error))
            return -1;
    }
    return 0;
}

/* What held pushes back has changed: an evaluation is over, or the order need not be kept any more. */
static int serve_all_pending(struct server *server, struct error *error)
{
    for (int bucket = 0; server->n_pending && bucket < server->run->buckets.n; bucket++)
        if (serve_pending(server, bucket, error))
            return -1;
    return 0;
}

static int admit(struct server *server, const struct message *push, struct error *error)
{
    const struct run *run = server->run;
    if (run->algorithm->synchronous)
        return serve(server, push, error);
    struct message *place = &server->pending[push->bucket * (size_t)run->k + push->worker];
    ASSERT(place->kind == MESSAGE_NONE);
    *place = *push;
    server->n_pending++;
    return serve_pending(server, (int)push->bucket, error);
}

/* A push has crossed the link, if there is one. */
static int take_push(struct server *server, const struct message *push, struct error *error)
{
    server_fetch(server, push);
    if (!server->clip.held)
        return admit(server, push, error);
    size_t n;
    const struct message *whole;
    if (server_clip_hold(server, push, &whole, &n, error))
        return -1;
    for (size_t i = 0; i < n; i++)
        if (admit(server, &whole[i], error))
            return -1;
    return 0;
}

/* What a snapshot says of a push: it may be taken while the push crosses the link. */
static void note_push(struct server *server, const struct message *push)
{
    server->sent[push->bucket * (size_t)server->run->k + push->worker].pushed[push->iteration & 1] = push->version;
    server->tickets[push->worker][push->iteration & 1] = push->value;
}

/* A worker has ended. An asynchronous one that found no more work does not reach its boundary. */
static int take_end(struct server *server, const struct message *message, struct error *error)
{
    server->done++;
    server->done_at[message->worker] = message->iteration;
    if (server->run->algorithm->synchronous || server->taking.at_rest || message->iteration >= server->taking.cut[message->worker])
        return 0;
    server_snapshot_abandon(server);
    return serve_all_pending(server, error);
}

static int take_message(struct server *server, const struct message *message, struct error *error)
{
    server->heard_ns = message->sent_ns;
    switch (message->kind) {
    case MESSAGE_PUSH:
        note_push(server, message);
        if (!server->link.on)
            return take_push(server, message, error);
        hold_push(server, message);
        return 0;
    case MESSAGE_STEP:
        if (!server_snapshot_holds_step(server, message))
            server_step_done(server, message);
        return 0;
    case MESSAGE_TAKEN: server_snapshot_taken(server, message); return 0;
    case MESSAGE_DONE: return take_end(server, message, error);
    case MESSAGE_EVALUATED:
        server_evaluated(server);
        return serve_all_pending(server, error);
    default: ASSERT(!"a message that workers do not send"); return 0;
    }
}

/* Number i of the pushes on the link is the last of the K that make up an update. */
static bool completes(const struct server *server, size_t i)
{
    const struct message *push = &link_held(&server->link, LINK_IN, i)->message;
    const size_t n = link_pending(&server->link, LINK_IN);
    if ((server->sending[2 * push->bucket + (push->iteration & 1)] & server->active) != server->active)
        return false;
    for (size_t later = i + 1; later < n; later++) {
        const struct message *other = &link_held(&server->link, LINK_IN, later)->message;
        if (other->bucket == push->bucket && other->iteration == push->iteration)
            return false;
    }
    return true;
}

/* When the link next brings something that changes anything, for which the server has to wake up. */
static int64_t next_arrival_ns(const struct server *server)
{
    const size_t n = link_pending(&server->link, LINK_IN);
    const bool each = !server->run->algorithm->synchronous || server->clip.held;
    for (size_t i = 0; i < n; i++)
        if (each || completes(server, i))
            return link_held(&server->link, LINK_IN, i)->transfer.due_ns;
    return INT64_MAX;
}

/* Messages that have come, and those that have crossed the link by now. *any: there were some. */
static int take_all(struct server *server, bool *any, struct error *error)
{
    struct transport *transport = &server->run->transport;
    struct message message;
    *any = false;
    while (transport->calls->receive(transport, server->run->k, &message)) {
        *any = true;
        if (take_message(server, &message, error))
            return -1;
    }
    struct crossing crossing;
    while (server->link.on && link_leave(&server->link, LINK_IN, door_now_ns(), &crossing)) {
        *any = true;
        trace_transfer(server, LINK_IN, &crossing.message, &crossing.transfer);
        if (take_push(server, &crossing.message, error))
            return -1;
    }
    return 0;
}

/* Announces where everybody stops: at an iteration that nobody can have begun, or in a free order at once. */
static int announce_stop(struct server *server, struct error *error)
{
    const struct run *run = server->run;
    bool anywhere = !run->algorithm->synchronous && run->config.async.order == ORDER_FREE;
    int64_t cut[WORKERS_MAX];
    server_cut(server, cut);
    for (int k = 0; k < run->k; k++)
        server_send(server, k, &(struct message){ .kind = MESSAGE_STOP, .iteration = anywhere ? 0 : cut[k] });
    if (cut[0] < server->end)
        server->end = cut[0];
    server->stopping = true;
    return serve_all_pending(server, error);
}

/* Nothing more will come, and what is there cannot be served in the order that was asked for. */
static bool at_rest(const struct server *server)
{
    const struct run *run = server->run;
    bool left_over = server->n_pending && !(server->stopping && run->config.async.order == ORDER_REPLAY);
    if (server->done < run->k || server->evaluating || left_over || link_pending(&server->link, LINK_IN))
        return false;
    for (int bucket = 0; run->algorithm->synchronous && bucket < run->buckets.n; bucket++)
        if (server->versions[bucket] < server->end)
            return false;
    return true;
}

/* *over: the thread may end. */
static int rest(struct server *server, bool *over, struct error *error)
{
    *over = false;
    if (!server_snapshot_at_rest(server))
        return 0;
    server->draining = true;
    if (serve_all_pending(server, error))
        return -1;
    *over = !server->n_pending;
    return 0;
}

static int check_patience(const struct server *server, struct error *error)
{
    const struct run *run = server->run;
    int64_t silent = door_now_ns() - server->heard_ns;
    if (server->evaluating || silent < server->patience_ns)
        return 0;
    if (server->replicas.collective)
        return server_watch_fail(error);
    for (int bucket = 0; bucket < run->buckets.n; bucket++)
        for (int k = 0; run->algorithm->synchronous && k < run->k; k++)
            if (server->versions[bucket] < server->end && !(server->arrived[2 * bucket + (server->versions[bucket] & 1)] & (uint64_t)1 << k) &&
                !server_clip_holds(server, server->versions[bucket], bucket, k))
                return fail(error, EXIT_WORKERS, "server: worker %d is stuck: its gradient of iteration %lld, bucket %d, has not come for %lld s", k, (long long)server->versions[bucket],
                            bucket, (long long)(silent / 1000000000));
    return fail(error, EXIT_WORKERS, "server: nothing has come from any worker for %lld s", (long long)(silent / 1000000000));
}

static int begin(struct server *server, struct error *error)
{
    struct run *run = server->run;
    server->heard_ns = server->reported_ns = door_now_ns();
    server->began_ns += server->heard_ns; /* less what was trained before a resume */
    if (server->report_first)
        server_report_iteration(server);
    server_snapshot_start(server);
    if (run->algorithm->begin && run->algorithm->begin(server, error))
        return -1;
    return serve_all_pending(server, error);
}

static int work(struct server *server, struct error *error)
{
    struct run *run = server->run;
    bool any, released, over = false;
    if (begin(server, error))
        return -1;
    for (;;) {
        if (halted(&run->halt))
            return -1;
        server_watch_for(server);
        if (atomic_load_explicit(&run->halt.stop_asked, memory_order_acquire) && !server->stopping && announce_stop(server, error))
            return -1;
        if (take_all(server, &any, error))
            return -1;
        if (server_evaluate_if_due(server, error) || server_snapshot_advance(server, &released, error))
            return -1;
        if (released && serve_all_pending(server, error))
            return -1;
        if (any)
            continue;
        if (server_check(server, error)) /* not while workers wait for answers: it asks the GPUs, one stream after another */
            return -1;
        if (at_rest(server) && rest(server, &over, error))
            return -1;
        if (at_rest(server) && over)
            return server_sync(server, error); /* while main watches */
        int64_t next = next_arrival_ns(server), look = door_now_ns() + (server->taking.copying ? 100000 : 1000000000);
        run->transport.calls->wait(&run->transport, run->k, next < look ? next : look);
        if (check_patience(server, error))
            return -1;
    }
}

void *server_main(void *context)
{
    struct server *server = context;
    struct run *run = server->run;
    struct error error = { 0 };
    thread_wake_soon();
    thread_sleep_exactly();
    server->beside = -1;
    if (work(server, &error)) {
        halt_raise(run, &error);
        server_replicas_abort(server);
    }
    for (int k = 0; k < run->k; k++)
        run->transport.calls->send(&run->transport, run->k, k, &(struct message){ .kind = MESSAGE_LEAVE });
    server_report_end(server);
    return NULL;
}
