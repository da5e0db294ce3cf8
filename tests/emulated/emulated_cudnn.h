/* The emulated cuDNN, as its own files see it. Descriptors of the graph API are bags of checked attributes (emulated_cudnn_rules.c says which descriptor takes
 * which); what they mean is read from the attributes again wherever it is needed.
 *
 * It is stricter than the library: whatever the documentation calls required must be set, although the library has defaults for some. A misuse is one line on
 * stderr; that an engine does not support something is none, since programs ask for that. */
#ifndef TESTS_EMULATED_CUDNN_H
#define TESTS_EMULATED_CUDNN_H

#include "tests/emulated/emulated.h"
#include "tests/emulated/emulated_number.h"

#include <cudnn.h>

#include <stdatomic.h>
#include <stdbool.h>

struct cudnnContext {
    cudaStream_t stream;
    int device;
};

/* Keeps the reason for cudnnGetLastErrorString and returns the status. */
cudnnStatus_t dnn_refuse(cudnnStatus_t status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- descriptors ---- */

enum { DNN_VALUES = 20, DNN_RANK = 4 };

struct dnn_value {
    cudnnBackendAttributeName_t name;
    cudnnBackendAttributeType_t type;
    int64_t count;
    void *elements;
};

struct dnn_descriptor {
    cudnnBackendDescriptorType_t type;
    bool finalized;
    atomic_int owners; /* its maker and the descriptors that have it as an attribute */
    atomic_int pending;              /* of a plan: executions that have not run */
    struct dnn_descriptor *next_parked;
    int n_values;
    struct dnn_value values[DNN_VALUES];
};

/* An attribute of a descriptor: how it may be set. A table ends with type -1. */
struct dnn_rule {
    int name;
    int type, other_type; /* cudnnBackendAttributeType_t; -1: no other */
    int least, most;      /* elements */
    enum { RULE_REQUIRED, RULE_OPTIONAL, RULE_ASKED } use; /* RULE_ASKED: computed, cannot be set */
    int child;            /* the type of descriptor that a CUDNN_TYPE_BACKEND_DESCRIPTOR is; -1: any operation */
};

struct dnn_kind {
    cudnnBackendDescriptorType_t type;
    const char *name;
    const struct dnn_rule *rules;
    cudnnStatus_t (*finalize)(struct dnn_descriptor *descriptor); /* all attributes are set as the rules say; NULL: nothing more to check */
};

const struct dnn_kind *dnn_kind_of(cudnnBackendDescriptorType_t type); /* NULL: not emulated */
const struct dnn_rule *dnn_rule_of(const struct dnn_kind *kind, cudnnBackendAttributeName_t name);

struct dnn_descriptor *dnn_new(cudnnBackendDescriptorType_t type);
void dnn_give_up(struct dnn_descriptor *descriptor); /* one owner less; accepts NULL */
void dnn_put(struct dnn_descriptor *descriptor, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t count, const void *elements);

const struct dnn_value *dnn_find(const struct dnn_descriptor *descriptor, int name); /* NULL: not set */
int64_t dnn_integer(const struct dnn_descriptor *descriptor, int name, int64_t otherwise); /* INT64, BOOLEAN and enums */
double dnn_real(const struct dnn_descriptor *descriptor, int name, double otherwise);      /* FLOAT, DOUBLE */
struct dnn_descriptor *dnn_part(const struct dnn_descriptor *descriptor, int name);      /* NULL: not set */
struct dnn_descriptor *dnn_part_at(const struct dnn_descriptor *descriptor, int name, int64_t at);

/* ---- checks, emulated_cudnn_check.c and others ---- */

cudnnStatus_t dnn_check_tensor(struct dnn_descriptor *tensor);
cudnnStatus_t dnn_check_convolution(struct dnn_descriptor *convolution);
cudnnStatus_t dnn_check_conv_operation(struct dnn_descriptor *operation);
cudnnStatus_t dnn_check_pointwise(struct dnn_descriptor *pointwise);
cudnnStatus_t dnn_check_pointwise_operation(struct dnn_descriptor *operation);
cudnnStatus_t dnn_check_graph(struct dnn_descriptor *graph);
cudnnStatus_t dnn_check_heuristics(struct dnn_descriptor *heuristics);
cudnnStatus_t dnn_check_engine(struct dnn_descriptor *engine);
cudnnStatus_t dnn_check_plan(struct dnn_descriptor *plan);
cudnnStatus_t dnn_check_pack(struct dnn_descriptor *pack);
cudnnStatus_t dnn_check_properties(struct dnn_descriptor *properties);

/* Attributes that are computed, RULE_ASKED: emulated_cudnn_engine.c. elements NULL: only the count is wanted. */
cudnnStatus_t dnn_answer(const struct dnn_descriptor *descriptor, cudnnBackendAttributeName_t name, int64_t requested, int64_t *count, void *elements);

/* ---- tensors and operations ---- */

struct dnn_tensor {
    int64_t id, alignment;
    int64_t dims[DNN_RANK], strides[DNN_RANK]; /* N, C, H, W */
    cudnnDataType_t type;
    bool is_virtual, by_value;
};

struct dnn_tensor dnn_tensor_of(const struct dnn_descriptor *descriptor);
enum number dnn_number(cudnnDataType_t type);
size_t dnn_tensor_bytes(const struct dnn_tensor *tensor); /* from the first element to the end of the last */
int64_t dnn_tensor_elements(const struct dnn_tensor *tensor);

/* The tensors that an operation reads and writes, as names of attributes. */
enum { DNN_INPUTS = 3 };
struct dnn_ports { int inputs[DNN_INPUTS], n_inputs, output; };
struct dnn_ports dnn_ports_of(const struct dnn_descriptor *operation);

struct dnn_geometry {
    int64_t pad[2], end_pad[2], stride[2], dilation[2]; /* vertical, horizontal */
    bool flip; /* CUDNN_CONVOLUTION, not cross-correlation */
};
struct dnn_geometry dnn_geometry_of(const struct dnn_descriptor *convolution);
const struct dnn_descriptor *dnn_convolution_of(const struct dnn_descriptor *operation); /* of a convolution operation */

/* How an engine computes. */
enum { ENGINE_PLAIN, ENGINE_TENSOR_CORE, ENGINE_ATOMIC, ENGINE_ABSENT, DNN_ENGINES };
size_t dnn_workspace(const struct dnn_descriptor *configuration);

/* ---- arithmetic: dense floats [N][H][W][C], filters [K][R][S][C] ---- */

struct dnn_conv_shape {
    int64_t n, c, h, w, k, filter_c, r, s, p, q; /* c = groups * filter_c */
    struct dnn_geometry geometry;
};
void dnn_conv_forward(const struct dnn_conv_shape *shape, const float *x, const float *w, float *y);
void dnn_conv_backward_data(const struct dnn_conv_shape *shape, const float *w, const float *dy, float *dx);
/* Sums begin with sample `first`: another order of addition for another one. */
void dnn_conv_backward_filter(const struct dnn_conv_shape *shape, const float *x, const float *dy, float *dw, int64_t first);

#endif
