/* See trial.h. */
#include "trainer/trial.h"

#include "base/door.h"
#include "nets/dummy.h"
#include "nets/plan.h"

/* One choice's training step, ready to be timed. */
struct trial {
    const struct backend *backend;
    struct device *device;
    struct plan *plan;
    struct dummy dummy;
};

static void trial_close(struct trial *trial)
{
    plan_free(trial->plan);
    dummy_release(&trial->dummy);
    if (trial->device)
        trial->backend->device_close(trial->device);
}

static int trial_open(struct trial *trial, const struct choice *choice, const struct graph *graph, int batch, struct error *error)
{
    struct plan_request request = { .backend = choice->backend, .graph = graph, .batch = batch, .training = true, .precision = choice->precision };
    *trial = (struct trial){ .backend = choice->backend };
    if (choice->backend->device_open(&trial->device, choice->place, error))
        return -1;
    request.device = trial->device;
    if (plan_make(&trial->plan, &request, error) || dummy_init(&trial->dummy, choice->backend, trial->device, graph, batch, error)) {
        trial_close(trial);
        return -1;
    }
    return 0;
}

enum { QUIET_ENOUGH = 3, LEAST_ROUNDS = 3, MOST_ROUNDS = 50, PATIENCE = 3 };

/* A twentieth is left for interrupts, and some for reading the clocks. */
static bool is_quiet(const struct trial *trial, int64_t wall_ns, int64_t processor_ns)
{
    return !trial->backend->host_memory || wall_ns - processor_ns <= wall_ns / 20 + 2000;
}

static int trial_run(struct trial *trial, struct trial_time *time, struct error *error)
{
    int64_t began = door_now_ns(), processor_began = door_thread_ns();
    if (plan_forward(trial->plan, &trial->dummy.step, NULL, error) || plan_backward(trial->plan, &trial->dummy.step, NULL, error) ||
        trial->backend->sync(trial->device, error))
        return -1;
    int64_t processor_ns = door_thread_ns() - processor_began, wall_ns = door_now_ns() - began;
    bool quiet = is_quiet(trial, wall_ns, processor_ns);
    if (quiet && !time->quiet)
        time->shortest_ns = INT64_MAX; /* disturbed ones do not count any more */
    if ((quiet || !time->quiet) && wall_ns < time->shortest_ns)
        time->shortest_ns = wall_ns;
    if (processor_ns < time->processor_ns)
        time->processor_ns = processor_ns;
    time->quiet += quiet;
    return 0;
}

static bool all_quiet(const struct trial_time *times, int n)
{
    for (int i = 0; i < n; i++)
        if (times[i].quiet < QUIET_ENOUGH)
            return false;
    return true;
}

static bool is_enough(int rounds, bool quiet, int64_t taken_ns, int64_t enough_ns)
{
    if (rounds < LEAST_ROUNDS)
        return false;
    return quiet ? rounds >= MOST_ROUNDS || taken_ns >= enough_ns : taken_ns >= PATIENCE * enough_ns;
}

int trials_measure(struct trial_time *times, const struct choice *choices, int n, const struct graph *graph, int batch,
                   int64_t enough_ns, struct error *error)
{
    struct trial trials[TRIALS_MOST];
    int opened = 0, failed = 0;
    ASSERT(n <= TRIALS_MOST);
    for (; opened < n && !failed; opened += !failed) {
        times[opened] = (struct trial_time){ .shortest_ns = INT64_MAX, .processor_ns = INT64_MAX };
        failed = trial_open(&trials[opened], &choices[opened], graph, batch, error);
    }
    int64_t began = door_now_ns();
    for (int rounds = 0; !failed && !is_enough(rounds, all_quiet(times, n), door_now_ns() - began, enough_ns); rounds++)
        for (int i = 0; i < n && !failed; i++)
            failed = trial_run(&trials[i], &times[i], error);
    for (int i = 0; i < opened; i++)
        trial_close(&trials[i]);
    return failed;
}

int trials_fastest(const struct trial_time *times, int n, bool *quiet)
{
    int fastest = 0;
    *quiet = all_quiet(times, n);
    for (int i = 1; i < n; i++)
        if (*quiet ? times[i].shortest_ns < times[fastest].shortest_ns
            : times[i].processor_ns < times[fastest].processor_ns)
            fastest = i;
    return fastest;
}
