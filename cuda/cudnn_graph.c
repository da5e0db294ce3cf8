/* Building graphs: see cudnn_graph.h. */
#include "cuda/cudnn_graph.h"

#include "cuda/cudnn_descriptor.h"

#include "base/text.h"

#include <string.h>

void cudnn_graph_begin(struct cudnn_graph *graph, struct cudnn_target target) { *graph = (struct cudnn_graph){ .target = target }; }

/* Goes on writing where `about` ends. */
static struct text telling(struct cudnn_graph *graph)
{
    return (struct text){ .start = graph->about, .room = sizeof graph->about, .used = strlen(graph->about) };
}

static size_t element_bytes(cudnnDataType_t type) { return type == CUDNN_DATA_FLOAT ? sizeof(float) : 2; }

static cudnnBackendDescriptor_t part(struct cudnn_graph *graph, cudnnBackendDescriptorType_t kind)
{
    ASSERT(graph->n_parts < GRAPH_PARTS);
    return descriptor_new(graph->parts, &graph->n_parts, kind, &graph->error);
}

static void set(struct cudnn_graph *graph, cudnnBackendDescriptor_t to, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t n, const void *values)
{
    descriptor_set(to, name, type, n, values, &graph->error);
}

static int tensor(struct cudnn_graph *graph, cudnnDataType_t type, const int64_t dims[4], bool is_virtual)
{
    const int64_t number = graph->n_tensors + 1, alignment = 16;
    const int64_t strides[4] = { dims[1] * dims[2] * dims[3], 1, dims[1] * dims[3], dims[1] };
    cudnnBackendDescriptor_t made = part(graph, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    set(graph, made, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &number);
    set(graph, made, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
    set(graph, made, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &alignment);
    set(graph, made, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, dims);
    set(graph, made, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, strides);
    set(graph, made, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &is_virtual);
    descriptor_finish(made, "a tensor", &graph->error);
    ASSERT(graph->n_tensors < GRAPH_TENSORS);
    struct text about = telling(graph);
    text_add(&about, "%s%d:%lldx%lldx%lldx%lld ", is_virtual ? "v" : "", (int)type, (long long)dims[0], (long long)dims[1], (long long)dims[2], (long long)dims[3]);
    graph->bytes[graph->n_tensors] = is_virtual ? 0 : (size_t)(dims[0] * dims[1] * dims[2] * dims[3]) * element_bytes(type);
    if (graph->n_tensors == 0)
        graph->type = type;
    graph->tensors[graph->n_tensors] = made;
    return graph->n_tensors++;
}

int cudnn_graph_tensor(struct cudnn_graph *graph, cudnnDataType_t type, const int64_t dims[4]) { return tensor(graph, type, dims, false); }
int cudnn_graph_virtual(struct cudnn_graph *graph, cudnnDataType_t type, const int64_t dims[4]) { return tensor(graph, type, dims, true); }

static cudnnBackendDescriptor_t convolution(struct cudnn_graph *graph, const struct cudnn_window *window)
{
    const int64_t dimensions = 2, pads[2] = { window->pad, window->pad }, strides[2] = { window->stride, window->stride }, dilations[2] = { 1, 1 };
    const cudnnDataType_t sums = CUDNN_DATA_FLOAT;
    const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
    cudnnBackendDescriptor_t made = part(graph, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
    set(graph, made, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &dimensions);
    set(graph, made, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &sums);
    set(graph, made, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode);
    set(graph, made, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, pads);
    set(graph, made, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, pads);
    set(graph, made, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, strides);
    set(graph, made, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, dilations);
    descriptor_finish(made, "a convolution", &graph->error);
    return made;
}

static void operation(struct cudnn_graph *graph, cudnnBackendDescriptor_t made, const char *what)
{
    descriptor_finish(made, what, &graph->error);
    ASSERT(graph->n_operations < GRAPH_OPERATIONS);
    graph->operations[graph->n_operations++] = made;
}

void cudnn_graph_convolution(struct cudnn_graph *graph, enum cudnn_pass pass, const struct cudnn_window *window, int x, int w, int y)
{
    static const struct {
        cudnnBackendDescriptorType_t kind;
        cudnnBackendAttributeName_t convolution, alpha, beta, x, w, y;
        const char *name, *what;
    } passes[] = {
        { CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
          CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
          CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, "forward", "a convolution forward" },
        { CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY, "data", "a convolution backward for data" },
        { CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY, "filter", "a convolution backward for filters" },
        { CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY, "data added", "a convolution backward that adds" },
    };
    const float one = 1, kept = pass == PASS_DATA_ADDED ? 1 : 0;
    cudnnBackendDescriptor_t how = convolution(graph, window), made = part(graph, passes[pass].kind);
    set(graph, made, passes[pass].convolution, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &how);
    set(graph, made, passes[pass].alpha, CUDNN_TYPE_FLOAT, 1, &one);
    set(graph, made, passes[pass].beta, CUDNN_TYPE_FLOAT, 1, &kept);
    set(graph, made, passes[pass].x, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &graph->tensors[x]);
    set(graph, made, passes[pass].w, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &graph->tensors[w]);
    set(graph, made, passes[pass].y, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &graph->tensors[y]);
    graph->added = pass == PASS_DATA_ADDED ? x + 1 : graph->added;
    struct text about = telling(graph);
    text_add(&about, "%s(%d,%d,%d) stride %lld pad %lld ", passes[pass].name, x, w, y, (long long)window->stride, (long long)window->pad);
    operation(graph, made, passes[pass].what);
}

void cudnn_graph_add(struct cudnn_graph *graph, int x, int b, int y)
{
    const cudnnPointwiseMode_t mode = CUDNN_POINTWISE_ADD;
    const cudnnDataType_t sums = CUDNN_DATA_FLOAT;
    cudnnBackendDescriptor_t how = part(graph, CUDNN_BACKEND_POINTWISE_DESCRIPTOR), made;
    set(graph, how, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
    set(graph, how, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &sums);
    descriptor_finish(how, "an addition", &graph->error);
    made = part(graph, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
    set(graph, made, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &how);
    set(graph, made, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &graph->tensors[x]);
    set(graph, made, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &graph->tensors[b]);
    set(graph, made, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &graph->tensors[y]);
    struct text about = telling(graph);
    text_add(&about, "add(%d,%d,%d) ", x, b, y);
    operation(graph, made, "an addition");
}

int cudnn_graph_finish(struct cudnn_graph *graph, struct error *error)
{
    graph->whole = part(graph, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    set(graph, graph->whole, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, graph->n_operations, graph->operations);
    if (graph->target.handle)
        set(graph, graph->whole, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &graph->target.handle);
    descriptor_finish(graph->whole, "a graph", &graph->error);
    return graph->error.code ? fail(error, graph->error.code, "%s", graph->error.text) : 0;
}

void cudnn_graph_release(struct cudnn_graph *graph)
{
    descriptors_free(graph->parts, &graph->n_parts);
    *graph = (struct cudnn_graph){ .n_parts = 0 };
}
