/* Pooling of the emulated cuDNN: tensors with any strides, maxima and averages. Which of equal maxima the gradient goes to is not documented; here it is the first. */
#include "tests/emulated/emulated_cudnn.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

struct cudnnTensorStruct { struct dnn_tensor tensor; bool set; };

struct cudnnPoolingStruct {
    cudnnPoolingMode_t mode;
    cudnnNanPropagation_t nan;
    int64_t window[2], pad[2], stride[2];
    bool set;
};

cudnnStatus_t cudnnCreateTensorDescriptor(cudnnTensorDescriptor_t *descriptor)
{
    *descriptor = calloc(1, sizeof **descriptor);
    return *descriptor ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED;
}

cudnnStatus_t cudnnDestroyTensorDescriptor(cudnnTensorDescriptor_t descriptor)
{
    free(descriptor);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetTensor4dDescriptorEx(cudnnTensorDescriptor_t descriptor, cudnnDataType_t type, int n, int c, int h, int w, int n_stride,
                                           int c_stride, int h_stride, int w_stride)
{
    if (!descriptor || n < 1 || c < 1 || h < 1 || w < 1 || n_stride < 1 || c_stride < 1 || h_stride < 1 || w_stride < 1)
        return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "tensor descriptor: %d x %d x %d x %d", n, c, h, w);
    if (type != CUDNN_DATA_FLOAT && type != CUDNN_DATA_HALF && type != CUDNN_DATA_BFLOAT16)
        return dnn_refuse(CUDNN_STATUS_NOT_SUPPORTED, "tensor descriptor: data type %d is not emulated", (int)type);
    descriptor->tensor = (struct dnn_tensor){ .dims = { n, c, h, w }, .strides = { n_stride, c_stride, h_stride, w_stride }, .type = type };
    descriptor->set = true;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetTensor4dDescriptor(cudnnTensorDescriptor_t descriptor, cudnnTensorFormat_t format, cudnnDataType_t type, int n, int c, int h, int w)
{
    if (format == CUDNN_TENSOR_NCHW)
        return cudnnSetTensor4dDescriptorEx(descriptor, type, n, c, h, w, c * h * w, h * w, w, 1);
    if (format == CUDNN_TENSOR_NHWC)
        return cudnnSetTensor4dDescriptorEx(descriptor, type, n, c, h, w, c * h * w, 1, c * w, c);
    return dnn_refuse(CUDNN_STATUS_NOT_SUPPORTED, "tensor descriptor: format %d is not emulated", (int)format);
}

cudnnStatus_t cudnnCreatePoolingDescriptor(cudnnPoolingDescriptor_t *descriptor)
{
    *descriptor = calloc(1, sizeof **descriptor);
    return *descriptor ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED;
}

cudnnStatus_t cudnnDestroyPoolingDescriptor(cudnnPoolingDescriptor_t descriptor)
{
    free(descriptor);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetPooling2dDescriptor(cudnnPoolingDescriptor_t descriptor, cudnnPoolingMode_t mode, cudnnNanPropagation_t nan, int window_h, int window_w,
                                          int pad_h, int pad_w, int stride_h, int stride_w)
{
    if (!descriptor || mode < CUDNN_POOLING_MAX || mode > CUDNN_POOLING_MAX_DETERMINISTIC || window_h < 1 || window_w < 1 || pad_h < 0 ||
        pad_w < 0 || pad_h >= window_h || pad_w >= window_w || stride_h < 1 || stride_w < 1)
        return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "pooling descriptor: window %d x %d, padding %d x %d, stride %d x %d", window_h, window_w, pad_h, pad_w,
                          stride_h, stride_w);
    *descriptor = (struct cudnnPoolingStruct){ mode, nan, { window_h, window_w }, { pad_h, pad_w }, { stride_h, stride_w }, true };
    return CUDNN_STATUS_SUCCESS;
}

static int64_t places(const struct cudnnPoolingStruct *pooling, const struct dnn_tensor *x, int d)
{
    return (x->dims[2 + d] + 2 * pooling->pad[d] - pooling->window[d]) / pooling->stride[d] + 1;
}

cudnnStatus_t cudnnGetPooling2dForwardOutputDim(const cudnnPoolingDescriptor_t pooling, const cudnnTensorDescriptor_t x, int *n, int *c, int *h, int *w)
{
    if (!pooling || !x || !pooling->set || !x->set)
        return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "pooling: a descriptor is not set");
    *n = (int)x->tensor.dims[0], *c = (int)x->tensor.dims[1];
    *h = (int)places(pooling, &x->tensor, 0), *w = (int)places(pooling, &x->tensor, 1);
    return CUDNN_STATUS_SUCCESS;
}

struct pooling_run {
    struct cudnnPoolingStruct pooling;
    struct dnn_tensor x, y;
    float alpha, beta;
    const void *in, *dy; /* dy: backward */
    void *out;           /* y, or dx */
};

static int64_t at(const struct dnn_tensor *tensor, int64_t n, int64_t c, int64_t h, int64_t w)
{
    return n * tensor->strides[0] + c * tensor->strides[1] + h * tensor->strides[2] + w * tensor->strides[3];
}

static bool is_maximum(const struct pooling_run *run) { return run->pooling.mode == CUDNN_POOLING_MAX || run->pooling.mode == CUDNN_POOLING_MAX_DETERMINISTIC; }

/* What lies of a window within the map. */
struct span { int64_t top, bottom, left, right; };

static struct span span_of(const struct pooling_run *run, int64_t p, int64_t q)
{
    const struct cudnnPoolingStruct *pooling = &run->pooling;
    const int64_t top = p * pooling->stride[0] - pooling->pad[0], left = q * pooling->stride[1] - pooling->pad[1];
    const int64_t bottom = top + pooling->window[0], right = left + pooling->window[1];
    return (struct span){ top > 0 ? top : 0, bottom < run->x.dims[2] ? bottom : run->x.dims[2], left > 0 ? left : 0, right < run->x.dims[3] ? right : run->x.dims[3] };
}

static float count_of(const struct pooling_run *run, const struct span *span)
{
    return run->pooling.mode == CUDNN_POOLING_AVERAGE_COUNT_INCLUDE_PADDING ? (float)(run->pooling.window[0] * run->pooling.window[1])
                                                                            : (float)((span->bottom - span->top) * (span->right - span->left));
}

/* The first maximum of a window; a NaN is one where NaNs propagate, and nothing where they do not. */
static float maximum(const struct pooling_run *run, const struct span *span, int64_t n, int64_t c, int64_t *place)
{
    float best = -FLT_MAX;
    *place = -1;
    for (int64_t h = span->top; h < span->bottom; h++)
        for (int64_t w = span->left; w < span->right; w++) {
            const float value = number_load(run->in, at(&run->x, n, c, h, w), dnn_number(run->x.type));
            const bool nan = value != value;
            if (nan ? run->pooling.nan == CUDNN_PROPAGATE_NAN && best == best : best == best && (*place < 0 || value > best))
                best = value, *place = h * run->x.dims[3] + w;
        }
    return best;
}

static float average(const struct pooling_run *run, const struct span *span, int64_t n, int64_t c)
{
    float sum = 0;
    for (int64_t h = span->top; h < span->bottom; h++)
        for (int64_t w = span->left; w < span->right; w++)
            sum += number_load(run->in, at(&run->x, n, c, h, w), dnn_number(run->x.type));
    return sum / count_of(run, span);
}

static void forward_channel(const struct pooling_run *run, int64_t n, int64_t c)
{
    const enum number kind = dnn_number(run->y.type);
    for (int64_t p = 0; p < run->y.dims[2]; p++)
        for (int64_t q = 0; q < run->y.dims[3]; q++) {
            const struct span span = span_of(run, p, q);
            const int64_t to = at(&run->y, n, c, p, q);
            int64_t place;
            const float value = is_maximum(run) ? maximum(run, &span, n, c, &place) : average(run, &span, n, c);
            number_store(run->out, to, run->alpha * value + (run->beta != 0 ? run->beta * number_load(run->out, to, kind) : 0), kind);
        }
}

static void add_window(const struct pooling_run *run, const struct span *span, int64_t n, int64_t c, float dy, float *dx)
{
    int64_t place;
    if (is_maximum(run)) {
        maximum(run, span, n, c, &place);
        if (place >= 0)
            dx[place] += dy;
        return;
    }
    for (int64_t h = span->top; h < span->bottom; h++)
        for (int64_t w = span->left; w < span->right; w++)
            dx[h * run->x.dims[3] + w] += dy / count_of(run, span);
}

static void backward_channel(const struct pooling_run *run, int64_t n, int64_t c)
{
    const enum number kind = dnn_number(run->x.type);
    float *dx = calloc((size_t)(run->x.dims[2] * run->x.dims[3]), sizeof *dx);
    if (!dx)
        abort();
    for (int64_t p = 0; p < run->y.dims[2]; p++)
        for (int64_t q = 0; q < run->y.dims[3]; q++) {
            const struct span span = span_of(run, p, q);
            add_window(run, &span, n, c, number_load(run->dy, at(&run->y, n, c, p, q), kind), dx);
        }
    for (int64_t i = 0; i < run->x.dims[2] * run->x.dims[3]; i++) {
        const int64_t to = at(&run->x, n, c, i / run->x.dims[3], i % run->x.dims[3]);
        number_store(run->out, to, run->alpha * dx[i] + (run->beta != 0 ? run->beta * number_load(run->out, to, kind) : 0), kind);
    }
    free(dx);
}

static void pool(void *context)
{
    const struct pooling_run *run = context;
    for (int64_t i = 0; i < run->x.dims[0] * run->x.dims[1]; i++)
        (run->dy ? backward_channel : forward_channel)(run, i / run->x.dims[1], i % run->x.dims[1]);
}

static bool same_tensor(const struct dnn_tensor *a, const struct dnn_tensor *b)
{
    return a->type == b->type && !memcmp(a->dims, b->dims, sizeof a->dims) && !memcmp(a->strides, b->strides, sizeof a->strides);
}

static cudnnStatus_t check(const char *function, cudnnHandle_t handle, const struct cudnnPoolingStruct *pooling, const struct dnn_tensor *x, const struct dnn_tensor *y)
{
    int device = -1, fault = emulated_fault(function, CUDNN_STATUS_EXECUTION_FAILED);
    if (fault)
        return dnn_refuse((cudnnStatus_t)fault, "%s: as asked for", function);
    if (!handle || !pooling || !pooling->set || !x->dims[0] || !y->dims[0])
        return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "%s: no handle, or a descriptor that is not set", function);
    if (cudaGetDevice(&device) != cudaSuccess || device != handle->device)
        return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "%s: device %d is current, the handle's is %d", function, device, handle->device);
    if (x->type != y->type || x->dims[0] != y->dims[0] || x->dims[1] != y->dims[1] || y->dims[2] != places(pooling, x, 0) || y->dims[3] != places(pooling, x, 1))
        return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "%s: the output's shape or type does not follow from the input's", function);
    return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t check_memory(const char *function, cudaStream_t stream, const struct dnn_tensor *tensor, const void *data)
{
    if (!data || (uintptr_t)data % number_bytes(dnn_number(tensor->type)) || !emulated_reaches(stream, data, dnn_tensor_bytes(tensor)))
        return dnn_refuse(CUDNN_STATUS_EXECUTION_FAILED, "%s: %zu bytes at %p are not the device's", function, dnn_tensor_bytes(tensor), data);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnPoolingForward(cudnnHandle_t handle, const cudnnPoolingDescriptor_t pooling, const void *alpha, const cudnnTensorDescriptor_t x_tensor,
                                  const void *x, const void *beta, const cudnnTensorDescriptor_t y_tensor, void *y)
{
    static const char name[] = "cudnnPoolingForward";
    struct pooling_run run = { *pooling, x_tensor->tensor, y_tensor->tensor, *(const float *)alpha, *(const float *)beta, x, NULL, y };
    cudnnStatus_t status = check(name, handle, pooling, &run.x, &run.y);
    if (status || (status = check_memory(name, handle->stream, &run.x, x)) || (status = check_memory(name, handle->stream, &run.y, y)))
        return status;
    return emulated_enqueue(handle->stream, pool, &run, sizeof run) ? CUDNN_STATUS_EXECUTION_FAILED : CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnPoolingBackward(cudnnHandle_t handle, const cudnnPoolingDescriptor_t pooling, const void *alpha, const cudnnTensorDescriptor_t y_tensor,
                                   const void *y, const cudnnTensorDescriptor_t dy_tensor, const void *dy, const cudnnTensorDescriptor_t x_tensor,
                                   const void *x, const void *beta, const cudnnTensorDescriptor_t dx_tensor, void *dx)
{
    static const char name[] = "cudnnPoolingBackward";
    struct pooling_run run = { *pooling, x_tensor->tensor, y_tensor->tensor, *(const float *)alpha, *(const float *)beta, x, dy, dx };
    cudnnStatus_t status = check(name, handle, pooling, &run.x, &run.y);
    if (status)
        return status;
    if (!same_tensor(&y_tensor->tensor, &dy_tensor->tensor) || !same_tensor(&x_tensor->tensor, &dx_tensor->tensor))
        return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "%s: dy is not like y, or dx not like x", name);
    if ((status = check_memory(name, handle->stream, &run.x, x)) || (status = check_memory(name, handle->stream, &run.y, y)) ||
        (status = check_memory(name, handle->stream, &run.y, dy)) || (status = check_memory(name, handle->stream, &run.x, dx)))
        return status;
    return emulated_enqueue(handle->stream, pool, &run, sizeof run) ? CUDNN_STATUS_EXECUTION_FAILED : CUDNN_STATUS_SUCCESS;
}
