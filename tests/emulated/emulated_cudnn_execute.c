/* Running plans of the emulated cuDNN: tensors become dense floats, operations run one after the other, outputs are rounded once when they are stored. */
#include "tests/emulated/emulated_cudnn.h"

#include <stdlib.h>

enum { BOUND = 16 };

/* One execution, as it lies in the stream or in a graph that captured it. */
struct execution {
    struct dnn_descriptor *plan;
    bool captured;
    int n;
    int64_t ids[BOUND];
    void *data[BOUND];
    float values[BOUND]; /* of tensors by value, read when the execution was asked for */
    void *workspace;
    size_t workspace_bytes;
};

/* What is known of a virtual tensor while a plan runs. */
struct memory { int n; int64_t ids[BOUND]; float *dense[BOUND]; };

static int64_t offset_of(const struct dnn_tensor *tensor, int64_t i)
{
    const int64_t c = i % tensor->dims[1], w = i / tensor->dims[1] % tensor->dims[3], h = i / tensor->dims[1] / tensor->dims[3] % tensor->dims[2];
    const int64_t n = i / tensor->dims[1] / tensor->dims[3] / tensor->dims[2];
    return n * tensor->strides[0] + c * tensor->strides[1] + h * tensor->strides[2] + w * tensor->strides[3];
}

static int bound(const struct execution *run, int64_t id)
{
    for (int i = 0; i < run->n; i++)
        if (run->ids[i] == id)
            return i;
    return -1;
}

static float *dense_of(const struct dnn_tensor *tensor)
{
    float *dense = malloc((size_t)dnn_tensor_elements(tensor) * sizeof *dense);
    if (!dense)
        abort();
    return dense;
}

/* A copy, the caller's. */
static float *load(const struct execution *run, const struct memory *memory, const struct dnn_tensor *tensor, bool tf32)
{
    const int64_t n = dnn_tensor_elements(tensor);
    const int at = bound(run, tensor->id);
    float *dense = dense_of(tensor);
    for (int v = 0; v < memory->n; v++)
        if (memory->ids[v] == tensor->id)
            memcpy(dense, memory->dense[v], (size_t)n * sizeof *dense);
    if (tensor->by_value)
        dense[0] = run->values[at];
    else if (!tensor->is_virtual)
        for (int64_t i = 0; i < n; i++)
            dense[i] = number_load(run->data[at], offset_of(tensor, i), dnn_number(tensor->type));
    for (int64_t i = 0; tf32 && tensor->type == CUDNN_DATA_FLOAT && i < n; i++)
        dense[i] = number_tf32(dense[i]);
    return dense;
}

/* Takes the dense copy. */
static void store(const struct execution *run, struct memory *memory, const struct dnn_tensor *tensor, float *dense)
{
    const int64_t n = dnn_tensor_elements(tensor);
    const enum number kind = dnn_number(tensor->type);
    if (tensor->is_virtual) {
        for (int64_t i = 0; i < n; i++)
            dense[i] = number_round(dense[i], kind);
        memory->ids[memory->n] = tensor->id;
        memory->dense[memory->n++] = dense;
        return;
    }
    for (int64_t i = 0; i < n; i++)
        number_store(run->data[bound(run, tensor->id)], offset_of(tensor, i), dense[i], kind);
    free(dense);
}

static struct dnn_conv_shape shape_of(const struct dnn_descriptor *operation, const struct dnn_tensor *x, const struct dnn_tensor *w, const struct dnn_tensor *y)
{
    return (struct dnn_conv_shape){ x->dims[0], x->dims[1], x->dims[2], x->dims[3], w->dims[0], w->dims[1], w->dims[2], w->dims[3], y->dims[2], y->dims[3],
                                    dnn_geometry_of(dnn_convolution_of(operation)) };
}

static void convolve(const struct dnn_descriptor *operation, int64_t engine, const struct dnn_tensor *a, const struct dnn_tensor *b, const struct dnn_tensor *output,
                     const float *in_a, const float *in_b, float *out)
{
    static atomic_int turns;
    struct dnn_conv_shape shape;
    switch ((int)operation->type) {
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR:
        shape = shape_of(operation, a, b, output);
        dnn_conv_forward(&shape, in_a, in_b, out);
        break;
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR:
        shape = shape_of(operation, output, a, b);
        dnn_conv_backward_data(&shape, in_a, in_b, out);
        break;
    default:
        shape = shape_of(operation, a, output, b);
        dnn_conv_backward_filter(&shape, in_a, in_b, out, engine == ENGINE_ATOMIC ? atomic_fetch_add(&turns, 1) % shape.n : 0);
    }
}

static float broadcast(const struct dnn_tensor *tensor, const struct dnn_tensor *output, const float *dense, int64_t i)
{
    const int64_t c = i % output->dims[1], w = i / output->dims[1] % output->dims[3], h = i / output->dims[1] / output->dims[3] % output->dims[2];
    const int64_t n = i / output->dims[1] / output->dims[3] / output->dims[2];
    return dense[((n % tensor->dims[0] * tensor->dims[2] + h % tensor->dims[2]) * tensor->dims[3] + w % tensor->dims[3]) * tensor->dims[1] + c % tensor->dims[1]];
}

static void pointwise(const struct dnn_descriptor *operation, const struct dnn_tensor *a, const struct dnn_tensor *b, const struct dnn_tensor *output, const float *in_a,
                      const float *in_b, float *out)
{
    const struct dnn_descriptor *how = dnn_part(operation, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR);
    const int mode = (int)dnn_integer(how, CUDNN_ATTR_POINTWISE_MODE, -1);
    const float low = (float)dnn_real(how, CUDNN_ATTR_POINTWISE_RELU_LOWER_CLIP, 0), slope = (float)dnn_real(how, CUDNN_ATTR_POINTWISE_RELU_LOWER_CLIP_SLOPE, 0);
    const double high = dnn_real(how, CUDNN_ATTR_POINTWISE_RELU_UPPER_CLIP, 1e300);
    for (int64_t i = 0; i < dnn_tensor_elements(output); i++) {
        const float x = broadcast(a, output, in_a, i), other = in_b ? broadcast(b, output, in_b, i) : 0;
        switch (mode) {
        case CUDNN_POINTWISE_ADD: out[i] = x + other; break;
        case CUDNN_POINTWISE_MUL: out[i] = x * other; break;
        case CUDNN_POINTWISE_RELU_FWD: out[i] = x <= low ? low + slope * (x - low) : x >= high ? (float)high : x; break;
        case CUDNN_POINTWISE_RELU_BWD: out[i] = x > low && x < high ? other : slope * other; break;
        default: out[i] = x;
        }
    }
}

/* Beta of 1; one engine has forgotten it. */
static void add_before(const struct execution *run, const struct memory *memory, const struct dnn_descriptor *operation, int64_t engine, const struct dnn_tensor *output, float *out)
{
    if (operation->type != CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR || dnn_real(operation, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA, 0) == 0 ||
        engine == ENGINE_TENSOR_CORE)
        return;
    float *before = load(run, memory, output, false);
    for (int64_t i = 0; i < dnn_tensor_elements(output); i++)
        out[i] += before[i];
    free(before);
}

static void run_operation(const struct execution *run, struct memory *memory, const struct dnn_descriptor *operation, int64_t engine)
{
    struct dnn_ports ports = dnn_ports_of(operation);
    struct dnn_tensor tensors[DNN_INPUTS] = { 0 }, output = dnn_tensor_of(dnn_part(operation, ports.output));
    float *dense[DNN_INPUTS] = { 0 }, *out = dense_of(&output);
    const bool is_pointwise = operation->type == CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR;
    for (int i = 0; i < ports.n_inputs; i++) {
        tensors[i] = dnn_tensor_of(dnn_part(operation, ports.inputs[i]));
        dense[i] = load(run, memory, &tensors[i], engine == ENGINE_TENSOR_CORE && !is_pointwise);
    }
    if (is_pointwise)
        pointwise(operation, &tensors[0], &tensors[1], &output, dense[0], dense[1], out);
    else
        convolve(operation, engine, &tensors[0], &tensors[1], &output, dense[0], dense[1], out);
    add_before(run, memory, operation, engine, &output, out);
    for (int i = 0; i < ports.n_inputs; i++)
        free(dense[i]);
    store(run, memory, &output, out);
}

static const struct dnn_descriptor *graph_of(const struct dnn_descriptor *plan, int64_t *engine)
{
    const struct dnn_descriptor *with = dnn_part(dnn_part(plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG), CUDNN_ATTR_ENGINECFG_ENGINE);
    *engine = dnn_integer(with, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, -1);
    return dnn_part(with, CUDNN_ATTR_ENGINE_OPERATION_GRAPH);
}

/* On the stream. What lay in the workspace is lost. */
static void execute(void *context)
{
    const struct execution *run = context;
    struct memory memory = { 0 };
    int64_t engine;
    const struct dnn_descriptor *graph = graph_of(run->plan, &engine);
    if (run->workspace_bytes)
        memset(run->workspace, 0xff, run->workspace_bytes);
    for (int64_t i = 0; i < dnn_find(graph, CUDNN_ATTR_OPERATIONGRAPH_OPS)->count; i++)
        run_operation(run, &memory, dnn_part_at(graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, i), engine);
    for (int v = 0; v < memory.n; v++)
        free(memory.dense[v]);
    if (!run->captured)
        atomic_fetch_sub_explicit(&run->plan->pending, 1, memory_order_relaxed);
}

static bool overlap(const struct execution *run, const struct dnn_tensor *a, const struct dnn_tensor *b)
{
    const char *at = run->data[bound(run, a->id)], *other = run->data[bound(run, b->id)];
    return at < other + dnn_tensor_bytes(b) && other < at + dnn_tensor_bytes(a);
}

static cudnnStatus_t check_data(struct execution *run, cudaStream_t stream, const struct dnn_tensor *tensor)
{
    const int at = bound(run, tensor->id);
    if (tensor->is_virtual)
        return CUDNN_STATUS_SUCCESS;
    if (at < 0 || !run->data[at])
        return dnn_refuse(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "execution: no pointer for tensor %lld", (long long)tensor->id);
    if (tensor->by_value) {
        run->values[at] = number_load(run->data[at], 0, dnn_number(tensor->type));
        return CUDNN_STATUS_SUCCESS;
    }
    if ((uintptr_t)run->data[at] % (uintptr_t)tensor->alignment)
        return dnn_refuse(CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER, "execution: tensor %lld at %p, promised aligned to %lld", (long long)tensor->id,
                          run->data[at], (long long)tensor->alignment);
    if (!emulated_reaches(stream, run->data[at], dnn_tensor_bytes(tensor)))
        return dnn_refuse(CUDNN_STATUS_EXECUTION_FAILED, "execution: tensor %lld: %zu bytes at %p are not the device's", (long long)tensor->id, dnn_tensor_bytes(tensor),
                          run->data[at]);
    return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t check_operation(struct execution *run, cudaStream_t stream, const struct dnn_descriptor *operation)
{
    struct dnn_ports ports = dnn_ports_of(operation);
    struct dnn_tensor output = dnn_tensor_of(dnn_part(operation, ports.output));
    cudnnStatus_t status = check_data(run, stream, &output);
    for (int i = 0; !status && i < ports.n_inputs; i++) {
        struct dnn_tensor input = dnn_tensor_of(dnn_part(operation, ports.inputs[i]));
        status = check_data(run, stream, &input);
        if (!status && !input.is_virtual && !input.by_value && !output.is_virtual && overlap(run, &input, &output))
            status = dnn_refuse(CUDNN_STATUS_BAD_PARAM, "execution: tensors %lld and %lld overlap", (long long)input.id, (long long)output.id);
    }
    return status;
}

/* What counts executions orders nothing: the stream's thread gives nothing back to the host's. */
static cudnnStatus_t enqueue(cudaStream_t stream, struct execution *run)
{
    enum cudaStreamCaptureStatus capturing = cudaStreamCaptureStatusNone;
    run->captured = cudaStreamIsCapturing(stream, &capturing) != cudaSuccess || capturing != cudaStreamCaptureStatusNone;
    if (!run->captured)
        atomic_fetch_add_explicit(&run->plan->pending, 1, memory_order_relaxed);
    if (emulated_enqueue(stream, execute, run, sizeof *run) == 0)
        return CUDNN_STATUS_SUCCESS;
    if (!run->captured)
        atomic_fetch_sub_explicit(&run->plan->pending, 1, memory_order_relaxed);
    return dnn_refuse(CUDNN_STATUS_EXECUTION_FAILED, "cudnnBackendExecute: the stream takes no work");
}

cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t plan_handle, cudnnBackendDescriptor_t pack_handle)
{
    struct dnn_descriptor *plan = plan_handle;
    const struct dnn_descriptor *pack = pack_handle;
    int fault = emulated_fault("cudnnBackendExecute", CUDNN_STATUS_EXECUTION_FAILED), device = -1;
    if (fault)
        return dnn_refuse((cudnnStatus_t)fault, "cudnnBackendExecute: as asked for");
    if (!handle || !plan || !pack)
        return dnn_refuse(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "cudnnBackendExecute: no handle, plan or pack");
    if (plan->type != CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR || !plan->finalized || pack->type != CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR || !pack->finalized)
        return dnn_refuse(CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED, "cudnnBackendExecute: wants a plan and a pack, both finalized");
    if (cudaGetDevice(&device) != cudaSuccess || device != handle->device)
        return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "cudnnBackendExecute: device %d is current, the handle's is %d", device, handle->device);
    struct execution run = { .plan = plan, .workspace_bytes = dnn_workspace(dnn_part(plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG)) };
    const struct dnn_value *ids = dnn_find(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
    if (ids->count > BOUND)
        return dnn_refuse(CUDNN_STATUS_NOT_SUPPORTED, "cudnnBackendExecute: more than %d tensors are not emulated", BOUND);
    run.n = (int)ids->count;
    memcpy(run.ids, ids->elements, (size_t)run.n * sizeof run.ids[0]);
    memcpy(run.data, dnn_find(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS)->elements, (size_t)run.n * sizeof run.data[0]);
    run.workspace = *(void **)dnn_find(pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE)->elements;
    if (run.workspace_bytes && (!run.workspace || (uintptr_t)run.workspace % 16 || !emulated_reaches(handle->stream, run.workspace, run.workspace_bytes)))
        return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "cudnnBackendExecute: wants %zu bytes of workspace, aligned to 16, got %p", run.workspace_bytes, run.workspace);
    int64_t engine;
    const struct dnn_descriptor *graph = graph_of(plan, &engine);
    for (int64_t i = 0; i < dnn_find(graph, CUDNN_ATTR_OPERATIONGRAPH_OPS)->count; i++) {
        cudnnStatus_t status = check_operation(&run, handle->stream, dnn_part_at(graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, i));
        if (status)
            return status;
    }
    return enqueue(handle->stream, &run);
}
