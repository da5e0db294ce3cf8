/* A network's training step without server and loader: plan_forward and plan_backward on one core, in images per second.
 *
 *     step network batch [backend[:bf16]...]        (every backend that this program was built with)
 *
 * The backends take turns, five rounds of about half a second each, and the median counts: what else the machine does then meets all
 * of them alike. */
#include "bench/isa.h"

#include "base/door.h"
#include "base/sizes.h"
#include "cpu/cpu.h"
#include "nets/dummy.h"
#include "nets/network.h"
#include "nets/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 5, BACKENDS = 8 };

static const struct backend *const known[] = {
    &backend_lanes,
#ifdef HAVE_ONEDNN
    &backend_onednn,
    &backend_onednn_nhwc,
#endif
    &backend_reference,
};

struct contestant {
    const struct backend *backend;
    enum precision precision;
    struct device *device;
    struct plan *plan;
    struct dummy dummy;
    double forward[ROUNDS], backward[ROUNDS]; /* seconds of one step */
    double loss;
};

static int time_round(struct contestant *c, int round, int batch, struct error *error)
{
    int64_t forward = 0, backward = 0, begin = door_now_ns();
    int steps = 0;
    while (door_now_ns() - begin < 500000000) {
        int64_t t0 = door_now_ns();
        if (plan_forward(c->plan, &c->dummy.step, NULL, error))
            return -1;
        int64_t t1 = door_now_ns();
        if (plan_backward(c->plan, &c->dummy.step, NULL, error))
            return -1;
        forward += t1 - t0;
        backward += door_now_ns() - t1;
        steps++;
    }
    struct step_result result;
    if (plan_result(c->plan, 0, &result, error))
        return -1;
    c->loss = result.loss_sum / batch;
    c->forward[round] = (double)forward * 1e-9 / steps;
    c->backward[round] = (double)backward * 1e-9 / steps;
    return 0;
}

static int ascending(const void *a, const void *b) { return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b); }

static double median(double *of)
{
    qsort(of, ROUNDS, sizeof *of, ascending);
    return of[ROUNDS / 2];
}

static void release(struct contestant *c)
{
    plan_free(c->plan);
    dummy_release(&c->dummy);
    if (c->device)
        c->backend->device_close(c->device);
}

static int compare(const struct graph *graph, int batch, struct contestant *contestants, int n, struct error *error)
{
    for (int i = 0; i < n; i++) {
        struct contestant *c = &contestants[i];
        if (c->backend->device_open(&c->device, -1, error) ||
            plan_make(&c->plan, &(struct plan_request){ c->backend, c->device, graph, batch, true, c->precision }, error) ||
            dummy_init(&c->dummy, c->backend, c->device, graph, batch, error) || time_round(c, 0, batch, error)) /* a round for warm-up */
            return -1;
    }
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < n; i++)
            if (time_round(&contestants[i], round, batch, error))
                return -1;
    printf("%s, batch %d\n%-14s %-10s %12s %12s %12s %10s\n", graph->name, batch, "backend", "precision", "forward us", "backward us", "images/s", "loss");
    for (int i = 0; i < n; i++) {
        struct contestant *c = &contestants[i];
        double forward = median(c->forward), backward = median(c->backward);
        printf("%-14s %-10s %12.1f %12.1f %12.0f %10.6f\n", c->backend->name, precision_name(c->precision), forward * 1e6, backward * 1e6, batch / (forward + backward), c->loss);
        release(c);
    }
    return 0;
}

/* "onednn", "onednn:bf16". */
static struct contestant find(const char *name)
{
    const char *colon = strchr(name, ':');
    size_t length = colon ? (size_t)(colon - name) : strlen(name);
    enum precision precision = colon && strcmp(colon, ":bf16") == 0 ? PRECISION_BF16 : PRECISION_FP32;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strlen(known[i]->name) == length && strncmp(known[i]->name, name, length) == 0 && known[i]->offers(precision))
            return (struct contestant){ .backend = known[i], .precision = precision };
    fprintf(stderr, "no backend called %s, or not in that precision\n", name);
    exit(EXIT_USAGE);
}

int main(int argc, char **argv)
{
    struct contestant contestants[BACKENDS];
    int n = 0;
    int64_t batch;
    if (argc < 3 || argc > 3 + BACKENDS || !parse_int64(argv[2], &batch) || batch < 1 || batch > 65536) {
        fprintf(stderr, "usage: step network batch [backend[:bf16]...]\n");
        return EXIT_USAGE;
    }
    const char *isa = bench_isa();
    if (!isa)
        return EXIT_USAGE;
    for (int i = 3; i < argc; i++)
        contestants[n++] = find(argv[i]);
    for (size_t i = 0; argc == 3 && i < sizeof known / sizeof *known; i++)
        contestants[n++] = (struct contestant){ .backend = known[i] };
    const struct input_args mnist = { .c = 1, .h = 28, .w = 28, .mean = { 0.1307f }, .std = { 0.3081f } };
    const struct input_args cifar10 = { .c = 3, .h = 32, .w = 32, .mean = { 0.4914f, 0.4822f, 0.4465f }, .std = { 0.2470f, 0.2435f, 0.2616f } };
    const bool grey = strncmp(argv[1], "lenet", 5) == 0 || strcmp(argv[1], "mlp") == 0;
    const struct network_request request = { .input = grey ? mnist : cifar10, .classes = 10 };
    struct error error = { 0 };
    struct graph graph;
    if (network_build(&graph, argv[1], &request, &error) || compare(&graph, (int)batch, contestants, n, &error)) {
        fprintf(stderr, "%s\n", error.text);
        return error.code;
    }
    graph_release(&graph);
    return EXIT_DONE;
}
