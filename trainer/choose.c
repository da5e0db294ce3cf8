/* See choose.h. */
#include "trainer/choose.h"

#include "base/nearest.h"
#include "base/text.h"
#include "cpu/cpu.h"
#include "cpu/isa.h"
#include "trainer/choice_memory.h"
#ifdef HAVE_CUDA
#include "cuda/cuda.h"
#endif

#include <stdio.h>
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

int choose_isa(const struct config *config, struct error *error)
{
    if (config->cpu.isa == AUTOMATIC || isa_choose((enum isa)config->cpu.isa, error) == 0)
        return 0;
    return error_place(error, "[cpu] isa");
}

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
    return fail(error, EXIT_USAGE, "[cpu] backend: this build has no \"%s\", the nearest is %s", name, nearest_name(name, names));
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
                choices[n++] = (struct choice){ .backend = backends[i], .precision = (enum precision)p, .place = -1 };
            }
    return n;
}

/* On a GPU; fp16 has to be asked for. */
static int offered_on(struct choice *choices, int place, int precision)
{
    int n = 0;
    for (int p = 0; p < PRECISIONS; p++)
        if (gpu_backend->offers((enum precision)p) && (precision == AUTOMATIC ? p != PRECISION_FP16 : p == precision))
            choices[n++] = (struct choice){ .backend = gpu_backend, .precision = (enum precision)p, .place = place };
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

int choose_fastest(struct choice *choice, const struct choice *candidates, int n, const struct graph *graph, int batch,
                   int64_t enough_ns, struct error *error)
{
    struct trial_time times[TRIALS_MOST];
    bool quiet;
    if (trials_measure(times, candidates, n, graph, batch, enough_ns, error))
        return -1;
    *choice = candidates[trials_fastest(times, n, &quiet)];
    choice->source = quiet ? CHOICE_MEASURED : CHOICE_DISTURBED;
    if (!quiet)
        fprintf(stderr, "onestep: the machine is busy: %s in %s is chosen by the processor time of a step, "
                        "and not remembered\n",
                choice->backend->name, precision_name(choice->precision));
    return 0;
}

int choose_backend(struct choice *choice, const struct config *config, const struct devices *devices,
                   const struct graph *graph, const char *processor, struct error *error)
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
    bool left = (!devices->n && strcmp(config->cpu.backend, "auto") == 0) || config->train.precision == AUTOMATIC;
    *choice = candidates[0];
    choice->source = left && only != &backend_reference ? CHOICE_ALONE : CHOICE_CONFIGURED;
    if (n == 1 || only == &backend_reference)
        return 0;
    const struct choice_key key = { candidates, n, graph, batch, processor };
    bool has_path = choice_memory_path(path, sizeof path, &key);
    if (has_path && choice_recall(choice, &key, path))
        return 0;
    if (choose_fastest(choice, candidates, n, graph, batch, 2000000000, error))
        return -1;
    if (has_path && choice->source == CHOICE_MEASURED)
        choice_remember(choice, path);
    return 0;
}

void choose_name(const struct backend *backend, char *text, size_t bytes)
{
    bool several = backend == &backend_lanes;
    snprintf(text, bytes, "%s%s%s%s", backend->name, several ? " (" : "", several ? isa_name(isa_chosen()) : "",
             several ? ")" : "");
}

void choose_describe(const struct choice *choice, char *text, size_t bytes)
{
    static const char *const sources[] = {
        [CHOICE_CONFIGURED] = "as configured", [CHOICE_ALONE] = "the only one here",
        [CHOICE_MEASURED] = "the fastest, measured now",
        [CHOICE_REMEMBERED] = "the fastest, remembered", [CHOICE_DISTURBED] = "measured now on a busy machine",
        [CHOICE_KEPT] = "the checkpoint's",
    };
    char name[64];
    choose_name(choice->backend, name, sizeof name);
    snprintf(text, bytes, "%s in %s, %s", name, precision_name(choice->precision), sources[choice->source]);
}
