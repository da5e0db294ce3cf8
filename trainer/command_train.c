/* onestep train: config to threads to files. The main thread is the one writer: it takes the server's reports and writes what lasts. */
#include "trainer/command.h"

#include "base/door.h"
#include "base/file.h"
#include "trainer/choose.h"
#include "trainer/config_network.h"
#include "trainer/folder.h"
#include "trainer/message.h"
#include "trainer/metrics.h"
#include "trainer/progress.h"
#include "trainer/run.h"
#include "trainer/server.h"
#include "trainer/signals.h"
#include "trainer/summary.h"
#include "trainer/topology.h"
#include "trainer/trace_file.h"
#include "trainer/weights.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static const char help[] =
    "usage: onestep train CONFIG [--set section.key=value]... [--output DIR]\n\n"
    "Trains as the config says (onestep config --help lists its keys) and writes into DIR (default: runs/NAME-NNN):\n"
    "  config.ini            the config with every choice made; it repeats the run\n"
    "  metrics.csv           a row per epoch, and per step with train.log_every\n"
    "  weights.safetensors   the final weights, by torchvision's names\n"
    "  trace.json            with output.trace: who did what when (chrome://tracing)\n"
    "Ctrl-C finishes the step, writes all of that, and exits with 130; a second one leaves at once.\n";

/* Everything that one run of the command holds, to be closed in one place. */
struct session {
    const char *config_path;
    char name[64]; /* of the config: its file without folder and ending */
    struct config config;
    struct topology topology;
    struct dataset train, test;
    struct graph graph;
    const struct backend *backend;
    float *first_weights, *first_stats;
    struct folder folder;
    struct metrics metrics;
    struct progress progress;
    struct run *run;
};

static int read_words(struct session *session, int n, char **words, struct error *error)
{
    if (n < 1 || words[0][0] == '-')
        return fail(error, EXIT_USAGE, "train: want a config file first, got %s; onestep train --help", n ? words[0] : "nothing");
    session->config_path = words[0];
    const char *slash = strrchr(words[0], '/'), *base = slash ? slash + 1 : words[0];
    snprintf(session->name, sizeof session->name, "%.*s", (int)strcspn(base, "."), base);
    config_defaults(&session->config);
    if (config_read(&session->config, words[0], error))
        return -1;
    for (int i = 1; i < n; i += 2) {
        bool set = strcmp(words[i], "--set") == 0;
        if (!set && strcmp(words[i], "--output") != 0)
            return fail(error, EXIT_USAGE, "train: want --set or --output, got \"%s\"; onestep train --help", words[i]);
        if (i + 1 == n)
            return fail(error, EXIT_USAGE, "train: %s: want %s after it, got nothing", words[i], set ? "section.key=value" : "a folder");
        if (set ? config_set(&session->config, words[i + 1], error) : config_set_key(&session->config, "--output", "output", "dir", words[i + 1], error))
            return -1;
    }
    return config_check(&session->config, words[0], error);
}

/* K, and what else the config leaves to the program. */
static int settle(struct session *session, struct error *error)
{
    struct config *config = &session->config;
    if (topology_read(&session->topology, error))
        return -1;
    int cores = session->topology.cores;
    if (!config->workers.count)
        config->workers.count = cores < WORKERS_MAX ? cores : WORKERS_MAX;
    if (config->workers.slowdown.n != 1 && config->workers.slowdown.n != config->workers.count)
        return fail(error, EXIT_USAGE, "%s: [workers] slowdown: want one number, or one for each of %lld workers, got %d", session->config_path, (long long)config->workers.count, config->workers.slowdown.n);
    if (config->workers.count > cores)
        fprintf(stderr, "onestep: warning: %lld workers share %d cores\n", (long long)config->workers.count, cores);
    bool repeats = algorithm_of(config->train.algorithm)->synchronous || config->async.order != ORDER_FREE;
    if (config->train.deterministic == AUTOMATIC)
        config->train.deterministic = repeats;
    return 0;
}

/* Names the config's file and key before what a room that knows no config has said. */
static int place_in_config(const struct session *session, const char *key, struct error *error)
{
    char place[400];
    snprintf(place, sizeof place, "%.300s: %s", session->config_path, key);
    return error->code == EXIT_USAGE ? error_place(error, place) : -1;
}

static int open_data(struct session *session, struct error *error)
{
    struct config *config = &session->config;
    char path[4096];
    if (strcmp(config->data.path, "auto") == 0) {
        if (dataset_find(config->data.dataset, path, sizeof path, error))
            return place_in_config(session, "[data] dataset", error);
        if (config_set_key(config, "data.path = auto", "data", "path", path, error))
            return -1;
    }
    struct dataset_request request = {
        .name = config->data.dataset, .path = config->data.path, .split = SPLIT_TRAIN, .limit = config->data.limit, .seed = (uint64_t)config->train.seed,
    };
    if (dataset_open(&session->train, &request, error))
        return place_in_config(session, "[data] dataset", error);
    request.split = SPLIT_TEST;
    request.limit = config->data.test_limit;
    return dataset_open(&session->test, &request, error);
}

static int build_graph(struct session *session, struct error *error)
{
    const struct dataset *data = &session->train;
    return config_network(&session->graph, &session->config, session->config_path, (struct shape){ data->channels, data->height, data->width }, data->classes, error);
}

static int load_weights(struct session *session, struct error *error)
{
    const struct config *config = &session->config;
    void *weights, *stats;
    if (strcmp(config->train.init, "random") == 0)
        return 0;
    if (door_allocate(&weights, session->graph.params.total * sizeof(float), "the first weights", error))
        return -1;
    session->first_weights = weights;
    if (door_allocate(&stats, session->graph.stats.total * sizeof(float), "the first statistics", error))
        return -1;
    session->first_stats = stats;
    graph_init_stats(&session->graph, stats);
    return weights_load(config->train.init, &session->graph, weights, stats, error);
}

static int open_run(struct session *session, struct error *error)
{
    struct config *config = &session->config;
    int processors[WORKERS_MAX];
    struct choice choice;
    if (choose_backend(&choice, config, &session->graph, session->topology.model, error))
        return -1;
    session->backend = choice.backend;
    snprintf(config->cpu.backend, CONFIG_TEXT, "%s", choice.backend->name);
    config->train.precision = (int)choice.precision;
    for (int k = 0; k < config->workers.count; k++)
        processors[k] = config->workers.pin && config->workers.count <= session->topology.cores ? session->topology.processors[k] : -1;
    const struct run_request request = {
        .config = config, .backend = session->backend, .graph = &session->graph, .train = &session->train, .test = &session->test, .k = (int)config->workers.count,
        .first_weights = session->first_weights, .first_stats = session->first_stats, .processors = processors,
    };
    return run_open(&session->run, &request, error);
}

static int open_files(struct session *session, struct error *error)
{
    char path[1200], text[16384];
    const struct run *run = session->run;
    signals_catch(); /* from the first file on: a stop leaves none of them half-written */
    if (folder_make(&session->folder, &session->config, session->name, error) || folder_file(&session->folder, "config.ini", path, sizeof path, error))
        return -1;
    size_t n = config_write(&session->config, text, sizeof text);
    if (file_replace(path, &(struct file_part){ text, n }, 1, error) || folder_file(&session->folder, "metrics.csv", path, sizeof path, error))
        return -1;
    return metrics_open(&session->metrics, path, &run->schedule, session->config.data.batch * run->k, error);
}

static void print_start(const struct session *session)
{
    char emulated[256], algorithm[32], local[64] = "", word[32], train[32], test[32], length[32], epoch[32];
    const struct config *config = &session->config;
    config_word("train", "algorithm", config->train.algorithm, algorithm, sizeof algorithm);
    if (config->train.algorithm == ALGORITHM_ODSGD) {
        config_word("odsgd", "local_update", config->odsgd.local_update, word, sizeof word);
        snprintf(local, sizeof local, " (%s, after %lld iterations)", word, (long long)config->odsgd.warmup);
    }
    summary_emulated(config, emulated, sizeof emulated);
    graph_describe(&session->graph, stdout);
    printf("\nalgorithm  %s%s\n", algorithm, local);
    printf("workers    %lld of batch %lld, on %s in %s\n", (long long)config->workers.count, (long long)config->data.batch, session->backend->name, precision_name((enum precision)config->train.precision));
    printf("data       %s, %s training images, %s test images\n", config->data.dataset, grouped(session->train.n, train), grouped(session->test.n, test));
    printf("length     %s iterations, %s an epoch; %d buckets\n", grouped(session->run->iterations, length), grouped(session->run->iterations_per_epoch, epoch), session->run->buckets.n);
    if (session->graph.stats.n)
        printf("bn_stats   %s\n", config->train.bn_stats == BN_STATS_WORKER0 ? "worker0: evaluation uses worker 0's running statistics" : "mean: evaluation uses the merge of the workers' running statistics");
    if (config->train.ema_decay > 0)
        printf("evaluated  the weights' moving average, decay %g\n", config->train.ema_decay);
    if (*emulated)
        printf("emulated   %s\n", emulated);
    printf("into       %s\n\n", session->folder.path);
    if (config->train.algorithm == ALGORITHM_ODSGD && config->odsgd.warmup >= session->run->iterations)
        printf("its warm-up of %lld iterations is as long as the run or longer: this is SSGD\n\n", (long long)config->odsgd.warmup);
    fflush(stdout);
}

/* Reports until the server has ended. When metrics cannot be written the run stops as on a signal: its weights may still be saved. */
static void follow(struct session *session, struct error *error)
{
    struct run *run = session->run;
    struct transport *transport = &run->transport;
    struct message report;
    bool asked = false;
    for (;;) {
        if (!asked && (signals_caught() || error->code)) {
            asked = true;
            run_ask_stop(run);
        }
        if (!transport->calls->receive(transport, run_main_end(run), &report)) {
            transport->calls->wait(transport, run_main_end(run), door_now_ns() + 100000000);
            continue;
        }
        if (report.kind == REPORT_FINISHED)
            return;
        if (report.kind == REPORT_SNAPSHOT)
            atomic_store_explicit(&run->snapshot->busy, false, memory_order_release);
        if (report.kind == REPORT_SNAPSHOT || report.kind == REPORT_MARK)
            continue;
        if (report.kind != REPORT_PROGRESS && !error->code)
            metrics_take(&session->metrics, &report, error);
        progress_report(&session->progress, &report, &session->metrics);
    }
}

/* The config that goes with the weights: what changes no result stays out, so that equal runs give equal files. */
static void write_about(const struct session *session, char *text, size_t bytes)
{
    struct config about = session->config, plain;
    config_defaults(&plain);
    about.output = plain.output;
    about.data.loader_threads = plain.data.loader_threads;
    about.data.prefetch = plain.data.prefetch;
    config_write(&about, text, bytes);
}

/* A loss is checked in every step; the last update is not behind any. */
static int check_finite(const struct session *session, const float *weights, struct error *error)
{
    const struct param_map *params = &session->graph.params;
    for (int i = 0; i < params->n; i++)
        for (size_t j = 0; j < params->rows[i].count; j++)
            if (!isfinite(weights[params->rows[i].offset + j]))
                return fail(error, EXIT_NOT_FINITE, "after the last update %s[%zu] is %g; nothing is written", params->rows[i].name, j, (double)weights[params->rows[i].offset + j]);
    return 0;
}

static int write_results(struct session *session, struct error *error)
{
    const struct run *run = session->run;
    char path[1200], text[16384];
    void *stats;
    if (check_finite(session, run_final_weights(run), error))
        return -1;
    write_about(session, text, sizeof text);
    const struct weights_metadata metadata = {
        .config = text, .iteration = run->server->tally.iterations, .sample_offset = run->server->tally.iterations * run->k * session->config.data.batch, .classes = session->test.class_names,
    };
    if (folder_file(&session->folder, "weights.safetensors", path, sizeof path, error) ||
        door_allocate(&stats, run->n_stats * sizeof(float), "the final statistics", error))
        return -1;
    run_final_stats(run, stats);
    int result = weights_save(path, &session->graph, run_final_weights(run), stats, run_final_average(run), &metadata, error);
    door_free(stats);
    if (result == 0 && session->config.output.trace)
        result = folder_file(&session->folder, "trace.json", path, sizeof path, error) || trace_file_write(path, run, error) ? -1 : 0;
    if (result == 0 && *session->config.async.record)
        result = service_write(&run->service, session->config.async.record, error);
    return result;
}

static int train(struct session *session, struct error *error)
{
    struct run *run = session->run;
    print_start(session);
    progress_open(&session->progress, &run->schedule, session->config.data.batch * run->k);
    if (run_start(run, error))
        return -1;
    follow(session, error);
    int joined = run_join(run, error);
    metrics_close(&session->metrics, error);
    progress_close(&session->progress, &session->metrics);
    if (joined || write_results(session, error))
        return -1;
    if (error->code) { /* of the metrics */
        size_t used = strlen(error->text);
        snprintf(error->text + used, sizeof error->text - used, "; the weights are in %s/weights.safetensors", session->folder.path);
        return -1;
    }
    summary_print(stdout, run, &session->metrics);
    printf("\nwritten: %s/weights.safetensors, metrics.csv, config.ini\n", session->folder.path);
    return 0;
}

static void close_session(struct session *session)
{
    run_close(session->run);
    metrics_release(&session->metrics);
    graph_release(&session->graph);
    dataset_close(&session->train);
    dataset_close(&session->test);
    door_free(session->first_weights);
    door_free(session->first_stats);
}

int command_train(int n, char **words, struct error *error)
{
    if (n && strcmp(words[0], "--help") == 0) {
        fputs(help, stdout);
        return 0;
    }
    struct session session = { .metrics.fd = -1 };
    int failed = read_words(&session, n, words, error) || settle(&session, error) || open_data(&session, error) || build_graph(&session, error) ||
                 load_weights(&session, error) || open_run(&session, error) || open_files(&session, error) || train(&session, error);
    int signal_number = signals_caught();
    int64_t stopped_at = session.run ? session.run->server->tally.iterations : 0;
    close_session(&session);
    if (failed)
        return -1;
    if (!signal_number)
        return 0;
    fail(error, EXIT_SIGNAL + signal_number, "stopped by %s after iteration %lld; the weights are in %s/weights.safetensors", signal_number == SIGINT ? "SIGINT" : "SIGTERM",
         (long long)stopped_at, session.folder.path);
    return error->code;
}
