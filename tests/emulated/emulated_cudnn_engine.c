/* Heuristics, engines and plans of the emulated cuDNN. Every graph has the same engines:
 *   ENGINE_PLAIN        fp32 products, no workspace, the same bits each time
 *   ENGINE_TENSOR_CORE  fp32 tensors as TF32; a workspace; two settings of one knob
 *   ENGINE_ATOMIC       notes that it is not deterministic, and is not: backward passes add samples in another order each time
 *   ENGINE_ABSENT       is offered, but there is no plan for it
 * Graphs are a convolution, alone or followed by pointwise operations, or one pointwise operation; for other graphs nothing is offered, nor for a convolution
 * between tensors of different types, as in the library (from bf16 or fp16 to fp32). */
#include "tests/emulated/emulated_cudnn.h"

#include <stdlib.h>

enum { KNOB = CUDNN_KNOB_TYPE_TILE_SIZE, KNOB_VALUES = 2, OFFERS = 6 };

struct offer { int engine, knob; }; /* knob -1: no choice */

static bool one_type(const struct dnn_descriptor *operation)
{
    const struct dnn_ports ports = dnn_ports_of(operation);
    const struct dnn_tensor output = dnn_tensor_of(dnn_part(operation, ports.output));
    bool one = true;
    for (int i = 0; i < ports.n_inputs && operation->type != CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR; i++)
        one &= output.is_virtual || dnn_tensor_of(dnn_part(operation, ports.inputs[i])).type == output.type;
    return one;
}

static int offers(const struct dnn_descriptor *heuristics, struct offer *to)
{
    static const struct offer best[] = { { ENGINE_ABSENT, -1 }, { ENGINE_TENSOR_CORE, 1 }, { ENGINE_TENSOR_CORE, 0 }, { ENGINE_ATOMIC, -1 }, { ENGINE_PLAIN, -1 } };
    static const struct offer more[] = { { ENGINE_TENSOR_CORE, 1 }, { ENGINE_ATOMIC, -1 }, { ENGINE_TENSOR_CORE, 0 } };
    static const struct offer fallback[] = { { ENGINE_PLAIN, -1 }, { ENGINE_ABSENT, -1 } };
    const struct dnn_descriptor *graph = dnn_part(heuristics, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH);
    const struct dnn_value *operations = dnn_find(graph, CUDNN_ATTR_OPERATIONGRAPH_OPS);
    for (int64_t i = 0; i < operations->count; i++)
        if (!one_type(dnn_part_at(graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, i)))
            return 0;
    for (int64_t i = 1; i < operations->count; i++)
        if (dnn_part_at(graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, i)->type != CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR)
            return 0;
    switch ((int)dnn_integer(heuristics, CUDNN_ATTR_ENGINEHEUR_MODE, -1)) {
    case CUDNN_HEUR_MODE_FALLBACK: memcpy(to, fallback, sizeof fallback); return 2;
    case CUDNN_HEUR_MODE_B: memcpy(to, more, sizeof more); return 3;
    default: memcpy(to, best, sizeof best); return 5;
    }
}

/* Fills a configuration that the caller has made. */
static void configure(struct dnn_descriptor *to, const struct offer *offer, const struct dnn_descriptor *heuristics)
{
    struct dnn_descriptor *graph = dnn_part(heuristics, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH), *properties = dnn_part(heuristics, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP);
    struct dnn_descriptor *engine = dnn_new(CUDNN_BACKEND_ENGINE_DESCRIPTOR), *choice = dnn_new(CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR);
    dnn_put(engine, CUDNN_ATTR_ENGINE_OPERATION_GRAPH, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &graph);
    dnn_put(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &(int64_t){ offer->engine });
    if (properties)
        dnn_put(engine, CUDNN_ATTR_ENGINE_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &properties);
    dnn_put(choice, CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, 1, &(int){ KNOB });
    dnn_put(choice, CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, CUDNN_TYPE_INT64, 1, &(int64_t){ offer->knob });
    engine->finalized = choice->finalized = to->finalized = true;
    dnn_put(to, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &engine);
    if (offer->knob >= 0)
        dnn_put(to, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &choice);
    dnn_give_up(engine);
    dnn_give_up(choice);
}

static cudnnStatus_t answer_offers(const struct dnn_descriptor *heuristics, int64_t requested, int64_t *count, struct dnn_descriptor **to)
{
    struct offer known[OFFERS];
    *count = offers(heuristics, known);
    if (to && requested < *count)
        *count = requested;
    for (int64_t i = 0; to && i < *count; i++) {
        if (!to[i] || to[i]->type != CUDNN_BACKEND_ENGINECFG_DESCRIPTOR || to[i]->finalized)
            return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "ENGINEHEUR: results go into new ENGINECFG descriptors");
        configure(to[i], &known[i], heuristics);
    }
    return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t answer_notes(const struct dnn_descriptor *engine, int64_t requested, int64_t *count, cudnnBackendNumericalNote_t *to)
{
    cudnnBackendNumericalNote_t notes[2];
    switch ((int)dnn_integer(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, -1)) {
    case ENGINE_PLAIN: *count = 1, notes[0] = CUDNN_NUMERICAL_NOTE_STRICT_NAN_PROP; break;
    case ENGINE_ATOMIC: *count = 1, notes[0] = CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC; break;
    default: *count = 1, notes[0] = CUDNN_NUMERICAL_NOTE_TENSOR_CORE; break;
    }
    if (to && requested < *count)
        *count = requested;
    if (to)
        memcpy(to, notes, (size_t)*count * sizeof *to);
    return CUDNN_STATUS_SUCCESS;
}

size_t dnn_workspace(const struct dnn_descriptor *configuration)
{
    const struct dnn_descriptor *choice = dnn_part(configuration, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES);
    if (dnn_integer(dnn_part(configuration, CUDNN_ATTR_ENGINECFG_ENGINE), CUDNN_ATTR_ENGINE_GLOBAL_INDEX, -1) != ENGINE_TENSOR_CORE)
        return 0;
    return choice && dnn_integer(choice, CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, 0) == 1 ? 131 : 66000;
}

cudnnStatus_t dnn_answer(const struct dnn_descriptor *descriptor, cudnnBackendAttributeName_t name, int64_t requested, int64_t *count, void *elements)
{
    switch ((int)name) {
    case CUDNN_ATTR_ENGINEHEUR_RESULTS: return answer_offers(descriptor, requested, count, elements);
    case CUDNN_ATTR_ENGINE_NUMERICAL_NOTE: return answer_notes(descriptor, requested, count, elements);
    case CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE: *count = 0; return CUDNN_STATUS_SUCCESS;
    default: break;
    }
    *count = 1;
    if (elements && requested > 0)
        *(int64_t *)elements = name == CUDNN_ATTR_OPERATIONGRAPH_ENGINE_GLOBAL_COUNT ? DNN_ENGINES
            : (int64_t)dnn_workspace(dnn_part(descriptor, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG));
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t dnn_check_heuristics(struct dnn_descriptor *heuristics)
{
    int fault = emulated_fault("heuristics", CUDNN_STATUS_NOT_SUPPORTED);
    int64_t mode = dnn_integer(heuristics, CUDNN_ATTR_ENGINEHEUR_MODE, -1);
    if (fault)
        return dnn_refuse((cudnnStatus_t)fault, "heuristics: as asked for");
    if (mode < 0 || mode >= CUDNN_HEUR_MODES_COUNT)
        return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "ENGINEHEUR: mode %lld", (long long)mode);
    if (!dnn_part(heuristics, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP) &&
        !dnn_find(dnn_part(heuristics, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH), CUDNN_ATTR_OPERATIONGRAPH_HANDLE))
        return dnn_refuse(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "ENGINEHEUR: neither device properties nor the graph's handle");
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t dnn_check_engine(struct dnn_descriptor *engine)
{
    int64_t index = dnn_integer(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, -1);
    if (index < 0 || index >= DNN_ENGINES)
        return dnn_refuse(CUDNN_STATUS_NOT_SUPPORTED, "ENGINE: there is no engine %lld", (long long)index);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t dnn_check_plan(struct dnn_descriptor *plan)
{
    const struct dnn_descriptor *configuration = dnn_part(plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG);
    const struct dnn_descriptor *choice = dnn_part(configuration, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES);
    int64_t index = dnn_integer(dnn_part(configuration, CUDNN_ATTR_ENGINECFG_ENGINE), CUDNN_ATTR_ENGINE_GLOBAL_INDEX, -1);
    int fault = emulated_fault("plan", CUDNN_STATUS_NOT_SUPPORTED);
    if (fault)
        return dnn_refuse((cudnnStatus_t)fault, "plan: as asked for");
    if (!dnn_find(plan, CUDNN_ATTR_EXECUTION_PLAN_HANDLE) && !dnn_part(plan, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP))
        return dnn_refuse(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "EXECUTION_PLAN: neither a handle nor device properties");
    if (index == ENGINE_ABSENT)
        return dnn_refuse(CUDNN_STATUS_NOT_SUPPORTED, "EXECUTION_PLAN: engine %lld does not do for this graph", (long long)index);
    if (choice && (index != ENGINE_TENSOR_CORE || dnn_integer(choice, CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, -1) != KNOB ||
                   dnn_find(configuration, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES)->count != 1 ||
                   (uint64_t)dnn_integer(choice, CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, 0) >= KNOB_VALUES))
        return dnn_refuse(CUDNN_STATUS_NOT_SUPPORTED, "EXECUTION_PLAN: engine %lld has no such knob", (long long)index);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t dnn_check_properties(struct dnn_descriptor *properties)
{
    if (properties->n_values != 1)
        return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "DEVICEPROP: want one of a device, a handle and a description");
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t dnn_check_pack(struct dnn_descriptor *pack)
{
    const struct dnn_value *ids = dnn_find(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
    if (ids->count != dnn_find(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS)->count)
        return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "VARIANT_PACK: not one pointer for each id");
    for (int64_t i = 0; i < ids->count; i++)
        for (int64_t j = 0; j < i; j++)
            if (((const int64_t *)ids->elements)[i] == ((const int64_t *)ids->elements)[j])
                return dnn_refuse(CUDNN_STATUS_BAD_PARAM_DUPLICATED_ENTRIES, "VARIANT_PACK: id %lld twice", (long long)((const int64_t *)ids->elements)[i]);
    return CUDNN_STATUS_SUCCESS;
}
