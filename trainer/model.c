/* See model.h. */
#include "trainer/model.h"

#include "base/door.h"
#include "trainer/choose.h"
#include "trainer/config_network.h"
#include "trainer/progress.h"
#include "trainer/topology.h"
#include "trainer/weights.h"

#include <math.h>
#include <string.h>

int model_read(struct model *model, const char *path, struct error *error)
{
    *model = (struct model){ .path = path };
    return weights_about_read(&model->about, path, error);
}

static int allocate_floats(float **to, size_t n, const char *what, struct error *error)
{
    void *block;
    if (door_allocate(&block, n * sizeof(float), what, error))
        return -1;
    *to = block;
    return 0;
}

int model_load(struct model *model, enum weights_choice choice, struct error *error)
{
    struct weights_about *about = &model->about;
    struct config *config = &about->config;
    struct topology topology;
    struct choice computing;
    if (choice == WEIGHTS_AVERAGED && !about->average)
        return fail(error, EXIT_INPUT, "%s: want averaged weights, found none", model->path);
    model->average = about->average && choice != WEIGHTS_RAW;
    struct error why;
    const struct devices none = { 0 }, first = { .n = 1 };
    bool on_gpu = strcmp(config->workers.devices, "cpu") != 0 && choose_gpus(&why) > 0;
    if (on_gpu)
        choose_gpu_settings(config, &first);
    int stored = config->train.precision;
    if (!on_gpu && !choose_offers(config)) /* weights are fp32 whatever they were trained in */
        config->train.precision = PRECISION_FP32;
    if (choose_isa(config, error) ||
        config_network(&model->graph, config, model->path, &(struct config_input){ about->input, about->classes, false }, error) || topology_read(&topology, error) ||
        choose_backend(&computing, config, on_gpu ? &first : &none, &model->graph, topology.identity, error) ||
        allocate_floats(&model->weights, model->graph.params.total, "the weights", error) || allocate_floats(&model->stats, model->graph.stats.total, "the statistics", error))
        return -1;
    model->backend = computing.backend;
    model->place = computing.place;
    model->precision = computing.precision;
    model->stored = stored == AUTOMATIC ? computing.precision : (enum precision)stored;
    graph_init_stats(&model->graph, model->stats);
    return (model->average ? weights_load_average : weights_load)(model->path, &model->graph, model->weights, model->stats, error);
}

void model_release(struct model *model)
{
    door_free(model->weights);
    door_free(model->stats);
    graph_release(&model->graph);
    weights_about_release(&model->about);
    memset(model, 0, sizeof *model);
}

int model_weights_word(const char *command, const char *word, enum weights_choice *choice, struct error *error)
{
    static const char *const words[] = { "best", "raw", "average" };
    for (int i = WEIGHTS_BEST; i <= WEIGHTS_AVERAGED; i++)
        if (strcmp(word, words[i]) == 0) {
            *choice = (enum weights_choice)i;
            return 0;
        }
    return fail(error, EXIT_USAGE, "%s: --weights: want best, raw or average, got \"%s\"", command, word);
}

void model_describe(const struct model *model, char *text, size_t bytes)
{
    char iteration[32];
    snprintf(text, bytes, "iteration %s, %s weights", grouped(model->about.iteration, iteration), model->average ? "averaged" : "raw");
}

void model_describe_computing(const struct model *model, char *text, size_t bytes)
{
    char name[64];
    bool other = model->precision != model->stored;
    choose_name(model->backend, name, sizeof name);
    snprintf(text, bytes, "%s%s%s%s on %s", precision_name(model->precision), other ? " (trained in " : "",
             other ? precision_name(model->stored) : "", other ? ")" : "", name);
}

/* The model's vectors, and room for a batch, on a device with memory of its own. */
static int runner_settle(struct model_runner *runner, struct error *error)
{
    const struct model *model = runner->model;
    const struct backend *backend = model->backend;
    size_t n = (size_t)runner->batch, params = model->graph.params.total, stats = model->graph.stats.total;
    void *blocks[5];
    const size_t bytes[5] = { params * sizeof(float), stats * sizeof(float), n * shape_count(model->graph.nodes[0].out), n * sizeof(int32_t), n * sizeof(int64_t) };
    for (int i = 0; i < 5; i++) {
        if (backend->allocate(runner->device, &blocks[i], bytes[i], "the model", error)) {
            while (i-- > 0)
                backend->release(runner->device, blocks[i]);
            return -1;
        }
    }
    runner->weights = blocks[0];
    runner->stats = blocks[1];
    runner->pixels = blocks[2];
    runner->labels = blocks[3];
    runner->index = blocks[4];
    backend->copy(runner->device, runner->weights, model->weights, params);
    backend->copy(runner->device, runner->stats, model->stats, stats);
    return backend->sync(runner->device, error);
}

int model_runner_open(struct model_runner *runner, const struct model *model, int batch, int processor, struct error *error)
{
    *runner = (struct model_runner){ .model = model, .batch = batch, .weights = model->weights, .stats = model->stats };
    if (model->backend->device_open(&runner->device, model->backend->host_memory ? processor : model->place, error))
        return -1;
    const struct plan_request request = { model->backend, runner->device, &model->graph, batch, false, model->precision };
    if (!model->backend->host_memory && runner_settle(runner, error))
        return -1;
    return plan_make(&runner->plan, &request, error) || allocate_floats(&runner->logits, (size_t)batch * (size_t)model->about.classes, "logits", error) ? -1 : 0;
}

void model_runner_close(struct model_runner *runner)
{
    plan_free(runner->plan);
    if (runner->pixels) {
        void *const blocks[] = { runner->weights, runner->stats, runner->pixels, runner->labels, runner->index };
        for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
            runner->model->backend->release(runner->device, blocks[i]);
    }
    if (runner->device)
        runner->model->backend->device_close(runner->device);
    door_free(runner->logits);
    memset(runner, 0, sizeof *runner);
}

/* The batch, where the device reads it. */
static void upload(const struct model_runner *runner, struct step *step)
{
    const struct backend *backend = runner->model->backend;
    size_t n = (size_t)runner->batch;
    if (!runner->pixels)
        return;
    backend->upload(runner->device, runner->pixels, step->pixels, n * shape_count(runner->model->graph.nodes[0].out));
    backend->upload(runner->device, runner->labels, step->labels, n * sizeof *step->labels);
    backend->upload(runner->device, runner->index, step->index, n * sizeof *step->index);
    step->pixels = runner->pixels;
    step->labels = runner->labels;
    step->index = runner->index;
}

int model_run(struct model_runner *runner, const uint8_t *pixels, const int32_t *labels, const int64_t *index, int n, struct step_result *result, struct error *error)
{
    struct step step = { .weights = runner->weights, .stats = runner->stats, .pixels = pixels, .labels = labels, .index = index, .n = n };
    upload(runner, &step);
    if (plan_forward(runner->plan, &step, NULL, error) || plan_result(runner->plan, 0, result, error))
        return -1;
    if (!isfinite(result->loss_sum))
        return fail(error, EXIT_NOT_FINITE, "%s: the loss of image %lld or one of the %d behind it is not finite", runner->model->path, (long long)index[0], n - 1);
    plan_logits(runner->plan, runner->logits);
    return 0;
}
