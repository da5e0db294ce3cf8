/* See worker_wait.h. */
#include "trainer/worker_wait.h"

#include "base/door.h"
#include "trainer/message.h"
#include "trainer/server_parts.h"
#include "trainer/straggler.h"

void worker_send(struct worker *worker, struct message *message)
{
    worker_post(worker, message);
    worker_wake_server(worker);
}

void worker_wake_server(struct worker *worker)
{
    struct transport *transport = &worker->run->transport;
    if (worker->posted)
        transport->calls->wake(transport, run_server_end(worker->run));
    worker->posted = false;
}

void worker_post(struct worker *worker, struct message *message)
{
    struct transport *transport = &worker->run->transport;
    message->worker = (uint16_t)worker->number;
    message->sent_ns = door_now_ns();
    /* the rings hold what two iterations can send, and the server takes everything at once: a full one is a broken protocol */
    ASSERT(transport->calls->post(transport, worker->number, run_server_end(worker->run), message));
    worker->posted = true;
}

static struct reply *reply_of(const struct worker *worker, int64_t needs, uint32_t bucket) { return &worker->replies[bucket * REPLIES_KEPT + (size_t)(needs % REPLIES_KEPT)]; }

static void take_reply(struct worker *worker, const struct message *message, enum reply_kind kind)
{
    int64_t needs = message->iteration + 1;
    struct reply *reply = reply_of(worker, needs, message->bucket);
    if (reply->iteration != message->iteration)
        *reply = (struct reply){ .iteration = message->iteration, .version = message->version };
    reply->there[kind] = true;
    reply->slot[kind] = message->slot;
    reply->due_ns[kind] = message->value;
    worker->loss_scales[needs % REPLIES_KEPT] = message->spare;
    if (needs > worker->newest)
        worker->newest = needs;
}

static void take_message(struct worker *worker, const struct message *message)
{
    if (message->kind == MESSAGE_REPLY || message->kind == MESSAGE_FORECAST) {
        take_reply(worker, message, message->kind == MESSAGE_REPLY ? REPLY_WEIGHTS : REPLY_FORECAST);
    } else if (message->kind == MESSAGE_STOP) {
        if (message->iteration < worker->end)
            worker->end = message->iteration;
    } else if (message->kind == MESSAGE_SNAPSHOT) {
        worker->snapshot = message->value;
        worker->snapshot_at = message->iteration;
    } else if (message->kind == MESSAGE_GO) {
        worker->go = message->value + 1;
        worker->next_evaluation = message->iteration;
    } else {
        ASSERT(message->kind == MESSAGE_LEAVE);
        worker->left = true;
    }
}

bool worker_has_reply(const struct worker *worker, int64_t needs, int bucket, enum reply_kind kind)
{
    const struct reply *reply = reply_of(worker, needs, (uint32_t)bucket);
    return reply->iteration == needs - 1 && reply->there[kind];
}

void worker_patience(const struct worker *worker, struct patience *patience, const char *what, int64_t needs, int bucket)
{
    int64_t least = worker->run->config.workers.stuck_after_s * 1000000000, usual = 50 * worker->iteration_ns;
    *patience = (struct patience){ door_now_ns() + (usual > least ? usual : least), what, needs, bucket };
}

static int too_long(const struct worker *worker, const struct patience *patience, struct error *error)
{
    return fail(error, EXIT_WORKERS, "worker %d: stuck at iteration %lld: %s (version %lld, bucket %d) has not come; the newest answer is version %lld", worker->number,
                (long long)worker->iteration, patience->what, (long long)patience->needs, patience->bucket, (long long)worker->newest);
}

static bool take_messages(struct worker *worker)
{
    struct transport *transport = &worker->run->transport;
    struct message message;
    bool any = false;
    for (; transport->calls->receive(transport, worker->number, &message); any = true)
        take_message(worker, &message);
    return any;
}

int worker_wait_for_messages(struct worker *worker, const struct patience *patience, struct error *error)
{
    struct transport *transport = &worker->run->transport;
    bool any = take_messages(worker);
    if (halted(&worker->run->halt))
        return -1;
    if (any)
        return 0;
    worker_wake_server(worker);
    transport->calls->wait(transport, worker->number, patience->until_ns);
    return door_now_ns() > patience->until_ns ? too_long(worker, patience, error) : 0;
}

/* Takes part in evaluations that have begun. */
static int evaluate(struct worker *worker, struct error *error)
{
    int64_t began = door_now_ns();
    bool last = false;
    int64_t number = worker->go - 1;
    if (evaluation_work(worker->run, worker, number, &last, error))
        return -1;
    worker->evaluated = worker->go;
    if (worker->step) /* it waits for weights in the middle of its forward pass, and what varies was the evaluation's */
        worker->run->backend->begin(worker->device, worker->step);
    if (last)
        worker_send(worker, &(struct message){ .kind = MESSAGE_EVALUATED, .value = number });
    trace_add(&worker->trace, PHASE_EVALUATE, worker->iteration, -1, began, door_now_ns());
    return 0;
}

int worker_wait_for_start(struct worker *worker, bool *more, struct error *error)
{
    const struct run *run = worker->run;
    int64_t t = worker->iteration, needs = run->algorithm->requires_version(&run->config, t);
    struct patience patience;
    worker_patience(worker, &patience, "an answer", needs, -1);
    for (int64_t began = door_now_ns();; began = door_now_ns()) {
        bool due = t == worker->next_evaluation;
        *more = t < worker->end;
        if (*more && worker_snapshot_reached(worker, error))
            return -1;
        if (worker->go > worker->evaluated) {
            if (evaluate(worker, error))
                return -1;
            worker_patience(worker, &patience, "an answer", needs, -1);
            continue;
        }
        if (!*more || (!due && worker->newest >= needs))
            return 0;
        if (worker_report(worker, error))
            return -1;
        began = door_now_ns();
        if (worker_wait_for_messages(worker, &patience, error))
            return -1;
        trace_add(&worker->trace, PHASE_WAIT_WEIGHTS, t, -1, began, door_now_ns());
    }
}

int worker_wait_for_leave(struct worker *worker, struct error *error)
{
    /* no deadline of its own: others may have work left, and the server watches that they get on */
    const struct patience patience = { INT64_MAX, "leave to end", worker->iteration, -1 };
    while (!worker->left) {
        bool due = worker->iteration == worker->snapshot_at;
        if (worker->go > worker->evaluated ? evaluate(worker, error) : due ? worker_snapshot_at_rest(worker, error) : worker_wait_for_messages(worker, &patience, error))
            return -1;
    }
    return 0;
}

/* A reply that is still on the emulated link: its time is known. */
static int wait_for_arrival(struct worker *worker, int bucket, int64_t due_ns)
{
    struct transport *transport = &worker->run->transport;
    int64_t began = door_now_ns();
    if (began >= due_ns)
        return 0;
    worker_wake_server(worker);
    while (door_now_ns() < due_ns && !halted(&worker->run->halt))
        if (!take_messages(worker))
            transport->calls->wait(transport, worker->number, due_ns);
    trace_add(&worker->trace, PHASE_WAIT_WEIGHTS, worker->iteration, bucket, began, door_now_ns());
    return halted(&worker->run->halt) ? -1 : 0;
}

int worker_wait_reply(struct worker *worker, int64_t needs, int bucket, enum reply_kind kind, const float **vector, int64_t *version, struct error *error)
{
    if (!worker_has_reply(worker, needs, bucket, kind)) {
        struct patience patience;
        worker_patience(worker, &patience, kind == REPLY_WEIGHTS ? "W" : "P", needs, bucket);
        do {
            int64_t began = door_now_ns();
            if (worker_wait_for_messages(worker, &patience, error))
                return -1;
            trace_add(&worker->trace, PHASE_WAIT_WEIGHTS, worker->iteration, bucket, began, door_now_ns());
            /* a server that holds our push back until an evaluation is over must not wait for us */
            if (worker->go > worker->evaluated && evaluate(worker, error))
                return -1;
        } while (!worker_has_reply(worker, needs, bucket, kind));
    }
    const struct reply *reply = reply_of(worker, needs, (uint32_t)bucket);
    const struct server *server = worker->run->server;
    *vector = server_answer_at(server, worker->number, bucket, kind, reply->slot[kind]);
    if (version)
        *version = reply->version;
    if (wait_for_arrival(worker, bucket, reply->due_ns[kind]))
        return -1;
    worker->run->backend->wait(worker->device, server_answer_event(server, worker->number, bucket, kind, reply->slot[kind]));
    return 0;
}

void worker_resume_computing(struct worker *worker) { worker->mark_ns = door_now_ns(); }

void worker_stop_computing(struct worker *worker)
{
    int64_t now = door_now_ns(), computed = now - worker->mark_ns;
    trace_add(&worker->trace, PHASE_COMPUTE, worker->iteration, -1, worker->mark_ns, now);
    worker->mark_ns = straggler_sleep(worker, computed, now);
}
