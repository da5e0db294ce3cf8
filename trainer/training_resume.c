/* What a run goes on from, and with which config: see training.h. */
#include "trainer/training.h"

#include "base/door.h"
#include "trainer/config_table.h"
#include "trainer/weights_about.h"

#include <stdio.h>
#include <string.h>

static int nothing(struct error *error, const char *place, const char *why)
{
    char reason[sizeof error->text];
    snprintf(reason, sizeof reason, "%s", why);
    error->code = 0;
    return fail(error, EXIT_NO_RESUME, "%.200s: nothing valid to resume from: %.500s", place, reason);
}

/* Whether what --resume says is a checkpoint: then the list is that one alone. */
static bool is_file(struct resumption *resumption)
{
    int fd = door_open_read(resumption->from);
    bool regular = fd >= 0 && door_file_bytes(fd) >= 0;
    if (fd >= 0)
        door_close(fd);
    if (!regular)
        return false;
    const char *slash = strrchr(resumption->from, '/');
    snprintf(resumption->folder, sizeof resumption->folder, "%.*s", slash ? (int)(slash - resumption->from) + (slash == resumption->from) : 1, slash ? resumption->from : ".");
    return true;
}

static int find_files(struct training *training, struct error *error)
{
    struct resumption *resumption = &training->resumption;
    if (*resumption->from && is_file(resumption))
        return 0;
    const char *folder = *resumption->from ? resumption->from : training->config.output.dir;
    if (!*folder)
        return fail(error, EXIT_USAGE, "train: --resume: want a checkpoint or a run's folder after it, or --output DIR, got neither");
    snprintf(resumption->folder, sizeof resumption->folder, "%s", folder);
    *resumption->from = 0;
    folder = resumption->folder;
    if (!door_exists(folder))
        return nothing(error, folder, "there is no file or folder of that name");
    if (checkpoint_list(&resumption->list, folder, error))
        return nothing(error, folder, error->text);
    return resumption->list.n ? 0 : nothing(error, folder, "it holds no checkpoint");
}

static int n_candidates(const struct resumption *resumption) { return *resumption->from ? 1 : resumption->list.n; }

static int candidate(const struct resumption *resumption, int i, char path[CHECKPOINT_PATH], struct error *error)
{
    if (!*resumption->from)
        return checkpoint_path(resumption->folder, resumption->list.iterations[i], path, error);
    snprintf(path, CHECKPOINT_PATH, "%s", resumption->from);
    return 0;
}

/* That one will not do: says so, and goes on to the one before. */
static int give_up_on_one(struct resumption *resumption, struct error *error)
{
    if (error->code == EXIT_MEMORY || error->code == EXIT_USAGE)
        return -1;
    resumption->next++;
    if (resumption->next == n_candidates(resumption))
        return nothing(error, *resumption->from ? resumption->from : resumption->folder, error->text);
    fprintf(stderr, "onestep: warning: %s; going on from the one before\n", error->text);
    *error = (struct error){ 0 };
    return 0;
}

/* ---- the config ---- */

static const struct config_row *row_of(const char *section, const char *key)
{
    for (int i = 0; i < n_config_rows; i++)
        if (strcmp(config_rows[i].section, section) == 0 && strcmp(config_rows[i].key, key) == 0)
            return &config_rows[i];
    ASSERT(!"a key of the table");
    return NULL;
}

/* What the state is the state of. The rest of a config may change from one checkpoint to the next. */
static const char *const fixed[][2] = {
    { "data", "dataset" }, { "data", "size" }, { "data", "limit" }, { "data", "batch" }, { "data", "shuffle" }, { "data", "same_for_all" }, { "net", "name" }, { "net", "shortcut" }, { "net", "stem" },
    { "train", "algorithm" }, { "train", "seed" }, { "workers", "count" }, { "odsgd", "local_update" }, { "odsgd", "dc_backup" }, { "async", "order" }, { "async", "adaptive" },
};

static int check_fixed(const struct training *training, const struct config *before, struct error *error)
{
    char was[1024], is[1024];
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
        const struct config_row *row = row_of(fixed[i][0], fixed[i][1]);
        config_value_write(row, before, was, sizeof was);
        config_value_write(row, &training->config, is, sizeof is);
        if (strcmp(was, is) != 0)
            return fail(error, EXIT_USAGE, "%s: [%s] %s: want %s, as in the checkpoint, got %s", training->config_path ? training->config_path : "--set", row->section, row->key, was, is);
    }
    if (training->config.train.precision == PRECISION_FP16 && before->train.precision != PRECISION_FP16)
        return fail(error, EXIT_USAGE, "%s: [train] precision: the checkpoint's run kept no loss scale: want fp32 or bf16, got fp16", training->config_path ? training->config_path : "--set");
    if (before->train.algorithm != ALGORITHM_SSGD && before->train.algorithm != ALGORITHM_ODSGD && before->train.bucket_kib != training->config.train.bucket_kib)
        return fail(error, EXIT_USAGE, "%s: [train] bucket_kib: want %lld, as in the checkpoint of an asynchronous run, got %lld", training->config_path ? training->config_path : "--set",
                    (long long)before->train.bucket_kib, (long long)training->config.train.bucket_kib);
    return 0;
}

/* What was left to the program stays as it was chosen. */
static void keep_choices(struct config *config, const struct config *before)
{
    if (strcmp(config->cpu.backend, "auto") == 0)
        snprintf(config->cpu.backend, sizeof config->cpu.backend, "%s", before->cpu.backend);
    if (strcmp(config->workers.devices, "auto") == 0)
        snprintf(config->workers.devices, sizeof config->workers.devices, "%s", before->workers.devices);
    if (config->train.precision == AUTOMATIC)
        config->train.precision = before->train.precision;
    if (!config->train.bucket_kib)
        config->train.bucket_kib = before->train.bucket_kib;
    if (!config->workers.count)
        config->workers.count = before->workers.count;
}

static int settle_config(struct training *training, const struct config *before, int n_sets, char **sets, struct error *error)
{
    struct config *config = &training->config;
    if (!training->config_path) {
        char dir[CONFIG_TEXT];
        snprintf(dir, sizeof dir, "%s", config->output.dir);
        *config = *before;
        snprintf(config->output.dir, sizeof config->output.dir, "%s", dir);
        for (int i = 0; i < n_sets; i++)
            if (config_set(config, sets[i], error))
                return -1;
    }
    keep_choices(config, before);
    snprintf(training->resumption.backend, sizeof training->resumption.backend, "%s", before->cpu.backend);
    if (!*config->output.dir && config_set_key(config, "--resume", "output", "dir", training->resumption.folder, error))
        return -1;
    return config_check(config, training->config_path ? training->config_path : "--set", error) ? -1 : check_fixed(training, before, error);
}

int training_find(struct training *training, int n_sets, char **sets, struct error *error)
{
    struct resumption *resumption = &training->resumption;
    char path[CHECKPOINT_PATH];
    if (find_files(training, error))
        return -1;
    for (;;) {
        struct weights_about about;
        int result = candidate(resumption, resumption->next, path, error) || weights_about_read(&about, path, error) ? -1 : 0;
        if (result == 0)
            result = settle_config(training, &about.config, n_sets, sets, error);
        bool usable = result == 0;
        weights_about_release(&about);
        if (usable)
            return 0;
        if (give_up_on_one(resumption, error))
            return -1;
    }
}

int training_go_on(struct training *training, struct error *error)
{
    struct resumption *resumption = &training->resumption;
    char path[CHECKPOINT_PATH];
    while (candidate(resumption, resumption->next, path, error) || checkpoint_load(path, training->run, &resumption->mark, error) || run_check_resume(training->run, path, error))
        if (give_up_on_one(resumption, error))
            return -1;
    resumption->iteration = training->run->snapshot->iteration;
    snprintf(training->written.last, sizeof training->written.last, "%s", path);
    return run_resume(training->run, error);
}

int training_set_aside(const struct training *training, struct error *error)
{
    int n;
    if (checkpoint_set_aside(training->folder.path, training->resumption.iteration, &n, error))
        return -1;
    if (n)
        fprintf(stderr, "onestep: warning: %s: %d checkpoint%s of later iterations now end%s in .ahead\n", training->folder.path, n, n == 1 ? "" : "s", n == 1 ? "s" : "");
    return 0;
}
