/* A network's training step on the first GPU: forward, backward and the global update, enqueued as a worker that is alone does it, the host at most one step ahead of the GPU.
 *
 *     gpu_step network batch precision [graphs|calls] [seconds]
 *
 * One line: images and microseconds a step, the median of five rounds; the host's CPU time a step; multiplications and additions of convolutions and products (forward, and
 * twice that backward); the plan's memory; the last loss. The step is a made-up one (nets/dummy.h), on CIFAR-10's shape, MNIST's for the LeNets, ImageNet's for resnet50 and beyond. */
#include "base/door.h"
#include "base/sizes.h"
#include "nets/dummy.h"
#include "nets/layers.h"
#include "nets/network.h"
#include "nets/plan.h"
#include "trainer/choose.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS = 5 };

struct training {
    const struct backend *backend;
    struct device *device;
    struct plan *plan;
    struct dummy dummy;
    struct sgd_pass update;
    void *v;
    struct event *done[2]; /* the steps of each turn */
    bool graphs;
    int64_t steps;
};

struct figures { double seconds, cpu; }; /* of one step */

static int prepare(struct training *x, const struct graph *graph, int batch, enum precision precision, struct error *error)
{
    const struct backend *backend = x->backend;
    if (backend->device_open(&x->device, 0, error) || plan_make(&x->plan, &(struct plan_request){ backend, x->device, graph, batch, true, precision }, error) ||
        dummy_init(&x->dummy, backend, x->device, graph, batch, error) ||
        backend->allocate(x->device, &x->v, graph->params.total * sizeof(float), "momentum", error) || backend->event_open(&x->done[0], x->device, error) ||
        backend->event_open(&x->done[1], x->device, error))
        return -1;
    x->update = (struct sgd_pass){
        .n = graph->params.total, .k = 1, .inv_k = 1, .scale = 1, .rate = 0.001f, .momentum = 0.9f, .weight_decay = 0.0001f,
        .w = x->dummy.step.weights, .v = x->v, .w_out = (float *)(uintptr_t)x->dummy.step.weights,
    };
    return 0;
}

static void release(struct training *x)
{
    plan_free(x->plan);
    dummy_release(&x->dummy);
    if (!x->device)
        return;
    x->backend->event_close(x->done[0]);
    x->backend->event_close(x->done[1]);
    x->backend->release(x->device, x->v);
    x->backend->device_close(x->device);
}

static int make_step(struct training *x, struct error *error)
{
    struct step step = x->dummy.step;
    const float *gradient = step.gradient;
    step.turn = (int)(x->steps++ & 1);
    step.fixed = x->graphs;
    if (x->backend->finish(x->done[step.turn], error) || plan_forward(x->plan, &step, NULL, error) || plan_backward(x->plan, &step, NULL, error))
        return -1;
    x->update.gradients = &gradient;
    x->backend->sgd(x->device, &x->update);
    x->backend->record(x->device, x->done[step.turn]);
    return x->backend->check(x->device, error);
}

static int64_t cpu_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static int time_round(struct training *x, double seconds, struct figures *figures, struct error *error)
{
    int64_t begin = door_now_ns(), cpu = cpu_now_ns(), steps = 0;
    for (; (double)(door_now_ns() - begin) < seconds * 1e9; steps++)
        if (make_step(x, error))
            return -1;
    cpu = cpu_now_ns() - cpu;
    if (x->backend->sync(x->device, error))
        return -1;
    *figures = (struct figures){ (double)(door_now_ns() - begin) / 1e9 / (double)steps, (double)cpu / 1e9 / (double)steps };
    return 0;
}

static int by_seconds(const void *a, const void *b)
{
    const struct figures *x = a, *y = b;
    return (x->seconds > y->seconds) - (x->seconds < y->seconds);
}

static int measure(struct training *x, const struct graph *graph, int batch, double seconds, struct error *error)
{
    struct figures figures[ROUNDS];
    struct step_result result;
    double operations = 0;
    for (int i = 0; i < 8; i++) /* packs, chooses, captures */
        if (make_step(x, error))
            return -1;
    if (x->backend->sync(x->device, error))
        return -1;
    for (int round = 0; round < ROUNDS; round++)
        if (time_round(x, seconds / ROUNDS, &figures[round], error))
            return -1;
    if (plan_result(x->plan, (int)((x->steps - 1) & 1), &result, error))
        return -1;
    for (int i = 0; i < graph->n_nodes; i++)
        operations += 6.0 * batch * (double)node_multiply_adds(graph, &graph->nodes[i]);
    qsort(figures, ROUNDS, sizeof *figures, by_seconds);
    const struct figures *median = &figures[ROUNDS / 2];
    printf("images/s %.0f  us/step %.1f  cpu_us/step %.1f  TFLOP/s %.2f  plan_MiB %.0f  loss %.4f\n", batch / median->seconds, median->seconds * 1e6, median->cpu * 1e6,
           operations / median->seconds / 1e12, (double)plan_bytes(x->plan) / (1 << 20), result.loss_sum / batch);
    return isfinite(result.loss_sum) ? 0 : fail(error, EXIT_NOT_FINITE, "the loss is not finite");
}

static int build(struct graph *graph, const char *name, struct error *error)
{
    struct network_request request = { .input = { .c = 3, .h = 32, .w = 32, .mean = { 0.4914f, 0.4822f, 0.4465f }, .std = { 0.2470f, 0.2435f, 0.2616f } }, .classes = 10 };
    if (strncmp(name, "lenet", 5) == 0 || strcmp(name, "mlp") == 0)
        request.input = (struct input_args){ .c = 1, .h = 28, .w = 28, .mean = { 0.1307f }, .std = { 0.3081f } };
    if (strcmp(name, "resnet50") == 0 || strcmp(name, "resnet101") == 0 || strcmp(name, "resnet152") == 0) {
        request.input.h = request.input.w = 224;
        request.classes = 1000;
    }
    return network_build(graph, name, &request, error);
}

static int run(char **words, int n, struct error *error)
{
    int64_t batch;
    double seconds = 3;
    int precision = 0;
    struct graph graph;
    struct error why = { 0 };
    while (precision < PRECISIONS && strcmp(words[2], precision_name((enum precision)precision)))
        precision++;
    struct training training = { .backend = gpu_backend, .graphs = n < 4 || strcmp(words[3], "calls") != 0 };
    if (precision == PRECISIONS || !parse_int64(words[1], &batch) || batch < 1 || batch > 65536 || (n > 4 && (!parse_double(words[4], &seconds) || seconds <= 0)) ||
        (n > 3 && training.graphs && strcmp(words[3], "graphs")))
        return fail(error, EXIT_USAGE, "usage: gpu_step network batch fp32|bf16|fp16 [graphs|calls] [seconds]");
    if (choose_gpus(&why) == 0)
        return fail(error, EXIT_DEVICE, "%s", why.text);
    if (build(&graph, words[0], error))
        return -1;
    int result = prepare(&training, &graph, (int)batch, (enum precision)precision, error) || measure(&training, &graph, (int)batch, seconds, error) ? -1 : 0;
    release(&training);
    graph_release(&graph);
    return result;
}

int main(int argc, char **argv)
{
    struct error error = { 0 };
    if (argc < 4 || argc > 6)
        fail(&error, EXIT_USAGE, "usage: gpu_step network batch fp32|bf16|fp16 [graphs|calls] [seconds]");
    else
        run(argv + 1, argc - 1, &error);
    if (error.code)
        fprintf(stderr, "%s\n", error.text);
    return error.code;
}
