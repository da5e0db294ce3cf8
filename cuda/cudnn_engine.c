/* Engines and plans of a graph: see cudnn_graph.h.
 *
 * A plan is always made from an engine's number and knobs, also right after the heuristics have named them: so what is measured is what a later run makes from its notes. */
#include "cuda/cudnn_descriptor.h"
#include "cuda/cudnn_graph.h"
#include "cuda/status.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>

static bool noted(const cudnnBackendNumericalNote_t *notes, int64_t n, cudnnBackendNumericalNote_t note)
{
    for (int64_t i = 0; i < n; i++)
        if (notes[i] == note)
            return true;
    return false;
}

/* On fp32 tensors, tensor cores mean TF32. */
static bool allowed(const struct cudnn_rules *rules, const cudnnBackendNumericalNote_t *notes, int64_t n)
{
    if (noted(notes, n, CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION) || noted(notes, n, CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS))
        return false;
    if (rules->deterministic && noted(notes, n, CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC))
        return false;
    return !rules->strict || !noted(notes, n, CUDNN_NUMERICAL_NOTE_TENSOR_CORE);
}

/* Number, knobs and whether the rules allow it; `error` only if cuDNN does not say. */
static bool describe(struct cudnn_engine *engine, cudnnBackendDescriptor_t configuration, const struct cudnn_rules *rules, struct error *error)
{
    cudnnBackendDescriptor_t made[1 + ENGINE_KNOBS];
    cudnnBackendNumericalNote_t notes[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
    int n_made = 0;
    cudnnBackendDescriptor_t of = descriptor_new(made, &n_made, CUDNN_BACKEND_ENGINE_DESCRIPTOR, error);
    descriptor_get(configuration, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &of, error);
    descriptor_get(of, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &engine->number, error);
    const int64_t n_notes = descriptor_get(of, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE, CUDNN_NUMERICAL_NOTE_TYPE_COUNT, notes, error);
    for (int i = 0; i < ENGINE_KNOBS; i++) /* how many there are is not said in advance */
        descriptor_new(made, &n_made, CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, error);
    engine->n_knobs = (int)descriptor_get(configuration, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_TYPE_BACKEND_DESCRIPTOR, ENGINE_KNOBS, made + 1, error);
    for (int i = 0; i < engine->n_knobs; i++) {
        descriptor_get(made[1 + i], CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, 1, &engine->knobs[i].kind, error);
        descriptor_get(made[1 + i], CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, CUDNN_TYPE_INT64, 1, &engine->knobs[i].value, error);
    }
    descriptors_free(made, &n_made);
    return !error->code && allowed(rules, notes, n_notes);
}

int cudnn_graph_engines(const struct cudnn_graph *graph, cudnnBackendHeurMode_t mode, const struct cudnn_rules *rules, struct cudnn_engine *engines, int most)
{
    enum { OFFERS = 96 };
    cudnnBackendDescriptor_t made[1 + OFFERS];
    struct error error = { 0 }; /* a mode that fails knows no engine */
    int n_made = 0, n = 0;
    cudnnBackendDescriptor_t heuristics = descriptor_new(made, &n_made, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, &error);
    descriptor_set(heuristics, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &graph->whole, &error);
    descriptor_set(heuristics, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode, &error);
    if (!graph->target.handle)
        descriptor_set(heuristics, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &graph->target.properties, &error);
    descriptor_finish(heuristics, "heuristics", &error);
    int64_t offers = descriptor_get(heuristics, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, NULL, &error);
    for (int64_t i = 0; i < offers && i < OFFERS; i++)
        descriptor_new(made, &n_made, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, &error);
    if (offers > 0)
        offers = descriptor_get(heuristics, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, n_made - 1, made + 1, &error);
    for (int64_t i = 0; i < offers && n < most; i++) {
        struct error unknown = { 0 };
        n += describe(&engines[n], made[1 + i], rules, &unknown);
    }
    descriptors_free(made, &n_made);
    return n;
}

bool cudnn_engine_same(const struct cudnn_engine *a, const struct cudnn_engine *b)
{
    if (a->number != b->number || a->n_knobs != b->n_knobs)
        return false;
    for (int i = 0; i < a->n_knobs; i++)
        if (a->knobs[i].kind != b->knobs[i].kind || a->knobs[i].value != b->knobs[i].value)
            return false;
    return true;
}

void cudnn_engine_write(const struct cudnn_engine *engine, char text[ENGINE_TEXT])
{
    struct text to;
    text_begin(&to, text, ENGINE_TEXT);
    text_add(&to, "%lld", (long long)engine->number);
    for (int i = 0; i < engine->n_knobs; i++)
        text_add(&to, " %d=%lld", (int)engine->knobs[i].kind, (long long)engine->knobs[i].value);
}

bool cudnn_engine_read(struct cudnn_engine *engine, const char *text)
{
    int used = 0, kind;
    long long value;
    *engine = (struct cudnn_engine){ .n_knobs = 0 };
    if (sscanf(text, "%lld%n", &value, &used) != 1 || value < 0)
        return false;
    engine->number = value;
    for (text += used; *text; text += used) {
        if (engine->n_knobs == ENGINE_KNOBS || sscanf(text, " %d=%lld%n", &kind, &value, &used) != 2 || kind < 0 || kind >= CUDNN_KNOB_TYPE_COUNTS)
            return false;
        engine->knobs[engine->n_knobs].kind = (cudnnBackendKnobType_t)kind;
        engine->knobs[engine->n_knobs++].value = value;
    }
    return true;
}

static cudnnBackendDescriptor_t configuration(struct cudnn_plan *plan, const struct cudnn_graph *graph, const struct cudnn_engine *engine, struct error *error)
{
    cudnnBackendDescriptor_t with[ENGINE_KNOBS], of = descriptor_new(plan->parts, &plan->n_parts, CUDNN_BACKEND_ENGINE_DESCRIPTOR, error), made;
    descriptor_set(of, CUDNN_ATTR_ENGINE_OPERATION_GRAPH, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &graph->whole, error);
    descriptor_set(of, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &engine->number, error);
    if (!graph->target.handle)
        descriptor_set(of, CUDNN_ATTR_ENGINE_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &graph->target.properties, error);
    descriptor_finish(of, "an engine", error);
    for (int i = 0; i < engine->n_knobs; i++) {
        with[i] = descriptor_new(plan->parts, &plan->n_parts, CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, error);
        descriptor_set(with[i], CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, 1, &engine->knobs[i].kind, error);
        descriptor_set(with[i], CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, CUDNN_TYPE_INT64, 1, &engine->knobs[i].value, error);
        descriptor_finish(with[i], "a knob", error);
    }
    made = descriptor_new(plan->parts, &plan->n_parts, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, error);
    descriptor_set(made, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &of, error);
    if (engine->n_knobs)
        descriptor_set(made, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_TYPE_BACKEND_DESCRIPTOR, engine->n_knobs, with, error);
    descriptor_finish(made, "an engine's configuration", error);
    return made;
}

int cudnn_plan_open(struct cudnn_plan *plan, const struct cudnn_graph *graph, const struct cudnn_engine *engine, struct error *error)
{
    struct error failed = { 0 };
    int64_t workspace_bytes = 0;
    *plan = (struct cudnn_plan){ .target = graph->target };
    cudnnBackendDescriptor_t chosen = configuration(plan, graph, engine, &failed);
    plan->plan = descriptor_new(plan->parts, &plan->n_parts, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, &failed);
    descriptor_set(plan->plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &chosen, &failed);
    if (graph->target.handle)
        descriptor_set(plan->plan, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &graph->target.handle, &failed);
    else
        descriptor_set(plan->plan, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &graph->target.properties, &failed);
    descriptor_finish(plan->plan, "a plan", &failed);
    descriptor_get(plan->plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &workspace_bytes, &failed);
    if (failed.code) {
        cudnn_plan_close(plan);
        return fail(error, failed.code, "%s", failed.text);
    }
    plan->workspace_bytes = workspace_bytes > 0 ? (size_t)workspace_bytes : 0;
    for (int i = 0; i < graph->n_tensors; i++)
        if (graph->bytes[i])
            plan->numbers[plan->n_tensors++] = i + 1;
    return 0;
}

void cudnn_plan_close(struct cudnn_plan *plan)
{
    if (plan->binding)
        cudnnBackendDestroyDescriptor(plan->binding);
    descriptors_free(plan->parts, &plan->n_parts);
    *plan = (struct cudnn_plan){ .n_parts = 0 };
}

static int bind(struct cudnn_plan *plan, void *const *data, void *workspace, struct error *error)
{
    struct error failed = { 0 };
    int n = 0;
    if (plan->binding)
        cudnnBackendDestroyDescriptor(plan->binding);
    plan->binding = NULL;
    descriptor_new(&plan->binding, &n, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, &failed);
    descriptor_set(plan->binding, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, plan->n_tensors, plan->numbers, &failed);
    descriptor_set(plan->binding, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, plan->n_tensors, data, &failed);
    descriptor_set(plan->binding, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace, &failed);
    descriptor_finish(plan->binding, "a binding", &failed);
    memcpy(plan->bound, data, (size_t)plan->n_tensors * sizeof *data);
    plan->bound_workspace = workspace;
    if (failed.code == 0)
        return 0;
    if (n)
        cudnnBackendDestroyDescriptor(plan->binding);
    plan->binding = NULL;
    return fail(error, failed.code, "%s", failed.text);
}

int cudnn_plan_run(struct cudnn_plan *plan, void *const *data, void *workspace, struct error *error)
{
    bool as_before = plan->binding && workspace == plan->bound_workspace && memcmp(data, plan->bound, (size_t)plan->n_tensors * sizeof *data) == 0;
    if (!as_before && bind(plan, data, workspace, error))
        return -1;
    return cuda_status_cudnn(plan->target.gpu, cudnnBackendExecute(plan->target.handle, plan->plan, plan->binding), "executing a plan", error);
}
