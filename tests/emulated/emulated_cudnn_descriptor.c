/* Descriptors of the emulated cuDNN's graph API: made, filled with attributes as the rules say, made final, read.
 *
 * A descriptor lives until its maker and all descriptors that have it as an attribute have given it up, as in the library: a plan may outlive its graph. */
#include "tests/emulated/emulated_cudnn.h"

#include <pthread.h>
#include <stdlib.h>

static size_t element_bytes(cudnnBackendAttributeType_t type)
{
    switch ((int)type) {
    case CUDNN_TYPE_HANDLE: case CUDNN_TYPE_VOID_PTR: case CUDNN_TYPE_BACKEND_DESCRIPTOR: return sizeof(void *);
    case CUDNN_TYPE_INT64: case CUDNN_TYPE_DOUBLE: return 8;
    case CUDNN_TYPE_BOOLEAN: return sizeof(bool);
    case CUDNN_TYPE_CHAR: return 1;
    default: return 4; /* FLOAT, INT32 and enums */
    }
}

struct dnn_descriptor *dnn_new(cudnnBackendDescriptorType_t type)
{
    struct dnn_descriptor *descriptor = calloc(1, sizeof *descriptor);
    if (!descriptor)
        abort();
    descriptor->type = type;
    atomic_init(&descriptor->owners, 1);
    return descriptor;
}

static void drop_value(struct dnn_value *value)
{
    for (int64_t i = 0; value->type == CUDNN_TYPE_BACKEND_DESCRIPTOR && i < value->count; i++)
        dnn_give_up(((struct dnn_descriptor **)value->elements)[i]);
    free(value->elements);
    value->elements = NULL;
    value->count = 0;
}

void dnn_give_up(struct dnn_descriptor *descriptor)
{
    if (!descriptor || atomic_fetch_sub(&descriptor->owners, 1) > 1)
        return;
    for (int i = 0; i < descriptor->n_values; i++)
        drop_value(&descriptor->values[i]);
    free(descriptor);
}

const struct dnn_value *dnn_find(const struct dnn_descriptor *descriptor, int name)
{
    for (int i = 0; i < descriptor->n_values; i++)
        if ((int)descriptor->values[i].name == name)
            return &descriptor->values[i];
    return NULL;
}

void dnn_put(struct dnn_descriptor *descriptor, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t count, const void *elements)
{
    struct dnn_value *value = (struct dnn_value *)dnn_find(descriptor, (int)name);
    if (!value && descriptor->n_values == DNN_VALUES)
        abort();
    if (!value)
        value = &descriptor->values[descriptor->n_values++];
    for (int64_t i = 0; type == CUDNN_TYPE_BACKEND_DESCRIPTOR && i < count; i++)
        atomic_fetch_add(&((struct dnn_descriptor *const *)elements)[i]->owners, 1);
    size_t bytes = (size_t)count * element_bytes(type);
    void *copy = malloc(bytes ? bytes : 1);
    if (!copy)
        abort();
    memcpy(copy, elements, bytes);
    drop_value(value);
    *value = (struct dnn_value){ name, type, count, copy };
}

int64_t dnn_integer(const struct dnn_descriptor *descriptor, int name, int64_t otherwise)
{
    const struct dnn_value *value = dnn_find(descriptor, name);
    if (!value)
        return otherwise;
    if (value->type == CUDNN_TYPE_INT64)
        return *(const int64_t *)value->elements;
    return value->type == CUDNN_TYPE_BOOLEAN ? *(const bool *)value->elements : *(const int *)value->elements;
}

double dnn_real(const struct dnn_descriptor *descriptor, int name, double otherwise)
{
    const struct dnn_value *value = dnn_find(descriptor, name);
    if (!value)
        return otherwise;
    return value->type == CUDNN_TYPE_DOUBLE ? *(const double *)value->elements : *(const float *)value->elements;
}

struct dnn_descriptor *dnn_part_at(const struct dnn_descriptor *descriptor, int name, int64_t at)
{
    const struct dnn_value *value = dnn_find(descriptor, name);
    return value && at < value->count ? ((struct dnn_descriptor **)value->elements)[at] : NULL;
}

struct dnn_descriptor *dnn_part(const struct dnn_descriptor *descriptor, int name)
{
    return dnn_part_at(descriptor, name, 0);
}

cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type, cudnnBackendDescriptor_t *descriptor)
{
    int fault = emulated_fault("cudnnBackendCreateDescriptor", CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED);
    if (fault)
        return dnn_refuse((cudnnStatus_t)fault, "cudnnBackendCreateDescriptor: as asked for");
    if (!descriptor)
        return dnn_refuse(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "cudnnBackendCreateDescriptor: nowhere to put it");
    if (!dnn_kind_of(type))
        return dnn_refuse(CUDNN_STATUS_NOT_SUPPORTED, "descriptor type %d is not emulated", (int)type);
    *descriptor = dnn_new(type);
    return CUDNN_STATUS_SUCCESS;
}

/* A plan that has not run yet is kept for good: what a broken device has dropped never runs. */
static void park(struct dnn_descriptor *plan)
{
    static struct dnn_descriptor *parked;
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&lock);
    plan->next_parked = parked;
    parked = plan;
    pthread_mutex_unlock(&lock);
}

cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t handle)
{
    struct dnn_descriptor *descriptor = handle;
    if (!descriptor)
        return dnn_refuse(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "cudnnBackendDestroyDescriptor: no descriptor");
    if (atomic_load_explicit(&descriptor->pending, memory_order_relaxed) > 0)
        park(descriptor);
    else
        dnn_give_up(descriptor);
    return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t check_part(const struct dnn_kind *kind, const struct dnn_rule *rule, const struct dnn_descriptor *part)
{
    if (!part)
        return dnn_refuse(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "%s: attribute %d: a descriptor is NULL", kind->name, rule->name);
    if (!part->finalized)
        return dnn_refuse(CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED, "%s: attribute %d: a descriptor that is not finalized", kind->name, rule->name);
    bool fits = rule->child >= 0 ? (int)part->type == rule->child
        : part->type == CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR || part->type == CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR ||
          part->type == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR || part->type == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR;
    if (!fits)
        return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "%s: attribute %d: not a descriptor of type %d", kind->name, rule->name, (int)part->type);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t handle, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t count,
                                       const void *elements)
{
    struct dnn_descriptor *descriptor = handle;
    if (!descriptor)
        return dnn_refuse(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "attribute %d: no descriptor", (int)name);
    const struct dnn_kind *kind = dnn_kind_of(descriptor->type);
    const struct dnn_rule *rule = dnn_rule_of(kind, name);
    if (!rule || rule->use == RULE_ASKED)
        return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "%s: attribute %d cannot be set", kind->name, (int)name);
    if (descriptor->finalized)
        return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "%s: attribute %d: already finalized", kind->name, (int)name);
    if ((int)type != rule->type && (int)type != rule->other_type)
        return dnn_refuse(CUDNN_STATUS_BAD_PARAM_ATTRIBUTE_TYPE, "%s: attribute %d is of type %d, not %d", kind->name, (int)name, rule->type, (int)type);
    if (count < rule->least || count > rule->most)
        return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "%s: attribute %d: %lld elements, want %d to %d", kind->name, (int)name, (long long)count, rule->least, rule->most);
    if (!elements)
        return dnn_refuse(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "%s: attribute %d: no elements", kind->name, (int)name);
    for (int64_t i = 0; type == CUDNN_TYPE_BACKEND_DESCRIPTOR && i < count; i++) {
        cudnnStatus_t status = check_part(kind, rule, ((struct dnn_descriptor *const *)elements)[i]);
        if (status)
            return status;
    }
    dnn_put(descriptor, name, type, count, elements);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t handle)
{
    struct dnn_descriptor *descriptor = handle;
    int fault = emulated_fault("cudnnBackendFinalize", CUDNN_STATUS_NOT_SUPPORTED);
    if (fault)
        return dnn_refuse((cudnnStatus_t)fault, "cudnnBackendFinalize: as asked for");
    if (!descriptor)
        return dnn_refuse(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "cudnnBackendFinalize: no descriptor");
    const struct dnn_kind *kind = dnn_kind_of(descriptor->type);
    if (descriptor->finalized)
        return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "%s: finalized twice", kind->name);
    for (const struct dnn_rule *rule = kind->rules; rule->type >= 0; rule++)
        if (rule->use == RULE_REQUIRED && !dnn_find(descriptor, rule->name))
            return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "%s: attribute %d is not set", kind->name, rule->name);
    cudnnStatus_t status = kind->finalize ? kind->finalize(descriptor) : CUDNN_STATUS_SUCCESS;
    descriptor->finalized = !status;
    return status;
}

/* Descriptors are copied into ones that the caller has made. */
static cudnnStatus_t copy_parts(const struct dnn_kind *kind, const struct dnn_value *value, int64_t n, struct dnn_descriptor **to)
{
    for (int64_t i = 0; i < n; i++) {
        const struct dnn_descriptor *from = ((struct dnn_descriptor **)value->elements)[i];
        if (!to[i] || to[i]->type != from->type || to[i]->finalized)
            return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "%s: attribute %d is copied into new descriptors of its type", kind->name, (int)value->name);
        for (int v = 0; v < from->n_values; v++)
            dnn_put(to[i], from->values[v].name, from->values[v].type, from->values[v].count, from->values[v].elements);
        to[i]->finalized = true;
    }
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t const handle, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t requested,
                                       int64_t *count, void *elements)
{
    const struct dnn_descriptor *descriptor = handle;
    if (!descriptor)
        return dnn_refuse(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "attribute %d: no descriptor", (int)name);
    const struct dnn_kind *kind = dnn_kind_of(descriptor->type);
    const struct dnn_rule *rule = dnn_rule_of(kind, name);
    if (!descriptor->finalized)
        return dnn_refuse(CUDNN_STATUS_NOT_INITIALIZED, "%s: attribute %d is asked for before it is finalized", kind->name, (int)name);
    if (!rule)
        return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "%s has no attribute %d", kind->name, (int)name);
    if ((int)type != rule->type && (int)type != rule->other_type)
        return dnn_refuse(CUDNN_STATUS_BAD_PARAM_ATTRIBUTE_TYPE, "%s: attribute %d is of type %d, not %d", kind->name, (int)name, rule->type, (int)type);
    if (requested < 0 || (requested > 0 && !elements))
        return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "%s: attribute %d: %lld elements to nowhere", kind->name, (int)name, (long long)requested);
    int64_t there;
    if (rule->use == RULE_ASKED)
        return dnn_answer(descriptor, name, requested, count ? count : &there, elements);
    const struct dnn_value *value = dnn_find(descriptor, (int)name);
    there = value ? value->count : 0;
    if (count)
        *count = there;
    int64_t n = requested < there ? requested : there;
    if (n && type == CUDNN_TYPE_BACKEND_DESCRIPTOR)
        return copy_parts(kind, value, n, elements);
    if (n)
        memcpy(elements, value->elements, (size_t)n * element_bytes(value->type));
    return CUDNN_STATUS_SUCCESS;
}
