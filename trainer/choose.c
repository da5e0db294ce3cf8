/* See choose.h. */
#include "trainer/choose.h"

#include "base/door.h"
#include "base/file.h"
#include "base/nearest.h"
#include "base/philox.h"
#include "base/text.h"
#include "cpu/cpu.h"
#ifdef HAVE_CUDA
#include "cuda/cuda.h"
#endif

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

#ifdef HAVE_CUDA
const struct backend *const gpu_backend = &backend_cuda;

int choose_gpus(struct error *why) { return cuda_gpus(why); }

void choose_gpu_settings(const struct config *config, const struct devices *devices)
{
    cuda_configure(&(struct cuda_settings){
        .tf32 = config->cuda.tf32, .deterministic = config->train.deterministic == 1, .workspace_bytes = (size_t)config->cuda.workspace_mib << 20, .measure = true,
        .first = devices->n ? devices->places[0] : 0 });
}
#else
const struct backend *const gpu_backend = NULL;

int choose_gpus(struct error *why)
{
    fail(why, EXIT_DEVICE, "this build has no CUDA backend");
    return 0;
}

void choose_gpu_settings(const struct config *config, const struct devices *devices)
{
    (void)config;
    (void)devices;
}
#endif

const struct backend *const host_backend = &backend_lanes;

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

/* fp16 is asked for by name: its gradients may overflow, which the others' do not. */
static bool asked_for(enum precision p, int precision) { return precision == AUTOMATIC ? p != PRECISION_FP16 : (int)p == precision; }

/* What is offered of one backend, or with NULL of all but the reference; of one precision, or AUTOMATIC. */
static int offered(struct choice *choices, const struct backend *only, int precision)
{
    int n = 0;
    for (int i = 0; backends[i]; i++)
        for (int p = 0; p < PRECISIONS; p++)
            if (backends[i]->offers((enum precision)p) && (only ? backends[i] == only : backends[i] != &backend_reference) && asked_for((enum precision)p, precision)) {
                ASSERT(n < TRIALS_MOST);
                choices[n++] = (struct choice){ backends[i], (enum precision)p, -1 };
            }
    return n;
}

/* On a GPU; fp16 has to be asked for. */
static int offered_on(struct choice *choices, int place, int precision)
{
    int n = 0;
    for (int p = 0; p < PRECISIONS; p++)
        if (gpu_backend->offers((enum precision)p) && (precision == AUTOMATIC ? p != PRECISION_FP16 : p == precision))
            choices[n++] = (struct choice){ gpu_backend, (enum precision)p, place };
    return n;
}

bool choose_offers(const struct config *config)
{
    struct choice choices[TRIALS_MOST];
    struct error unknown = { 0 };
    const struct backend *only = NULL;
    if (strcmp(config->cpu.backend, "auto") != 0 && find_backend(&only, config->cpu.backend, &unknown))
        return false;
    return offered(choices, only, config->train.precision) > 0;
}

int choose_candidates(struct choice *candidates) { return offered(candidates, NULL, AUTOMATIC); }

static int refuse(const struct backend *only, enum precision precision, struct error *error)
{
    char names[128];
    struct text text;
    text_begin(&text, names, sizeof names);
    for (int i = 0, n = 0; backends[i]; i++)
        if (backends[i]->offers(precision))
            text_add(&text, "%s%s", n++ ? ", " : "", backends[i]->name);
    return fail(error, EXIT_USAGE, "[train] precision: %s%s in %s, here these do: %s; or set train.precision=fp32", only ? only->name : "no fast backend", only ? " does not compute" : " computes", precision_name(precision), names);
}

static int measure(struct choice *choice, const struct choice *candidates, int n, const struct graph *graph, int batch, struct error *error)
{
    int64_t shortest_ns[TRIALS_MOST];
    int fastest = 0;
    if (trials_measure(shortest_ns, candidates, n, graph, batch, 2000000000, error))
        return -1;
    for (int i = 0; i < n; i++)
        if (shortest_ns[i] < shortest_ns[fastest])
            fastest = i;
    *choice = candidates[fastest];
    return 0;
}

/* The file that remembers a choice: its name is a hash of all that the choice depends on. False when there is no home for it. */
static bool memory_path(char *path, size_t bytes, const struct choice *candidates, int n, const struct graph *graph, int batch, const char *cpu_model)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char about[1024], folder[1024];
    struct text text;
    text_begin(&text, about, sizeof about);
    text_add(&text, "%s|" ONESTEP_VERSION "|%s|%zu|%zu|%d", cpu_model, graph->name, graph->params.total, shape_count(graph->nodes[0].out), batch);
    for (int i = 0; i < n; i++)
        text_add(&text, "|%s %s", candidates[i].backend->name, precision_name(candidates[i].precision));
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

static void choice_line(char *line, size_t bytes, const struct choice *choice)
{
    snprintf(line, bytes, "%s %s\n", choice->backend->name, precision_name(choice->precision));
}

static bool remembered(struct choice *choice, const struct choice *candidates, int n, const char *path)
{
    struct error ignored = { 0 };
    char *text, line[64];
    size_t bytes;
    bool found = false;
    if (!door_exists(path) || file_read(path, sizeof line, &text, &bytes, &ignored))
        return false;
    for (int i = 0; i < n && !found; i++) {
        choice_line(line, sizeof line, &candidates[i]);
        found = strcmp(line, text) == 0;
        *choice = candidates[i];
    }
    door_free(text);
    return found;
}

static void remember(const struct choice *choice, const char *path)
{
    struct error error = { 0 };
    char line[64];
    choice_line(line, sizeof line, choice);
    if (file_replace(path, &(struct file_part){ line, strlen(line) }, 1, &error))
        fprintf(stderr, "onestep: the choice of a backend is not remembered: %s\n", error.text);
}

int choose_backend(struct choice *choice, const struct config *config, const struct devices *devices, const struct graph *graph, const char *cpu_model, struct error *error)
{
    char path[1200];
    struct choice candidates[TRIALS_MOST];
    const struct backend *only = NULL;
    int batch = (int)config->data.batch;
    if (devices->n)
        only = gpu_backend;
    else if (strcmp(config->cpu.backend, "auto") != 0 && find_backend(&only, config->cpu.backend, error))
        return -1;
    int n = devices->n ? offered_on(candidates, devices->places[0], config->train.precision) : offered(candidates, only, config->train.precision);
    if (n == 0)
        return refuse(only, (enum precision)config->train.precision, error);
    *choice = candidates[0];
    if (n == 1 || only == &backend_reference)
        return 0;
    bool has_path = memory_path(path, sizeof path, candidates, n, graph, batch, cpu_model);
    if (has_path && remembered(choice, candidates, n, path))
        return 0;
    if (measure(choice, candidates, n, graph, batch, error))
        return -1;
    if (has_path)
        remember(choice, path);
    return 0;
}
