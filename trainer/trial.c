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

static int trial_run(struct trial *trial, int64_t *shortest_ns, struct error *error)
{
    int64_t began = door_now_ns();
    if (plan_forward(trial->plan, &trial->dummy.step, NULL, error) || plan_backward(trial->plan, &trial->dummy.step, NULL, error) ||
        trial->backend->sync(trial->device, error))
        return -1;
    int64_t taken = door_now_ns() - began;
    if (taken < *shortest_ns)
        *shortest_ns = taken;
    return 0;
}

int trials_measure(int64_t *shortest_ns, const struct choice *choices, int n, const struct graph *graph, int batch, int64_t enough_ns, struct error *error)
{
    enum { LEAST_ROUNDS = 3, MOST_ROUNDS = 50 };
    struct trial trials[TRIALS_MOST];
    int opened = 0, failed = 0;
    ASSERT(n <= TRIALS_MOST);
    for (; opened < n && !failed; opened += !failed) {
        shortest_ns[opened] = INT64_MAX;
        failed = trial_open(&trials[opened], &choices[opened], graph, batch, error);
    }
    int64_t began = door_now_ns();
    for (int round = 0; round < MOST_ROUNDS && !failed && (round < LEAST_ROUNDS || door_now_ns() - began < enough_ns); round++)
        for (int i = 0; i < n && !failed; i++)
            failed = trial_run(&trials[i], &shortest_ns[i], error);
    for (int i = 0; i < opened; i++)
        trial_close(&trials[i]);
    return failed;
}
