/* onestep eval: how good a network is, class by class, on the test split of its dataset. */
#include "trainer/command.h"

#include "base/door.h"
#include "base/sizes.h"
#include "trainer/eval_report.h"
#include "trainer/folder.h"
#include "trainer/progress.h"
#include "trainer/test_pass.h"
#include "trainer/topology.h"

#include <stdio.h>
#include <string.h>

static const char help[] =
    "usage: onestep eval CHECKPOINT [--data FOLDER] [--set section.key=value]...\n"
    "                    [--weights best|raw|average] [--threads N] [--output DIR]\n"
    "                    [--json]\n\n"
    "Evaluates the weights of a run (weights.safetensors or a checkpoint) on the test\n"
    "split of its dataset, on all cores: top-1, top-5 (with more than five classes),\n"
    "loss, and a table of the classes. The same weights give what training printed,\n"
    "to the last bit, on any number of threads.\n"
    "  --data FOLDER  where the dataset is; default: where it was, else where\n"
    "                 data.path = auto finds it\n"
    "  --set          overrides the config in the file: data.test_limit=1000,\n"
    "                 cpu.backend=lanes\n"
    "  --weights      best (default): the moving average where the file has one, else\n"
    "                 the weights themselves (raw)\n"
    "  --threads N    default: one for each core; 2 on a GPU, each with a copy of the\n"
    "                 network\n"
    "  --output DIR   where confusion.png goes, a picture of which class was taken\n"
    "                 for which; default: CHECKPOINT's folder\n"
    "  --json         everything as JSON, the confusion matrix with it\n";

enum { MOST_THREADS = 256 };

struct words {
    const char *checkpoint, *data, *output;
    enum weights_choice weights;
    int64_t threads; /* 0: as many as suits */
    bool json;
    int n;           /* of all */
    char **all;
};

static int value_of(const struct words *words, int i, const char *want, const char **value, struct error *error)
{
    if (i + 1 == words->n)
        return fail(error, EXIT_USAGE, "eval: %s: want %s after it, got nothing", words->all[i], want);
    *value = words->all[i + 1];
    return 0;
}

/* One option at place i; *taken words of it. --set is looked at again when there is a config to set. */
static int read_option(struct words *words, int i, int *taken, struct error *error)
{
    const char *word = words->all[i], *value = "";
    *taken = 2;
    if (strcmp(word, "--json") == 0) {
        words->json = true;
        *taken = 1;
        return 0;
    }
    if (strcmp(word, "--data") == 0)
        return value_of(words, i, "a folder", &words->data, error);
    if (strcmp(word, "--output") == 0)
        return value_of(words, i, "a folder", &words->output, error);
    if (strcmp(word, "--set") == 0)
        return value_of(words, i, "section.key=value", &value, error);
    if (strcmp(word, "--weights") == 0)
        return value_of(words, i, "best, raw or average", &value, error) ? -1 : model_weights_word("eval", value, &words->weights, error);
    if (strcmp(word, "--threads") != 0)
        return fail(error, EXIT_USAGE, "eval: want --data, --set, --weights, --threads, --output or --json, got \"%s\"; onestep eval --help", word);
    if (value_of(words, i, "a number", &value, error))
        return -1;
    if (!parse_int64(value, &words->threads) || words->threads < 1 || words->threads > MOST_THREADS)
        return fail(error, EXIT_USAGE, "eval: --threads: want 1..%d, got \"%s\"", MOST_THREADS, value);
    return 0;
}

static int read_words(struct words *words, int n, char **all, struct error *error)
{
    *words = (struct words){ .n = n, .all = all };
    if (n < 1 || all[0][0] == '-')
        return fail(error, EXIT_USAGE, "eval: want a checkpoint first, got %s; onestep eval --help", n ? all[0] : "nothing");
    words->checkpoint = all[0];
    for (int i = 1, taken = 0; i < n; i += taken)
        if (read_option(words, i, &taken, error))
            return -1;
    return 0;
}

static int apply_words(struct config *config, const struct words *words, struct error *error)
{
    for (int i = 1; i < words->n; i += strcmp(words->all[i], "--json") == 0 ? 1 : 2)
        if (strcmp(words->all[i], "--set") == 0 && config_set(config, words->all[i + 1], error))
            return -1;
    if (words->data && config_set_key(config, "--data", "data", "path", words->data, error))
        return -1;
    config->output.overwrite = true;
    snprintf(config->output.dir, sizeof config->output.dir, "%s", "");
    if (words->output && config_set_key(config, "--output", "output", "dir", words->output, error))
        return -1;
    return config_check(config, words->checkpoint, error);
}

/* The folder may have been another machine's. */
static int find_data(const struct words *words, struct config *config, struct error *error)
{
    char path[4096];
    struct error not_found = { 0 };
    bool is_auto = strcmp(config->data.path, "auto") == 0;
    if (words->data || (!is_auto && (!*config->data.path || door_exists(config->data.path))))
        return 0;
    if (dataset_find(config->data.dataset, path, sizeof path, &not_found))
        return is_auto || not_found.code == EXIT_USAGE ? fail(error, not_found.code, "%s", not_found.text)
                                                       : fail(error, EXIT_INPUT, "%s: its data are not in %s any more; want --data FOLDER", words->checkpoint, config->data.path);
    return config_set_key(config, "data.path = auto", "data", "path", path, error);
}

static int open_data(struct dataset *dataset, const struct words *words, struct weights_about *about, struct error *error)
{
    struct config *config = &about->config;
    if (find_data(words, config, error))
        return -1;
    const struct dataset_request request = {
        .name = config->data.dataset, .path = config->data.path, .split = SPLIT_TEST, .limit = config->data.test_limit, .seed = (uint64_t)config->train.seed, .side = (int)config->data.size,
    };
    const struct shape *want = &about->input;
    if (dataset_open(dataset, &request, error))
        return -1;
    if (dataset->channels != want->c || dataset->height != want->h || dataset->width != want->w || dataset->classes != about->classes)
        return fail(error, EXIT_INPUT, "%s: want images of %d x %d x %d in %d classes, dataset %s has %d x %d x %d in %d", words->checkpoint, want->c, want->h, want->w, about->classes,
                    config->data.dataset, dataset->channels, dataset->height, dataset->width, dataset->classes);
    return 0;
}

/* "<--output, or the checkpoint's folder>/confusion.png" */
static int picture_path(const struct words *words, const struct config *config, char *path, size_t bytes, struct error *error)
{
    static const char name[] = "confusion.png";
    struct folder folder;
    if (words->output)
        return folder_make(&folder, config, "", error) || folder_file(&folder, name, path, bytes, error) ? -1 : 0;
    const char *slash = strrchr(words->checkpoint, '/');
    if ((size_t)snprintf(path, bytes, "%.*s%s", slash ? (int)(slash - words->checkpoint) + 1 : 0, words->checkpoint, name) < bytes)
        return 0;
    return fail(error, EXIT_OUTPUT, "%s: want a shorter path, or --output", words->checkpoint);
}

static int evaluate(const struct words *words, const struct model *model, const struct dataset *dataset, struct confusion *confusion, struct error *error)
{
    const struct config *config = &model->about.config;
    struct topology topology;
    struct eval_report report = { .model = model, .confusion = confusion };
    char path[1200], title[256];
    int processors[MOST_THREADS];
    if (picture_path(words, config, path, sizeof path, error) || topology_read(&topology, error))
        return -1;
    int most = model->backend->host_memory ? MOST_THREADS : 2;
    report.threads = words->threads ? (int)words->threads : topology.cores < most ? topology.cores : most;
    for (int i = 0; i < report.threads; i++)
        processors[i] = report.threads <= topology.cores ? topology.processors[i] : -1;
    int64_t began = door_now_ns();
    if (test_pass(model, dataset, report.threads, processors, &report.total, confusion, error))
        return -1;
    report.seconds = (double)(door_now_ns() - began) / 1e9;
    report.picture = path;
    snprintf(title, sizeof title, "%s on %s: %.2f %% of %lld", model->graph.name, config->data.dataset, 100 * (double)report.total.correct / (double)report.total.samples,
             (long long)report.total.samples);
    if (confusion_picture(confusion, title, path, error))
        return -1;
    return words->json ? eval_report_json(&report, error) : (eval_report_print(&report), 0);
}

int command_eval(int n, char **all, struct error *error)
{
    struct words words;
    struct model model = { 0 };
    struct dataset dataset = { 0 };
    struct confusion confusion = { 0 };
    if (n && strcmp(all[0], "--help") == 0) {
        fputs(help, stdout);
        return 0;
    }
    int failed = read_words(&words, n, all, error) || model_read(&model, words.checkpoint, error) || apply_words(&model.about.config, &words, error) ||
                 open_data(&dataset, &words, &model.about, error) || model_load(&model, words.weights, error) ||
                 confusion_open(&confusion, model.about.classes, model.about.class_names, error) || evaluate(&words, &model, &dataset, &confusion, error);
    confusion_release(&confusion);
    dataset_close(&dataset);
    model_release(&model);
    return failed ? -1 : 0;
}
