/* What the emulated cuDNN finds wrong with tensors, convolutions, operations and graphs when they are finalized. */
#include "tests/emulated/emulated_cudnn.h"

static const int64_t *integers(const struct dnn_descriptor *descriptor, int name) { return dnn_find(descriptor, name)->elements; }

enum number dnn_number(cudnnDataType_t type)
{
    return type == CUDNN_DATA_FLOAT ? NUMBER_FP32 : type == CUDNN_DATA_HALF ? NUMBER_FP16 : NUMBER_BF16;
}

struct dnn_tensor dnn_tensor_of(const struct dnn_descriptor *descriptor)
{
    struct dnn_tensor tensor = {
        .id = dnn_integer(descriptor, CUDNN_ATTR_TENSOR_UNIQUE_ID, 0), .alignment = dnn_integer(descriptor, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, 0),
        .type = (cudnnDataType_t)dnn_integer(descriptor, CUDNN_ATTR_TENSOR_DATA_TYPE, 0),
        .is_virtual = dnn_integer(descriptor, CUDNN_ATTR_TENSOR_IS_VIRTUAL, false), .by_value = dnn_integer(descriptor, CUDNN_ATTR_TENSOR_IS_BY_VALUE, false),
    };
    for (int d = 0; d < DNN_RANK; d++) {
        tensor.dims[d] = integers(descriptor, CUDNN_ATTR_TENSOR_DIMENSIONS)[d];
        tensor.strides[d] = integers(descriptor, CUDNN_ATTR_TENSOR_STRIDES)[d];
    }
    return tensor;
}

int64_t dnn_tensor_elements(const struct dnn_tensor *tensor) { return tensor->dims[0] * tensor->dims[1] * tensor->dims[2] * tensor->dims[3]; }

size_t dnn_tensor_bytes(const struct dnn_tensor *tensor)
{
    int64_t last = 0;
    for (int d = 0; d < DNN_RANK; d++)
        last += (tensor->dims[d] - 1) * tensor->strides[d];
    return (size_t)(last + 1) * number_bytes(dnn_number(tensor->type));
}

cudnnStatus_t dnn_check_tensor(struct dnn_descriptor *descriptor)
{
    const int64_t id = dnn_integer(descriptor, CUDNN_ATTR_TENSOR_UNIQUE_ID, 0), type = dnn_integer(descriptor, CUDNN_ATTR_TENSOR_DATA_TYPE, 0);
    const int64_t alignment = dnn_integer(descriptor, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, 0);
    const struct dnn_value *dims = dnn_find(descriptor, CUDNN_ATTR_TENSOR_DIMENSIONS), *strides = dnn_find(descriptor, CUDNN_ATTR_TENSOR_STRIDES);
    if (dims->count != strides->count)
        return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "tensor %lld: %lld dimensions, %lld strides", (long long)id, (long long)dims->count, (long long)strides->count);
    if (dims->count != DNN_RANK)
        return dnn_refuse(CUDNN_STATUS_NOT_SUPPORTED, "tensor %lld: only four dimensions are emulated", (long long)id);
    if (type != CUDNN_DATA_FLOAT && type != CUDNN_DATA_HALF && type != CUDNN_DATA_BFLOAT16)
        return dnn_refuse(CUDNN_STATUS_NOT_SUPPORTED_DATA_TYPE, "tensor %lld: data type %lld is not emulated", (long long)id, (long long)type);
    if (alignment <= 0 || alignment % (int64_t)number_bytes(dnn_number((cudnnDataType_t)type)))
        return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "tensor %lld: an alignment of %lld bytes", (long long)id, (long long)alignment);
    for (int d = 0; d < DNN_RANK; d++)
        if (((const int64_t *)dims->elements)[d] < 1 || ((const int64_t *)strides->elements)[d] < 1)
            return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "tensor %lld: dimension %d is empty or has no stride", (long long)id, d);
    struct dnn_tensor tensor = dnn_tensor_of(descriptor);
    if (tensor.by_value && (tensor.is_virtual || dnn_tensor_elements(&tensor) != 1))
        return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "tensor %lld: by value, and virtual or more than one number", (long long)id);
    return CUDNN_STATUS_SUCCESS;
}

struct dnn_geometry dnn_geometry_of(const struct dnn_descriptor *convolution)
{
    struct dnn_geometry geometry = { .flip = dnn_integer(convolution, CUDNN_ATTR_CONVOLUTION_CONV_MODE, 0) == CUDNN_CONVOLUTION };
    for (int d = 0; d < 2; d++) {
        geometry.pad[d] = integers(convolution, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS)[d];
        geometry.end_pad[d] = integers(convolution, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS)[d];
        geometry.stride[d] = integers(convolution, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES)[d];
        geometry.dilation[d] = integers(convolution, CUDNN_ATTR_CONVOLUTION_DILATIONS)[d];
    }
    return geometry;
}

cudnnStatus_t dnn_check_convolution(struct dnn_descriptor *convolution)
{
    static const int arrays[] = { CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES,
                                  CUDNN_ATTR_CONVOLUTION_DILATIONS };
    if (dnn_integer(convolution, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, 0) != 2)
        return dnn_refuse(CUDNN_STATUS_NOT_SUPPORTED, "convolution: only two spatial dimensions are emulated");
    if (dnn_integer(convolution, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, -1) != CUDNN_DATA_FLOAT)
        return dnn_refuse(CUDNN_STATUS_NOT_SUPPORTED_DATA_TYPE, "convolution: only sums in fp32 are emulated");
    for (int a = 0; a < 4; a++)
        if (dnn_find(convolution, arrays[a])->count != 2)
            return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "convolution: attribute %d: not one number for each of the 2 spatial dimensions", arrays[a]);
    struct dnn_geometry geometry = dnn_geometry_of(convolution);
    for (int d = 0; d < 2; d++)
        if (geometry.pad[d] < 0 || geometry.end_pad[d] < 0 || geometry.stride[d] < 1 || geometry.dilation[d] < 1)
            return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "convolution: negative padding, or no stride or dilation");
    return CUDNN_STATUS_SUCCESS;
}

/* convolution, alpha, beta, x, w, y of an operation, whatever it computes. */
struct conv_names { int convolution, alpha, beta, x, w, y; };

static const struct conv_names *conv_names(const struct dnn_descriptor *operation)
{
    static const struct conv_names forward = { CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
        CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
        CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y };
    static const struct conv_names data = { CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY };
    static const struct conv_names filter = { CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY };
    return operation->type == CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR ? &forward
         : operation->type == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR ? &data : &filter;
}

cudnnStatus_t dnn_check_conv_operation(struct dnn_descriptor *operation)
{
    const struct conv_names *names = conv_names(operation);
    struct dnn_tensor x = dnn_tensor_of(dnn_part(operation, names->x)), w = dnn_tensor_of(dnn_part(operation, names->w));
    struct dnn_tensor y = dnn_tensor_of(dnn_part(operation, names->y));
    struct dnn_geometry geometry = dnn_geometry_of(dnn_part(operation, names->convolution));
    const double beta = dnn_real(operation, names->beta, -1);
    if (dnn_real(operation, names->alpha, 0) != 1 || (beta != 0 && !(beta == 1 && operation->type == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR)))
        return dnn_refuse(CUDNN_STATUS_NOT_SUPPORTED, "convolution: only alpha 1 and beta 0 are emulated, backward for data beta 1 too");
    if (x.dims[0] != y.dims[0] || y.dims[1] != w.dims[0] || x.dims[1] % w.dims[1] || w.dims[0] % (x.dims[1] / w.dims[1]))
        return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "convolution: x has %lld samples of %lld channels, w %lld filters of %lld, y %lld samples of %lld",
                          (long long)x.dims[0], (long long)x.dims[1], (long long)w.dims[0], (long long)w.dims[1], (long long)y.dims[0], (long long)y.dims[1]);
    for (int d = 0; d < 2; d++) {
        int64_t span = (w.dims[2 + d] - 1) * geometry.dilation[d] + 1, room = x.dims[2 + d] + geometry.pad[d] + geometry.end_pad[d] - span;
        if (room < 0 || y.dims[2 + d] != room / geometry.stride[d] + 1)
            return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "convolution: spatial dimension %d: %lld from %lld, window %lld, stride %lld, padding %lld and %lld", d,
                              (long long)y.dims[2 + d], (long long)x.dims[2 + d], (long long)span, (long long)geometry.stride[d],
                              (long long)geometry.pad[d], (long long)geometry.end_pad[d]);
    }
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t dnn_check_pointwise(struct dnn_descriptor *pointwise)
{
    switch ((int)dnn_integer(pointwise, CUDNN_ATTR_POINTWISE_MODE, -1)) {
    case CUDNN_POINTWISE_ADD: case CUDNN_POINTWISE_MUL: case CUDNN_POINTWISE_IDENTITY: case CUDNN_POINTWISE_RELU_FWD: case CUDNN_POINTWISE_RELU_BWD: break;
    default: return dnn_refuse(CUDNN_STATUS_NOT_SUPPORTED, "pointwise: this mode is not emulated");
    }
    if (dnn_integer(pointwise, CUDNN_ATTR_POINTWISE_MATH_PREC, -1) != CUDNN_DATA_FLOAT)
        return dnn_refuse(CUDNN_STATUS_NOT_SUPPORTED_DATA_TYPE, "pointwise: only fp32 is emulated");
    return CUDNN_STATUS_SUCCESS;
}

struct dnn_ports dnn_ports_of(const struct dnn_descriptor *operation)
{
    if (operation->type == CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR) {
        switch ((int)dnn_integer(dnn_part(operation, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR), CUDNN_ATTR_POINTWISE_MODE, -1)) {
        case CUDNN_POINTWISE_ADD: case CUDNN_POINTWISE_MUL:
            return (struct dnn_ports){ { CUDNN_ATTR_OPERATION_POINTWISE_XDESC, CUDNN_ATTR_OPERATION_POINTWISE_BDESC }, 2, CUDNN_ATTR_OPERATION_POINTWISE_YDESC };
        case CUDNN_POINTWISE_RELU_BWD:
            return (struct dnn_ports){ { CUDNN_ATTR_OPERATION_POINTWISE_XDESC, CUDNN_ATTR_OPERATION_POINTWISE_DYDESC }, 2, CUDNN_ATTR_OPERATION_POINTWISE_DXDESC };
        default:
            return (struct dnn_ports){ { CUDNN_ATTR_OPERATION_POINTWISE_XDESC }, 1, CUDNN_ATTR_OPERATION_POINTWISE_YDESC };
        }
    }
    const struct conv_names *names = conv_names(operation);
    switch ((int)operation->type) {
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR: return (struct dnn_ports){ { names->x, names->w }, 2, names->y };
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR: return (struct dnn_ports){ { names->w, names->y }, 2, names->x };
    default: return (struct dnn_ports){ { names->x, names->y }, 2, names->w };
    }
}

const struct dnn_descriptor *dnn_convolution_of(const struct dnn_descriptor *operation) { return dnn_part(operation, conv_names(operation)->convolution); }

cudnnStatus_t dnn_check_pointwise_operation(struct dnn_descriptor *operation)
{
    struct dnn_ports ports = dnn_ports_of(operation);
    for (int i = 0; i < ports.n_inputs; i++)
        if (!dnn_part(operation, ports.inputs[i]))
            return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "OPERATION_POINTWISE: attribute %d is not set", ports.inputs[i]);
    if (!dnn_part(operation, ports.output))
        return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "OPERATION_POINTWISE: attribute %d is not set", ports.output);
    if (dnn_real(operation, CUDNN_ATTR_OPERATION_POINTWISE_ALPHA1, 1) != 1 || dnn_real(operation, CUDNN_ATTR_OPERATION_POINTWISE_ALPHA2, 1) != 1)
        return dnn_refuse(CUDNN_STATUS_NOT_SUPPORTED, "OPERATION_POINTWISE: only factors of 1 are emulated");
    struct dnn_tensor output = dnn_tensor_of(dnn_part(operation, ports.output));
    for (int i = 0; i < ports.n_inputs; i++) {
        struct dnn_tensor input = dnn_tensor_of(dnn_part(operation, ports.inputs[i]));
        for (int d = 0; d < DNN_RANK; d++)
            if (input.dims[d] != output.dims[d] && input.dims[d] != 1)
                return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "OPERATION_POINTWISE: dimension %d of tensor %lld: %lld, the output's is %lld", d, (long long)input.id,
                                  (long long)input.dims[d], (long long)output.dims[d]);
    }
    return CUDNN_STATUS_SUCCESS;
}

/* The operation whose output has the id, or -1. */
static int64_t producer(const struct dnn_descriptor *graph, int64_t id)
{
    for (int64_t i = 0; i < dnn_find(graph, CUDNN_ATTR_OPERATIONGRAPH_OPS)->count; i++) {
        const struct dnn_descriptor *operation = dnn_part_at(graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, i);
        if (dnn_tensor_of(dnn_part(operation, dnn_ports_of(operation).output)).id == id)
            return i;
    }
    return -1;
}

/* One id is one tensor: the same descriptor, or one that says the same. */
static cudnnStatus_t check_same(const struct dnn_descriptor *a, const struct dnn_descriptor *b)
{
    struct dnn_tensor one = dnn_tensor_of(a), other = dnn_tensor_of(b);
    if (a == b || one.id != other.id)
        return CUDNN_STATUS_SUCCESS;
    if (one.type != other.type || one.is_virtual != other.is_virtual || one.by_value != other.by_value || memcmp(one.dims, other.dims, sizeof one.dims) ||
        memcmp(one.strides, other.strides, sizeof one.strides))
        return dnn_refuse(CUDNN_STATUS_BAD_PARAM_DUPLICATED_ENTRIES, "graph: two tensors have the id %lld", (long long)one.id);
    return CUDNN_STATUS_SUCCESS;
}

static const struct dnn_descriptor *port(const struct dnn_descriptor *operation, int i)
{
    struct dnn_ports ports = dnn_ports_of(operation);
    return i > ports.n_inputs ? NULL : dnn_part(operation, i == ports.n_inputs ? ports.output : ports.inputs[i]);
}

static cudnnStatus_t check_ids(const struct dnn_descriptor *a, const struct dnn_descriptor *b)
{
    for (int i = 0; port(a, i); i++)
        for (int j = 0; port(b, j); j++) {
            cudnnStatus_t status = check_same(port(a, i), port(b, j));
            if (status)
                return status;
        }
    return CUDNN_STATUS_SUCCESS;
}

/* Operations stand in an order in which they can run. */
cudnnStatus_t dnn_check_graph(struct dnn_descriptor *graph)
{
    const int64_t n = dnn_find(graph, CUDNN_ATTR_OPERATIONGRAPH_OPS)->count;
    for (int64_t i = 0; i < n; i++) {
        const struct dnn_descriptor *operation = dnn_part_at(graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, i);
        struct dnn_ports ports = dnn_ports_of(operation);
        for (int64_t j = 0; j <= i; j++) {
            cudnnStatus_t status = check_ids(operation, dnn_part_at(graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, j));
            if (status)
                return status;
        }
        if (producer(graph, dnn_tensor_of(dnn_part(operation, ports.output)).id) != i)
            return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "graph: two operations write one tensor");
        for (int p = 0; p < ports.n_inputs; p++) {
            struct dnn_tensor input = dnn_tensor_of(dnn_part(operation, ports.inputs[p]));
            int64_t from = producer(graph, input.id);
            if (from >= i || (input.is_virtual && from < 0))
                return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "graph: nobody writes tensor %lld before it is read", (long long)input.id);
        }
    }
    const struct dnn_descriptor *last = dnn_part_at(graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, n - 1);
    if (dnn_tensor_of(dnn_part(last, dnn_ports_of(last).output)).is_virtual)
        return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "graph: the last operation's output is virtual");
    return CUDNN_STATUS_SUCCESS;
}
