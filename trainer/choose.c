/* See choose.h. */
#include "trainer/choose.h"

#include "base/door.h"
#include "base/file.h"
#include "base/nearest.h"
#include "base/philox.h"
#include "cpu/cpu.h"
#include "nets/plan.h"

#include <stdlib.h>
#include <string.h>

const struct backend *const backends[] = {
    &backend_lanes,
#ifdef HAVE_ONEDNN
    &backend_onednn,
    &backend_onednn_nhwc,
#endif
    &backend_reference,
    NULL,
};

/* What of the list is worth measuring: the reference never is. */
static bool is_candidate(const struct backend *backend) { return backend != &backend_reference; }

static int find_backend(const struct backend **backend, const char *name, struct error *error)
{
    const char *names[16];
    int n = 0;
    for (; backends[n]; n++) {
        names[n] = backends[n]->name;
        if (strcmp(name, names[n]) == 0) {
            *backend = backends[n];
            return 0;
        }
    }
    names[n] = NULL;
    return fail(error, EXIT_USAGE, "[cpu] backend: this build has no %s, the nearest is %s", name, nearest_name(name, names));
}

/* One backend's training step, ready to be timed: everything in one block of memory. */
struct trial {
    const struct backend *backend;
    struct device *device;
    struct plan *plan;
    struct step step;
    void *memory;
    int64_t best_ns;
};

static void trial_close(struct trial *trial)
{
    plan_free(trial->plan);
    if (trial->device)
        trial->backend->device_close(trial->device);
    door_free(trial->memory);
}

static int trial_open(struct trial *trial, const struct backend *backend, const struct graph *graph, int batch, struct error *error)
{
    size_t n = graph->params.total, stats = graph->stats.total, pixels = shape_count(graph->nodes[0].out) * (size_t)batch;
    *trial = (struct trial){ .backend = backend, .best_ns = INT64_MAX };
    if (backend->device_open(&trial->device, -1, error) || plan_make(&trial->plan, &(struct plan_request){ backend, trial->device, graph, batch, true, PRECISION_FP32 }, error) ||
        door_allocate(&trial->memory, (2 * n + stats) * sizeof(float) + (size_t)batch * (sizeof(int64_t) + sizeof(int32_t)) + pixels + 64, "a trial of a backend", error)) {
        trial_close(trial);
        return -1;
    }
    int64_t *index = trial->memory;
    float *weights = (float *)(index + batch), *gradient = weights + n, *running = gradient + n;
    int32_t *labels = (int32_t *)(running + stats);
    uint8_t *bytes = (uint8_t *)(labels + batch);
    graph_init_weights(graph, 1, weights);
    graph_init_stats(graph, running);
    for (size_t i = 0; i < pixels; i++)
        bytes[i] = (uint8_t)philox(1, 0, i).word[0];
    trial->step = (struct step){ .weights = weights, .gradient = gradient, .stats = running, .repack = true, .pixels = bytes, .labels = labels, .index = index, .n = batch };
    return 0;
}

static int trial_run(struct trial *trial, struct error *error)
{
    int64_t began = door_now_ns();
    if (plan_forward(trial->plan, &trial->step, NULL, error) || plan_backward(trial->plan, &trial->step, NULL, error))
        return -1;
    int64_t taken = door_now_ns() - began;
    if (taken < trial->best_ns)
        trial->best_ns = taken;
    return 0;
}

/* Candidates take turns, so that a disturbance meets all of them; the shortest step counts. */
static int measure(const struct backend **best, const struct graph *graph, int batch, struct error *error)
{
    enum { ROUNDS = 8, CANDIDATES = 8 };
    struct trial trials[CANDIDATES];
    int n = 0, failed = 0;
    for (int i = 0; backends[i] && !failed; i++)
        if (is_candidate(backends[i])) {
            failed = trial_open(&trials[n], backends[i], graph, batch, error);
            n += !failed;
        }
    for (int round = 0; round < ROUNDS && !failed; round++)
        for (int i = 0; i < n && !failed; i++)
            failed = trial_run(&trials[i], error);
    int fastest = 0;
    for (int i = 0; i < n; i++) {
        if (trials[i].best_ns < trials[fastest].best_ns)
            fastest = i;
        trial_close(&trials[i]);
    }
    *best = trials[fastest].backend;
    return failed;
}

/* The file that remembers a choice: its name is a hash of all that the choice depends on. False when there is no home for it. */
static bool memory_path(char *path, size_t bytes, const struct graph *graph, int batch, const char *cpu_model)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char about[512], folder[1024];
    size_t used = (size_t)snprintf(about, sizeof about, "%s|" ONESTEP_VERSION "|%s|%zu|%d", cpu_model, graph->name, graph->params.total, batch);
    for (int i = 0; backends[i] && used < sizeof about; i++)
        used += (size_t)snprintf(about + used, sizeof about - used, "|%s", backends[i]->name);
    if (cache && *cache) {
        snprintf(folder, sizeof folder, "%s", cache);
    } else if (home && *home) {
        snprintf(folder, sizeof folder, "%s/.cache", home);
    } else {
        return false;
    }
    door_mkdir(folder);
    strncat(folder, "/onestep", sizeof folder - strlen(folder) - 1);
    door_mkdir(folder);
    return (size_t)snprintf(path, bytes, "%s/backend-%016llx", folder, (unsigned long long)hash_name(about)) < bytes;
}

static bool remembered(const struct backend **backend, const char *path)
{
    struct error ignored = { 0 };
    char *text;
    size_t n;
    if (!door_exists(path) || file_read(path, 64, &text, &n, &ignored))
        return false;
    text[strcspn(text, "\n")] = 0;
    bool found = find_backend(backend, text, &ignored) == 0 && is_candidate(*backend);
    door_free(text);
    return found;
}

static void remember(const struct backend *backend, const char *path)
{
    struct error error = { 0 };
    const struct file_part parts[] = { { backend->name, strlen(backend->name) }, { "\n", 1 } };
    if (file_replace(path, parts, 2, &error))
        fprintf(stderr, "onestep: the choice of a backend is not remembered: %s\n", error.text);
}

int choose_backend(const struct backend **backend, const struct config *config, const struct graph *graph, const char *cpu_model, struct error *error)
{
    char path[1200];
    int batch = (int)config->data.batch;
    if (strcmp(config->cpu.backend, "auto") != 0)
        return find_backend(backend, config->cpu.backend, error);
    bool has_path = memory_path(path, sizeof path, graph, batch, cpu_model);
    if (has_path && remembered(backend, path))
        return 0;
    if (measure(backend, graph, batch, error))
        return -1;
    if (has_path)
        remember(*backend, path);
    return 0;
}
