/* onestep train: config to threads to files. The main thread is the one writer: it takes the server's reports and writes what lasts. */
#include "trainer/command.h"

#include "base/door.h"
#include "base/file.h"
#include "base/text.h"
#include "trainer/choose.h"
#include "trainer/config_network.h"
#include "trainer/server.h"
#include "trainer/signals.h"
#include "trainer/summary.h"
#include "trainer/trace_file.h"
#include "trainer/training.h"
#include "trainer/weights_about.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static const char help[] =
    "usage: onestep train CONFIG [--set section.key=value]... [--output DIR]\n"
    "                     [--resume [FILE|DIR]]\n"
    "       onestep train --resume FILE|DIR [--set section.key=value]...\n\n"
    "Trains as the config says (onestep config --help lists its keys) and writes into\n"
    "DIR (default: runs/NAME-NNN):\n"
    "  config.ini             the config with every choice made; it repeats the run\n"
    "  metrics.csv            a row per epoch, and per step with train.log_every\n"
    "  checkpoint-*           the run's whole state, every checkpoint.every, at the\n"
    "                         end and on a stop\n"
    "  weights.safetensors    the final weights, by torchvision's names\n"
    "  trace.json             with output.trace: who did what when (chrome://tracing)\n"
    "Ctrl-C finishes the step, writes all of that, and exits with 130; a second one\n"
    "leaves at once.\n\n"
    "--set overrides the config. The last word counts: train.iterations=5 replaces\n"
    "the config's train.epochs, and the other way round.\n\n"
    "--resume goes on from FILE, or from the newest valid checkpoint of DIR (without\n"
    "either: of --output DIR), to the bytes that the run would have ended on. Without\n"
    "CONFIG the config is the checkpoint's. What the state depends on (net, data,\n"
    "algorithm, workers, seed) cannot change. The backend stays the checkpoint's.\n";

/* The words after the config, if there was one. Settings go into the config at once; without a config they wait for the checkpoint's. */
struct words { int n; char **words; char *sets[64]; int n_sets; };

static int read_set(struct training *training, struct words *words, char *assignment, struct error *error)
{
    if (training->config_path)
        return config_set(&training->config, assignment, error);
    if (words->n_sets == (int)(sizeof words->sets / sizeof *words->sets))
        return fail(error, EXIT_USAGE, "train: --set: want at most %d of them, got another", words->n_sets);
    words->sets[words->n_sets++] = assignment;
    return 0;
}

/* Reads the word at i, and what belongs to it; returns where the next is, or -1. */
static int read_word(struct training *training, struct words *words, int i, struct error *error)
{
    const char *word = words->words[i];
    char *value = i + 1 < words->n ? words->words[i + 1] : NULL;
    bool set = strcmp(word, "--set") == 0;
    if (strcmp(word, "--resume") == 0) {
        bool given = value && strncmp(value, "--", 2) != 0;
        training->resumption.asked = true;
        if (given && strlen(value) >= sizeof training->resumption.from)
            return fail(error, EXIT_USAGE, "train: --resume: want a shorter path, got %.60s...", value);
        snprintf(training->resumption.from, sizeof training->resumption.from, "%s", given ? value : "");
        return i + 1 + given;
    }
    if (!set && strcmp(word, "--output") != 0)
        return fail(error, EXIT_USAGE, "train: want --set, --output or --resume, got \"%s\"; onestep train --help", word);
    if (!value)
        return fail(error, EXIT_USAGE, "train: %s: want %s after it, got nothing", word, set ? "section.key=value" : "a folder");
    if (set ? read_set(training, words, value, error) : config_set_key(&training->config, "--output", "output", "dir", value, error))
        return -1;
    return i + 2;
}

static int read_words(struct training *training, int n, char **given, struct error *error)
{
    struct words words = { .n = n, .words = given };
    int i = 0;
    bool resume_first = n && strcmp(given[0], "--resume") == 0;
    if (n < 1 || (given[0][0] == '-' && !resume_first))
        return fail(error, EXIT_USAGE, "train: want a config file first, got %s; onestep train --help", n ? given[0] : "nothing");
    config_defaults(&training->config);
    if (!resume_first) {
        training->config_path = given[i++];
        const char *slash = strrchr(given[0], '/'), *base = slash ? slash + 1 : given[0];
        snprintf(training->name, sizeof training->name, "%.*s", (int)strcspn(base, "."), base);
        if (config_read(&training->config, given[0], error))
            return -1;
    }
    while (i < n)
        if ((i = read_word(training, &words, i, error)) < 0)
            return -1;
    if (training->config_path && config_check(&training->config, training->config_path, error))
        return -1;
    if (!training->resumption.asked)
        return 0;
    if (training_find(training, words.n_sets, words.sets, error))
        return -1;
    if (!training->config_path)
        training->config_path = "--resume";
    return 0;
}

/* K, and where the workers run. */
static int settle_workers(struct training *training, struct error *error)
{
    struct config *config = &training->config;
    struct devices *devices = &training->devices;
    struct error why = { 0 };
    int cores = training->topology.cores, gpus = choose_gpus(&why);
    bool asked = strncmp(config->workers.devices, "cuda", 4) == 0;
    if (asked && gpus == 0)
        return fail(error, EXIT_USAGE, "%s: [workers] devices: want a GPU for \"%s\", and there is none: %s", training->config_path, config->workers.devices, why.text);
    if (devices_read(devices, config, gpus, training->config_path, error))
        return -1;
    if (!devices->n && config->data.augment_on == AUGMENT_DEVICE)
        return fail(error, EXIT_USAGE, "%s: [data] augment_on: device wants workers on GPUs, and they run on the CPU: want auto or loader", training->config_path);
    if (devices->n)
        config->workers.count = devices->n;
    if (!config->workers.count)
        config->workers.count = cores < WORKERS_MAX ? cores : WORKERS_MAX;
    devices_write(devices, config->workers.devices, sizeof config->workers.devices);
    if (!devices->n && config->workers.count > cores)
        fprintf(stderr, "onestep: warning: %lld workers share %d cores\n", (long long)config->workers.count, cores);
    return 0;
}

/* What else the config leaves to the program. */
static int settle(struct training *training, struct error *error)
{
    struct config *config = &training->config;
    if (topology_read(&training->topology, error) || settle_workers(training, error))
        return -1;
    if (config->workers.slowdown.n != 1 && config->workers.slowdown.n != config->workers.count)
        return fail(error, EXIT_USAGE, "%s: [workers] slowdown: want one number, or one for each of %lld workers, got %d", training->config_path,
                    (long long)config->workers.count, config->workers.slowdown.n);
    bool repeats = (algorithm_of(config->train.algorithm)->synchronous || config->async.order != ORDER_FREE) && config->workers.reduce == REDUCE_SERVER;
    if (!config->train.bucket_kib)
        config->train.bucket_kib = training->devices.n ? 4096 : 256;
    if (config->train.deterministic == AUTOMATIC)
        config->train.deterministic = repeats;
    choose_gpu_settings(config, &training->devices);
    return choose_isa(config, error) ? error_place(error, training->config_path) : 0;
}

/* Names the config's file and key before what a room that knows no config has said. */
static int place_in_config(const struct training *training, const char *key, struct error *error)
{
    char place[400];
    snprintf(place, sizeof place, "%.300s: %s", training->config_path, key);
    return error->code == EXIT_USAGE ? error_place(error, place) : -1;
}

static int open_data(struct training *training, struct error *error)
{
    struct config *config = &training->config;
    char path[4096];
    if (strcmp(config->data.path, "auto") == 0) {
        if (dataset_find(config->data.dataset, path, sizeof path, error))
            return place_in_config(training, "[data] dataset", error);
        if (config_set_key(config, "data.path = auto", "data", "path", path, error))
            return -1;
    }
    struct dataset_request request = {
        .name = config->data.dataset, .path = config->data.path, .split = SPLIT_TRAIN, .limit = config->data.limit, .seed = (uint64_t)config->train.seed, .side = (int)config->data.size,
    };
    if (dataset_open(&training->train, &request, error))
        return place_in_config(training, "[data] dataset", error);
    request.split = SPLIT_TEST;
    request.limit = config->data.test_limit;
    return dataset_open(&training->test, &request, error);
}

static int build_graph(struct training *training, struct error *error)
{
    const struct dataset *data = &training->train;
    bool augments = training->devices.n && training->config.data.augment_on != AUGMENT_LOADER;
    const struct config_input input = { { data->channels, data->height, data->width }, data->classes, augments };
    return config_network(&training->graph, &training->config, training->config_path, &input, error);
}

static int load_weights(struct training *training, struct error *error)
{
    const struct config *config = &training->config;
    void *weights, *stats;
    if (strcmp(config->train.init, "random") == 0 || training->resumption.asked)
        return 0;
    if (door_allocate(&weights, training->graph.params.total * sizeof(float), "the first weights", error))
        return -1;
    training->first_weights = weights;
    if (door_allocate(&stats, training->graph.stats.total * sizeof(float), "the first statistics", error))
        return -1;
    training->first_stats = stats;
    graph_init_stats(&training->graph, stats);
    return weights_load(config->train.init, &training->graph, weights, stats, error);
}

static int open_run(struct training *training, struct error *error)
{
    struct config *config = &training->config;
    struct choice *choice = &training->choice;
    if (choose_backend(choice, config, &training->devices, &training->graph, training->topology.identity, error))
        return -1;
    if (!training->devices.n)
        snprintf(config->cpu.backend, CONFIG_TEXT, "%s", choice->backend->name);
    config->train.precision = (int)choice->precision;
    const struct topology *topology = &training->topology;
    const bool pinned = config->workers.pin && config->workers.count <= topology->cores;
    for (int k = 0; k < config->workers.count; k++)
        training->processors[k] = pinned ? topology->processors[k] : -1;
    struct run_request request = {
        .config = config, .backend = choice->backend, .graph = &training->graph, .train = &training->train,
        .test = &training->test, .k = (int)config->workers.count,
        .first_weights = training->first_weights, .first_stats = training->first_stats,
        .processors = training->processors, .places = training->processors,
        .crowded = pinned && config->workers.count == topology->threads, .resume = training->resumption.asked,
    };
    if (training->devices.n) {
        request.processors = NULL;
        request.crowded = false;
        request.places = training->devices.places;
        request.n_server_places = training->devices.n_server;
        request.server_backend = training->devices.n_server ? NULL : host_backend;
        memcpy(request.server_places, training->devices.server, sizeof request.server_places);
    }
    if (run_open(&training->run, &request, error))
        return -1;
    return training->resumption.asked ? training_go_on(training, error) : 0;
}

static int open_metrics(struct training *training, const char *path, struct error *error)
{
    const struct run *run = training->run;
    const struct resumption *resumption = &training->resumption;
    int64_t global_batch = training->config.data.batch * run->k;
    bool whole;
    if (!resumption->asked)
        return metrics_open(&training->metrics, path, &run->schedule, global_batch, error);
    if (metrics_resume(&training->metrics, path, &run->schedule, global_batch, &resumption->mark, resumption->iteration, &whole, error))
        return -1;
    if (!whole)
        fprintf(stderr, "onestep: warning: %s: does not hold all rows up to iteration %lld; going on behind those that are there\n", path, (long long)resumption->iteration);
    return 0;
}

/* The config that goes with a checkpoint says how to go on. What goes with the weights leaves out what changes no
 * result, so that equal runs give equal files. Neither has the instruction set, which is the machine's. */
static void write_about(struct training *training)
{
    struct config about = training->config, plain;
    config_defaults(&plain);
    about.output.overwrite = plain.output.overwrite;
    about.cpu.isa = plain.cpu.isa;
    snprintf(about.output.dir, sizeof about.output.dir, "%s", plain.output.dir);
    config_write(&about, training->about_run, sizeof training->about_run);
    about.output = plain.output;
    about.checkpoint = plain.checkpoint;
    about.data.loader_threads = plain.data.loader_threads;
    about.data.prefetch = plain.data.prefetch;
    config_write(&about, training->about, sizeof training->about);
}

/* The folder that a run goes on in is there; any other is as for a new run. */
static int make_folder(struct training *training, struct error *error)
{
    struct config config = training->config;
    config.output.overwrite |= training->resumption.asked && door_same(training->resumption.folder, config.output.dir);
    return folder_make(&training->folder, &config, training->name, error);
}

static int open_files(struct training *training, struct error *error)
{
    char path[1200], text[16384];
    signals_catch(); /* from the first file on: a stop leaves none of them half-written */
    if (make_folder(training, error) || folder_file(&training->folder, "config.ini", path, sizeof path, error))
        return -1;
    if (training->resumption.asked ? training_set_aside(training, error) : checkpoint_prune(training->folder.path, 0, error)) /* what a run left that is written over */
        return -1;
    size_t n = config_write(&training->config, text, sizeof text);
    write_about(training);
    if (file_replace(path, &(struct file_part){ text, n }, 1, error) || folder_file(&training->folder, "metrics.csv", path, sizeof path, error))
        return -1;
    return open_metrics(training, path, error);
}

/* A loss is checked in every step; the last update is not behind any. */
static int check_finite(const struct training *training, const float *weights, struct error *error)
{
    const struct param_map *params = &training->graph.params;
    for (int i = 0; i < params->n; i++)
        for (size_t j = 0; j < params->rows[i].count; j++)
            if (!isfinite(weights[params->rows[i].offset + j]))
                return fail(error, EXIT_NOT_FINITE, "after the last update %s[%zu] is %g; nothing is written", params->rows[i].name, j, (double)weights[params->rows[i].offset + j]);
    return 0;
}

/* What a run ends on, in the host's memory. */
struct final { float *weights, *average, *stats; };

static void final_release(struct final *final)
{
    door_free(final->weights);
    door_free(final->average);
    door_free(final->stats);
}

static int final_read(struct final *final, const struct run *run, struct error *error)
{
    size_t n = run->graph->params.total;
    void *weights, *average, *stats;
    if (door_allocate(&weights, n * sizeof(float), "the final weights", error))
        return -1;
    final->weights = weights;
    if (door_allocate(&stats, run->n_stats * sizeof(float), "the final statistics", error))
        return -1;
    final->stats = stats;
    if (run_final_weights(run, weights, error) || run_final_stats(run, stats, error))
        return -1;
    if (!run_has_average(run))
        return 0;
    if (door_allocate(&average, n * sizeof(float), "the final average", error))
        return -1;
    final->average = average;
    return run_final_average(run, average, error);
}

static int save_weights(struct training *training, const struct final *final, struct error *error)
{
    const struct run *run = training->run;
    struct weights_metadata metadata = training_metadata(training, training->about);
    char path[1200];
    metadata.iteration = run->server->tally.iterations;
    metadata.sample_offset = run->server->tally.iterations * run->k * training->config.data.batch;
    const struct weights_contents contents = { .graph = &training->graph, .weights = final->weights, .stats = final->stats, .average = final->average, .metadata = &metadata };
    if (check_finite(training, final->weights, error) || folder_file(&training->folder, "weights.safetensors", path, sizeof path, error))
        return -1;
    return weights_save(path, &contents, NULL, error);
}

static int write_results(struct training *training, struct error *error)
{
    const struct run *run = training->run;
    struct final final = { 0 };
    char path[1200];
    int result = final_read(&final, run, error) || save_weights(training, &final, error) ? -1 : 0;
    final_release(&final);
    if (result == 0 && training->config.output.trace)
        result = folder_file(&training->folder, "trace.json", path, sizeof path, error) || trace_file_write(path, run, error) ? -1 : 0;
    if (result == 0 && *training->config.async.record)
        result = service_write(&run->service, training->config.async.record, error);
    return result;
}

static void print_written(const struct training *training)
{
    const struct written *written = &training->written;
    if (written->n)
        printf("\ncheckpoints: %d written beside the training, %.1f MiB and %.0f ms each\n", written->n, (double)written->bytes / (1 << 20), (double)written->ns / 1e6 / written->n);
    if (training->metrics.newest.best_iteration >= 0)
        printf("best accuracy: %.2f %%, after iteration %lld\n", 100 * training->metrics.newest.best_accuracy, (long long)training->metrics.newest.best_iteration);
    putchar('\n');
    text_print(stdout, 9, "written:", "%s/weights.safetensors, metrics.csv, config.ini", training->folder.path);
}

static int train(struct training *training, struct error *error)
{
    struct run *run = training->run;
    training_print_start(training);
    progress_open(&training->progress, &run->schedule, training->config.data.batch * run->k);
    if (run_start(run, error))
        return -1;
    training_follow(training, error);
    int joined = run_join(run, error);
    metrics_close(&training->metrics, error);
    progress_close(&training->progress, &training->metrics);
    if (joined || write_results(training, error))
        return -1;
    if (error->code) { /* of the metrics */
        size_t used = strlen(error->text);
        snprintf(error->text + used, sizeof error->text - used, "; the weights are in %s/weights.safetensors", training->folder.path);
        return -1;
    }
    summary_print(stdout, run);
    print_written(training);
    return 0;
}

/* What was lost, and what was not. */
static void name_last_checkpoint(const struct training *training, struct error *error)
{
    size_t used = strlen(error->text);
    if (*training->written.last)
        snprintf(error->text + used, sizeof error->text - used, "; the last good checkpoint is %s", training->written.last);
}

static void close_training(struct training *training)
{
    run_close(training->run);
    metrics_release(&training->metrics);
    graph_release(&training->graph);
    dataset_close(&training->train);
    dataset_close(&training->test);
    door_free(training->first_weights);
    door_free(training->first_stats);
    door_free(training->resumption.list.iterations);
}

/* Whether there is nothing left to do: the folder that the run would go on in holds its final weights, and what is
 * written behind them is not asked for. */
static bool is_finished(const struct training *training)
{
    const struct config *config = &training->config;
    struct weights_about about;
    struct error ignored = { 0 };
    char path[1200];
    int n = snprintf(path, sizeof path, "%s/weights.safetensors", config->output.dir);
    if (!training->resumption.asked || training->resumption.iteration != training->run->iterations)
        return false;
    if (config->output.trace || *config->async.record || !door_same(training->resumption.folder, config->output.dir))
        return false;
    if (n >= (int)sizeof path || !door_exists(path))
        return false;
    bool whole = weights_about_read(&about, path, &ignored) == 0 && about.iteration == training->run->iterations;
    weights_about_release(&about);
    return whole;
}

static int train_or_say(struct training *training, struct error *error)
{
    char iterations[32];
    if (!is_finished(training))
        return open_files(training, error) || train(training, error) ? -1 : 0;
    printf("%s: finished after %s iterations; a larger --set train.%s makes it longer\n", training->config.output.dir,
           grouped(training->run->iterations, iterations),
           training->config.train.epochs ? "epochs" : "iterations");
    return 0;
}

int command_train(int n, char **words, struct error *error)
{
    if (n && strcmp(words[0], "--help") == 0) {
        fputs(help, stdout);
        return 0;
    }
    struct training training = { .metrics.fd = -1 };
    int failed = read_words(&training, n, words, error) || settle(&training, error) || open_data(&training, error) || build_graph(&training, error) ||
                 load_weights(&training, error) || open_run(&training, error) || train_or_say(&training, error);
    int signal_number = signals_caught();
    int64_t stopped_at = training.run ? training.run->server->tally.iterations : 0;
    if (!failed && signal_number)
        fail(error, EXIT_SIGNAL + signal_number, "stopped by %s after iteration %lld; the weights are in %s/weights.safetensors", signal_number == SIGINT ? "SIGINT" : "SIGTERM",
             (long long)stopped_at, training.folder.path);
    if (error->code)
        name_last_checkpoint(&training, error);
    close_training(&training);
    return failed ? -1 : error->code;
}
