/* The worker's thread: iterations, messages, stops and evaluations. Verbs are in worker_verbs.c, memory in worker_memory.c. */
#include "trainer/worker.h"

#include "base/door.h"
#include "base/thread.h"
#include "trainer/loss_scale.h"
#include "trainer/message.h"
#include "trainer/server.h"
#include "trainer/straggler.h"
#include "trainer/topology.h"
#include "trainer/worker_wait.h"

#include <math.h>

/* The plan's hook: an operation is about to read weights in [begin, end). */
static int need_weights(void *context, size_t begin, size_t end, struct error *error)
{
    struct worker *worker = context;
    const struct buckets *buckets = &worker->run->buckets;
    int64_t t = worker->iteration;
    int first = bucket_of(buckets, end - 1), last = bucket_of(buckets, begin);
    for (int bucket = first; bucket <= last; bucket++) {
        if (worker->chosen[bucket] == t)
            continue;
        worker_stop_computing(worker);
        if (worker->run->algorithm->choose_weights(worker, t, bucket, error))
            return -1;
        worker->chosen[bucket] = t;
        worker_resume_computing(worker);
    }
    return 0;
}

/* The plan's hook: whether it would do anything. */
static bool wants_weights(const void *context, size_t begin, size_t end)
{
    const struct worker *worker = context;
    const struct buckets *buckets = &worker->run->buckets;
    for (int bucket = bucket_of(buckets, end - 1); bucket <= bucket_of(buckets, begin); bucket++)
        if (worker->chosen[bucket] != worker->iteration)
            return true;
    return false;
}

/* Takes [begin, end) off what is missing of a bucket; true when nothing is. */
static bool completes(const struct buckets *buckets, size_t *missing, int bucket, size_t begin, size_t end)
{
    const struct bucket *row = &buckets->rows[bucket];
    size_t from = begin > row->begin ? begin : row->begin, to = end < row->end ? end : row->end;
    missing[bucket] -= to - from;
    return missing[bucket] == 0;
}

/* The plan's hook: behind the last operation that writes a bucket's gradient, its event. */
static void mark_gradients(void *context, size_t begin, size_t end)
{
    struct worker *worker = context;
    const struct buckets *buckets = &worker->run->buckets;
    for (int bucket = bucket_of(buckets, end - 1); bucket <= bucket_of(buckets, begin); bucket++)
        if (completes(buckets, worker->unmarked, bucket, begin, end))
            worker->run->backend->record(worker->device, worker->pushed[worker->iteration & 1][bucket]);
}

/* The plan's hook: gradients in [begin, end) are final. A bucket goes when all of it is. */
static int gradients_ready(void *context, size_t begin, size_t end, struct error *error)
{
    struct worker *worker = context;
    const struct buckets *buckets = &worker->run->buckets;
    const int pushes = worker->pushes_left;
    for (int bucket = bucket_of(buckets, end - 1); bucket <= bucket_of(buckets, begin); bucket++) {
        if (!completes(buckets, worker->missing, bucket, begin, end))
            continue;
        if (worker->settles && worker->run->backend->finish(worker->pushed[worker->iteration & 1][bucket], error))
            return -1;
        worker_stop_computing(worker);
        worker->pushes_left--;
        if (worker->run->algorithm->gradient_ready(worker, worker->iteration, bucket, error))
            return -1;
        worker_resume_computing(worker);
    }
    if (worker->pushes_left < pushes)
        worker_wake_server(worker);
    return 0;
}

static void begin_buckets(struct worker *worker)
{
    const struct buckets *buckets = &worker->run->buckets;
    for (int bucket = 0; bucket < buckets->n; bucket++)
        worker->missing[bucket] = worker->unmarked[bucket] = buckets->rows[bucket].end - buckets->rows[bucket].begin;
    worker->pushes_left = buckets->n;
}

int worker_report(struct worker *worker, struct error *error)
{
    struct step_result result;
    int64_t t = worker->unreported;
    if (t < 0)
        return 0;
    worker->unreported = -1;
    int64_t began = door_now_ns();
    if (plan_result(worker->plan, (int)(t & 1), &result, error))
        return -1;
    if (worker->run->backend->enqueues)
        trace_add(&worker->trace, PHASE_WAIT_DEVICE, t, -1, began, door_now_ns());
    if (!isfinite(result.loss_sum))
        return fail(error, EXIT_NOT_FINITE, "iteration %lld, worker %d: the loss is %s", (long long)t, worker->number, isnan(result.loss_sum) ? "nan" : "infinite");
    struct message message = { .kind = MESSAGE_STEP, .iteration = t, .value = double_bits(result.loss_sum), .spare = result.correct, .version = worker->feed.places[t & 1].n };
    worker_post(worker, &message); /* the step's pushes, or this thread's next sleep, wake the server */
    return 0;
}

/* What normalization has just tracked is averaged as the weights are; one iteration of a worker is one of the run's. */
static void average_stats(struct worker *worker)
{
    const struct run *run = worker->run;
    size_t n = run->graph->stats.total;
    if (run->n_stats > n)
        run->backend->average(worker->device, worker->stats + n, worker->stats, schedule_average_rate(&run->schedule, worker->iteration, 1), n);
}

/* The loss goes to the server before the step's pushes, so that a worker that they let go on cannot be two steps ahead of this one in the server's tally; where the loss is not known
 * so early, that of the step before goes when this one has been enqueued. */
static int compute_iteration(struct worker *worker, struct error *error)
{
    const struct run *run = worker->run;
    const struct plan_hooks hooks = { .context = worker, .need = need_weights, .ready = gradients_ready, .wanting = wants_weights, .mark = mark_gradients };
    int64_t t = worker->iteration;
    bool late = run->backend->enqueues && !worker->settles;
    struct step step = {
        .weights = worker->weights, .gradient = worker->gradients[t & 1], .stats = worker->stats, .repack = true, .fixed = run->config.cuda.graphs,
        .seed = (uint64_t)run->config.train.seed,
        .loss_scale = loss_scale_value(worker->loss_scales[run->algorithm->requires_version(&run->config, t) % REPLIES_KEPT]),
    };
    feed_step(&worker->feed, (int)(t & 1), &step);
    begin_buckets(worker);
    straggler_draw(worker);
    worker_resume_computing(worker);
    worker->step = &step;
    if (plan_forward(worker->plan, &step, &hooks, error))
        return -1;
    worker->step = NULL;
    average_stats(worker);
    worker_publish_stats(worker);
    if (!late) {
        worker->unreported = t;
        if (worker_report(worker, error))
            return -1;
    }
    if (plan_backward(worker->plan, &step, &hooks, error))
        return -1;
    feed_used(&worker->feed, (int)(t & 1));
    worker_stop_computing(worker);
    if (late && worker_report(worker, error))
        return -1;
    if (late)
        worker->unreported = t;
    worker_wake_server(worker);
    return 0;
}

/* The number of the batch that this iteration takes; -1 when there is no more work. */
int64_t worker_take_ticket(struct worker *worker)
{
    struct run *run = worker->run;
    if (run->algorithm->synchronous)
        return worker->iteration * run->k + worker->number;
    if (worker->kept_ticket >= 0 && worker->kept_for == worker->iteration)
        return worker->kept_ticket;
    int64_t ticket = service_ticket(&run->service, worker->number, worker->iteration);
    return ticket < run->iterations * run->k ? ticket : -1;
}

static int run_iteration(struct worker *worker, struct error *error)
{
    int64_t began = door_now_ns();
    if (feed_take(&worker->feed, worker->run->loader, worker->ticket, (int)(worker->iteration & 1), error))
        return -1;
    trace_add(&worker->trace, PHASE_WAIT_DATA, worker->iteration, -1, began, door_now_ns());
    if (compute_iteration(worker, error))
        return -1;
    worker->iteration_ns = door_now_ns() - began;
    return 0;
}

static int work(struct worker *worker, struct error *error)
{
    bool more;
    for (;; worker->iteration++) {
        if (worker_wait_for_start(worker, &more, error))
            return -1;
        if (!more || (worker->ticket = worker_take_ticket(worker)) < 0)
            break;
        worker_snapshot_before(worker);
        if (run_iteration(worker, error))
            return -1;
        worker_snapshot_after(worker);
    }
    if (worker_report(worker, error) || feed_settle(&worker->feed, error))
        return -1;
    worker_send(worker, &(struct message){ .kind = MESSAGE_DONE, .iteration = worker->iteration });
    return worker_wait_for_leave(worker, error);
}

void *worker_main(void *context)
{
    struct worker *worker = context;
    struct error error = { 0 };
    const int *processors = worker->run->processors;
    if (processors && processors[worker->number] >= 0)
        topology_pin(processors[worker->number]);
    thread_sleep_exactly();
    int64_t began = door_thread_ns();
    if (work(worker, &error))
        halt_raise(worker->run, &error);
    worker->cpu_ns = door_thread_ns() - began;
    return NULL;
}
