/* The deepest and the widest of the networks, as plans: a step on every backend, its loss and gradients, and the memory it takes. */
#include "base/door.h"
#include "cpu/cpu.h"
#include "nets/network.h"
#include "nets/plan.h"
#include "tests/segment.h"
#include "tests/tests.h"

#include <math.h>
#include <string.h>

static const struct backend *const backends_here[] = {
    &backend_lanes,
#ifdef HAVE_ONEDNN
    &backend_onednn, &backend_onednn_nhwc,
#endif
    &backend_reference,
};
enum { N_BACKENDS = sizeof backends_here / sizeof *backends_here, MOST_IMAGES = 64 };

/* A network with its initial weights, and images to compute on. */
struct task {
    const struct graph *graph;
    int batch;
    float *weights, *gradient, *stats;
    uint8_t *pixels;
    int32_t labels[MOST_IMAGES];
    int64_t index[MOST_IMAGES];
};

static void network_open(struct graph *graph, const char *name, int side)
{
    const struct network_request request = { .input = { .c = 3, .h = side, .w = side, .mean = { 0.5f, 0.5f, 0.5f }, .std = { 0.25f, 0.25f, 0.25f } }, .classes = 10 };
    struct error error = { 0 };
    if (network_build(graph, name, &request, &error))
        fail_msg("%s", error.text);
}

static void task_open(struct task *task, const struct graph *graph, int batch)
{
    struct draws draws = { 41, 0 };
    const size_t n = (size_t)batch * shape_count(graph->nodes[0].out);
    *task = (struct task){ .graph = graph, .batch = batch, .weights = floats_new(graph->params.total), .gradient = floats_new(graph->params.total) };
    task->stats = floats_new(graph->stats.total);
    task->pixels = (uint8_t *)floats_new(n / sizeof(float) + 1);
    graph_init_weights(graph, 5, task->weights);
    graph_init_stats(graph, task->stats);
    for (size_t i = 0; i < n; i++)
        task->pixels[i] = (uint8_t)draw(&draws);
    for (int b = 0; b < batch; b++) {
        task->labels[b] = draw_below(&draws, 10);
        task->index[b] = b;
    }
}

static void task_close(struct task *task)
{
    door_free(task->weights);
    door_free(task->gradient);
    door_free(task->stats);
    door_free(task->pixels);
}

static struct plan *plan_of(const struct backend *backend, struct device *device, const struct graph *graph, int batch, bool training)
{
    struct error error = { 0 };
    struct plan *plan;
    const struct plan_request request = { .backend = backend, .device = device, .graph = graph, .batch = batch, .training = training };
    if (plan_make(&plan, &request, &error))
        fail_msg("%s: %s: %s", graph->name, backend->name, error.text);
    return plan;
}

static struct device *device_of(const struct backend *backend)
{
    struct error error = { 0 };
    struct device *device;
    if (backend->device_open(&device, -1, &error))
        fail_msg("%s", error.text);
    return device;
}

/* The mean loss, in training; with a gradient when `gradient` is not NULL. */
static double loss_of(struct task *task, struct plan *plan, float *gradient)
{
    const struct step step = {
        .weights = task->weights, .gradient = gradient, .stats = task->stats, .repack = true, .pixels = task->pixels, .labels = task->labels, .index = task->index, .n = task->batch,
    };
    struct error error = { 0 };
    struct step_result result;
    if (plan_forward(plan, &step, NULL, &error) || (gradient && plan_backward(plan, &step, NULL, &error)))
        fail_msg("%s: %s", task->graph->name, error.text);
    assert_int_equal(plan_result(plan, 0, &result, &error), 0);
    return result.loss_sum / task->batch;
}

/* Along a parameter's own gradient the loss rises by the gradient's norm. */
static void check_slope(struct task *task, struct plan *plan, const struct param *param)
{
    float *weights = task->weights + param->offset, *before = floats_new(param->count);
    const float *gradient = task->gradient + param->offset;
    double squares = 0, losses[2];
    memcpy(before, weights, param->count * sizeof *before);
    for (size_t i = 0; i < param->count; i++)
        squares += (double)gradient[i] * (double)gradient[i];
    assert_true(squares > 0);
    const double distance = fmin(2e-3, 0.02 / sqrt(squares)); /* the loss moves by some hundredths at most */
    for (int side = 0; side < 2; side++) {
        for (size_t i = 0; i < param->count; i++)
            weights[i] = (float)((double)before[i] + (side ? distance : -distance) / sqrt(squares) * (double)gradient[i]);
        losses[side] = loss_of(task, plan, NULL);
    }
    memcpy(weights, before, param->count * sizeof *before);
    door_free(before);
    double slope = (losses[1] - losses[0]) / (2 * distance);
    if (!(fabs(slope / sqrt(squares) - 1) < 0.05))
        fail_msg("%s: %s: slope %g, gradient's norm %g", task->graph->name, param->name, slope, sqrt(squares));
}

static const struct param *named(const struct graph *graph, const char *name)
{
    for (int i = 0; i < graph->params.n; i++)
        if (strcmp(graph->params.rows[i].name, name) == 0)
            return &graph->params.rows[i];
    fail_msg("%s has no %s", graph->name, name);
    return NULL;
}

/* Networks to make a step of. An activation next to 0 may be cut by one backend and not by another, which moves every gradient in front of it: by some hundredths where
 * few samples and small planes share it. */
static const struct deep {
    const char *name;
    int side, batch, n_backends;
    double tolerance;      /* of gradients, between backends */
    const char *params[7]; /* ended by NULL */
} rows[] = {
    { "resnet110", 8, 16, N_BACKENDS, 1e-2, { "conv1.weight", "layer1.9.conv2.weight", "layer2.0.bn1.weight", "layer3.0.conv1.weight", "layer3.17.bn2.bias", "fc.weight" } },
    { "vgg16-bn", 32, 8, N_BACKENDS - 1, 1e-2, { "features.0.weight", "features.8.bias", "features.24.weight", "features.41.weight", "classifier.3.weight" } },
    { "resnet18", 64, 4, N_BACKENDS, 1e-2, { "conv1.weight", "bn1.weight", "layer1.0.conv1.weight", "layer2.0.downsample.0.weight", "layer4.1.bn2.weight", "fc.weight" } },
    { "resnet50", 64, 4, N_BACKENDS - 1, 1e-1, { "conv1.weight", "layer1.0.conv3.weight", "layer1.0.downsample.0.weight", "layer2.0.conv2.weight", "layer4.2.bn3.bias", "fc.weight" } },
};

static void check_param(struct task *task, const struct deep *net, const struct backend *backend, const struct param *param, const float *gradient)
{
    double off = difference(task->gradient + param->offset, gradient + param->offset, param->count);
    if (!(off < net->tolerance))
        fail_msg("%s: %s: %s: gradient off by %g", backend->name, net->name, param->name, off);
}

/* The first backend's gradient is checked by slopes, the others against the first. */
static void a_step_is_right(void **state)
{
    const struct deep *net = *state;
    struct graph graph;
    struct task task;
    double first = 0;
    network_open(&graph, net->name, net->side);
    task_open(&task, &graph, net->batch);
    float *gradient = floats_new(graph.params.total);
    for (int i = 0; i < net->n_backends; i++) {
        struct device *device = device_of(backends_here[i]);
        struct plan *plan = plan_of(backends_here[i], device, &graph, net->batch, true);
        double loss = loss_of(&task, plan, i ? gradient : task.gradient);
        first = i ? first : loss;
        assert_true(fabs(loss / first - 1) < 1e-4);
        for (int k = 0; net->params[k]; k++) {
            const struct param *param = named(&graph, net->params[k]);
            if (i == 0)
                check_slope(&task, plan, param);
            else
                check_param(&task, net, backends_here[i], param, gradient);
        }
        plan_free(plan);
        backends_here[i]->device_close(device);
    }
    door_free(gradient);
    task_close(&task);
    graph_release(&graph);
}

struct bytes { double outputs, training, evaluation; };

/* What plans for 16 images of 32 x 32 take; outputs: of all nodes, each kept. */
static struct bytes bytes_of(const struct backend *backend, const char *name)
{
    enum { BATCH = 16 };
    struct bytes bytes = { 0 };
    struct graph graph;
    struct device *device = device_of(backend);
    network_open(&graph, name, 32);
    struct plan *training = plan_of(backend, device, &graph, BATCH, true), *evaluation = plan_of(backend, device, &graph, BATCH, false);
    for (int i = 0; i < graph.n_nodes; i++)
        bytes.outputs += BATCH * sizeof(float) * (double)shape_count(graph.nodes[i].out);
    bytes.training = (double)plan_bytes(training);
    bytes.evaluation = (double)plan_bytes(evaluation);
    plan_free(training);
    plan_free(evaluation);
    graph_release(&graph);
    backend->device_close(device);
    return bytes;
}

/* Training keeps what backward reads, which is less than every node's output; evaluation does not grow with depth. */
static void test_memory(void **state)
{
    (void)state;
    for (int i = 0; i < N_BACKENDS - 1; i++) {
        const struct bytes deep = bytes_of(backends_here[i], "resnet110"), shallow = bytes_of(backends_here[i], "resnet20");
        assert_true(deep.training < deep.outputs);
        assert_true(deep.evaluation <= shallow.evaluation);
        assert_true(shallow.evaluation < deep.outputs / 10);
    }
}

int test_deep(void)
{
    const struct CMUnitTest tests[] = {
        { "a_step_of_resnet110", a_step_is_right, NULL, NULL, (void *)&rows[0] }, { "a_step_of_vgg16", a_step_is_right, NULL, NULL, (void *)&rows[1] },
        { "a_step_of_resnet18", a_step_is_right, NULL, NULL, (void *)&rows[2] },  { "a_step_of_resnet50", a_step_is_right, NULL, NULL, (void *)&rows[3] },
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests_name("deep", tests, NULL, NULL);
}
