/* See cudnn_choose.h. */
#include "cuda/cudnn_choose.h"

#include "base/sizes.h"
#include "cuda/choices.h"
#include "cuda/device.h"
#include "cuda/fastest.h"
#include "cuda/settings.h"

#include <stdio.h>
#include <string.h>

enum { CANDIDATES = 8 };

static const char none[] = "none"; /* the note, for this process only, that no engine is offered for a graph */

/* Engines that have a plan within the workspace that is allowed. */
struct candidates {
    const struct cudnn_graph *graph;
    int n;
    struct cudnn_engine engines[CANDIDATES];
    struct cudnn_plan plans[CANDIDATES];
    void *data[GRAPH_TENSORS], *workspace; /* to measure with */
};

static bool open_within(struct cudnn_plan *plan, const struct cudnn_graph *graph, const struct cudnn_engine *engine)
{
    struct error refused = { 0 };
    if (cudnn_plan_open(plan, graph, engine, &refused))
        return false;
    if (plan->workspace_bytes <= cuda_settings()->workspace_bytes)
        return true;
    cudnn_plan_close(plan);
    return false;
}

static void add(struct candidates *candidates, const struct cudnn_engine *engine, int most)
{
    for (int i = 0; i < candidates->n; i++)
        if (cudnn_engine_same(&candidates->engines[i], engine))
            return;
    if (candidates->n < most && open_within(&candidates->plans[candidates->n], candidates->graph, engine))
        candidates->engines[candidates->n++] = *engine;
}

/* The heuristics' best first; the modes after the first are asked only while there are too few. */
static void collect(struct candidates *candidates, int most)
{
    enum { OFFERS = 32 };
    static const cudnnBackendHeurMode_t modes[] = { CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_B, CUDNN_HEUR_MODE_FALLBACK };
    const bool is_fp32 = candidates->graph->type == CUDNN_DATA_FLOAT;
    const struct cudnn_rules rules = { .deterministic = cuda_settings()->deterministic, .strict = is_fp32 && !cuda_settings()->tf32 };
    struct cudnn_engine offers[OFFERS];
    for (size_t mode = 0; mode < sizeof modes / sizeof *modes && candidates->n < most; mode++) {
        int n = cudnn_graph_engines(candidates->graph, modes[mode], &rules, offers, OFFERS);
        for (int i = 0; i < n; i++)
            add(candidates, &offers[i], most);
    }
}

static void close_all(struct candidates *candidates, int but)
{
    for (int i = 0; i < candidates->n; i++)
        if (i != but)
            cudnn_plan_close(&candidates->plans[i]);
}

static int run(void *context, int i, struct error *error)
{
    struct candidates *candidates = context;
    return cudnn_plan_run(&candidates->plans[i], candidates->data, candidates->workspace, error);
}

/* Whether what the tensor held is still there when zeros were added. No engine that the library offers should fail this; a wrong gradient would be told by nothing else. */
static bool keeps_what_it_adds_to(struct candidates *candidates, int i, struct device *device)
{
    enum { PATTERN = 0x3c, PROBE = 4096 };
    const size_t bytes = candidates->graph->bytes[candidates->graph->added - 1], probe = size_min(bytes, PROBE);
    char *tensor = candidates->data[candidates->graph->added - 1];
    unsigned char found[2][PROBE];
    struct error refused = { 0 };
    if (cudaMemsetAsync(tensor, PATTERN, bytes, device->stream) || run(candidates, i, &refused) ||
        cudaMemcpyAsync(found[0], tensor, probe, cudaMemcpyDeviceToHost, device->stream) ||
        cudaMemcpyAsync(found[1], tensor + bytes - probe, probe, cudaMemcpyDeviceToHost, device->stream) || cudaMemsetAsync(tensor, 0, bytes, device->stream) || cuda_drain(device)) {
        cudaGetLastError(); /* a device that has failed says so again */
        return false;
    }
    for (size_t at = 0; at < probe; at++)
        if (found[0][at] != PATTERN || found[1][at] != PATTERN)
            return false;
    return true;
}

static void leave_out(struct candidates *candidates, int i)
{
    cudnn_plan_close(&candidates->plans[i]);
    candidates->n--;
    memmove(&candidates->plans[i], &candidates->plans[i + 1], (size_t)(candidates->n - i) * sizeof *candidates->plans);
    memmove(&candidates->engines[i], &candidates->engines[i + 1], (size_t)(candidates->n - i) * sizeof *candidates->engines);
}

/* On zeros, in memory of its own. *fastest stays where none does what it should. */
static int measure(struct candidates *candidates, int *fastest, struct device *device, struct error *error)
{
    const struct cudnn_graph *graph = candidates->graph;
    enum { ALIGNMENT = 256 };
    size_t bytes = 0, workspace = 0;
    void *block;
    for (int i = 0; i < graph->n_tensors; i++)
        bytes += round_up(graph->bytes[i], ALIGNMENT);
    for (int i = 0; i < candidates->n; i++)
        workspace = size_max(workspace, candidates->plans[i].workspace_bytes);
    if (cuda_allocate(device, &block, bytes + workspace, "measuring convolutions", error))
        return -1;
    char *at = block;
    for (int i = 0, k = 0; i < graph->n_tensors; at += round_up(graph->bytes[i++], ALIGNMENT))
        if (graph->bytes[i])
            candidates->data[k++] = at;
    candidates->workspace = at;
    for (int i = candidates->n - 1; graph->added && i >= 0; i--)
        if (!keeps_what_it_adds_to(candidates, i, device))
            leave_out(candidates, i);
    int result = candidates->n == 0 ? 0 : cuda_fastest(device, candidates->n, run, candidates, fastest, error);
    cuda_release(device, block);
    return result;
}

static int choose(struct candidates *candidates, int *chosen, struct device *device, const char *machine, const char *key, bool stale, struct error *error)
{
    char value[CHOICE_VALUE];
    struct cudnn_engine engine;
    collect(candidates, CANDIDATES);
    *chosen = -1;
    if (candidates->n > 0 && measure(candidates, chosen, device, error))
        return -1;
    if (*chosen < 0) {
        choices_remember(machine, key, none);
        return 0;
    }
    /* Another process may have chosen meanwhile: its choice is the one that later runs will read. */
    if (!stale && choices_find(machine, key, value) && cudnn_engine_read(&engine, value))
        for (int i = 0; i < candidates->n; i++)
            if (cudnn_engine_same(&engine, &candidates->engines[i])) {
                *chosen = i;
                return 0;
            }
    cudnn_engine_write(&candidates->engines[*chosen], value);
    choices_keep(machine, key, value);
    return 0;
}

static int choose_by_notes(struct cudnn_plan *plan, struct candidates *candidates, struct device *device, struct error *error)
{
    const struct cuda_settings *settings = cuda_settings();
    char machine[CHOICE_MACHINE], key[CHOICE_KEY], value[CHOICE_VALUE];
    struct cudnn_engine engine;
    int chosen;
    if (choices_machine(machine, device, error))
        return -1;
    snprintf(key, sizeof key, "%s%s%sworkspace %zu", candidates->graph->about, settings->deterministic ? "deterministic " : "", settings->tf32 ? "tf32 " : "",
             settings->workspace_bytes);
    bool noted = choices_find(machine, key, value);
    if (noted && (strcmp(value, none) == 0 || (cudnn_engine_read(&engine, value) && open_within(plan, candidates->graph, &engine))))
        return 0;
    int result = choose(candidates, &chosen, device, machine, key, noted, error);
    if (result == 0 && chosen >= 0)
        *plan = candidates->plans[chosen];
    close_all(candidates, result ? -1 : chosen);
    return result;
}

int cudnn_choose(struct cudnn_plan *plan, bool *offered, struct device *device, const struct cudnn_graph *graph, struct error *error)
{
    struct candidates candidates = { .graph = graph };
    int result = 0;
    *plan = (struct cudnn_plan){ .n_parts = 0 };
    if (cuda_settings()->measure) {
        choices_lock();
        result = choose_by_notes(plan, &candidates, device, error);
        choices_unlock();
    } else if (!graph->added) { /* what is not tried cannot be checked */
        collect(&candidates, 1);
        if (candidates.n)
            *plan = candidates.plans[0];
    }
    *offered = plan->plan != NULL;
    return result;
}
