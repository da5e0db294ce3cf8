/* oneDNN behind the backend table. Inside cpu/ only.
 *
 * An operation is three sequences of stages: pack, forward, backward. A stage is one oneDNN primitive and, for each of its arguments,
 * the place where the data will be: a tensor, the canonical weights, scratch. Places are resolved when a stage runs, because the plan
 * binds memory after the constructors, and weights and gradients move from step to step; oneDNN is told only of what moved.
 * Constructors append stages, and where two layouts disagree a reorder goes in between.
 *
 * A tensor's `detail` is the layout (always N, C, H, W) of the operation that made it. With bf16 its elements are
 * bf16, and convolutions and products compute on packed weights in bf16; biases, normalization and every parameter's
 * gradient are fp32.
 *
 * oneDNN 2 and oneDNN 3 both will do: cpu/dnnl_version.h is where they differ.
 *
 * Threads: Debian's oneDNN is built on OpenMP, whose thread count belongs to the calling thread and starts as the number of
 * processors. Preparing and running both set it to one on the thread they are on. */
#ifndef CPU_DNNL_H
#define CPU_DNNL_H

#include "cpu/device.h"
#include "cpu/dnnl_version.h"
#include "nets/backend.h"

#include <string.h>

/* ---- the device ---- */

/* What struct device.engine points at. */
struct onednn {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_attr_t attr; /* scratch comes from the caller */
    bool nhwc;                  /* every activation in NHWC; otherwise as each primitive likes best */
};

/* One OpenMP thread for whatever this thread does from now on. Costs a few nanoseconds. */
void onednn_single_thread(void);

/* 0, or -1 with "cpu: oneDNN: <what>: <status>". */
int onednn_check(dnnl_status_t status, const char *what, struct error *error);

/* ---- operations ---- */

enum place_kind { PLACE_NONE, PLACE_DATA, PLACE_GRADIENT, PLACE_WEIGHT, PLACE_DWEIGHT, PLACE_STAT, PLACE_SCRATCH, PLACE_SAVED, PLACE_PACKED };

struct place {
    enum place_kind kind;
    const struct tensor *tensor; /* DATA, GRADIENT */
    size_t offset;               /* floats into the canonical vectors; bytes into scratch, saved */
    void *packed;
};

/* The longest: the gradient of eight concatenated inputs; a convolution with every reorder takes seven backward. */
enum { STAGE_ARGS = 12, SEQUENCE_STAGES = NODE_INPUTS };

struct stage {
    const char *what;
    dnnl_primitive_t primitive;
    int n_args;
    dnnl_exec_arg_t args[STAGE_ARGS];
    struct place places[STAGE_ARGS];
    void *bound[STAGE_ARGS]; /* what oneDNN was last told */
};

struct sequence { int n; struct stage stages[SEQUENCE_STAGES]; };

struct onednn_op {
    struct op head;
    struct device *device;
    const struct param *params[NODE_PARAMS]; /* whose gradients backward writes; NULL: none */
    struct sequence pack, forward, backward;
    struct layout *layout; /* of the output: its tensor's detail */
    size_t own_scratch;    /* bytes in front of the primitives' scratch */
    void *packed[2];       /* weights in the layouts that forward and backward-data want */
    int n_packed;
};

int onednn_run(struct onednn_op *op, struct sequence *sequence, const struct step *step, struct error *error);
void *onednn_resolve(const struct onednn_op *op, const struct place *place, const struct step *step);

/* For op_calls: run the sequence of that name and nothing else. */
int onednn_pack(struct op *op, const struct step *step, struct error *error);
int onednn_forward(struct op *op, const struct step *step, struct error *error);
int onednn_backward(struct op *op, const struct step *step, struct error *error);
void onednn_free(struct op *op);

/* ---- building one: the first failure sticks, everything after it does nothing ---- */

enum { BUILD_DESCS = 4, BUILD_LAYOUTS = 12 };

struct build {
    struct onednn_op *op;
    const struct op_request *request;
    const struct onednn *onednn;
    size_t primitive_scratch;
    dnnl_primitive_desc_t made, descs[BUILD_DESCS];
    struct layout *layouts[BUILD_LAYOUTS];
    int n_descs, n_layouts;
    bool failed;
    struct error *error;
};

/* op_bytes: sizeof a struct that begins with struct onednn_op. -1 when there is no memory: then there is nothing to
 * end. */
int build_begin(struct build *build, size_t op_bytes, const struct op_request *request, struct error *error);

/* Hands the operation over with its output's bytes set, or frees it and returns -1. */
int build_end(struct build *build, const struct op_calls *calls, struct op **op);

/* Sticks, unless the status is success. */
bool build_check(struct build *build, dnnl_status_t status, const char *what);

/* The primitive descriptor that a describe_... makes of these arguments. It lives until build_end; NULL once
 * anything has failed. */
#define BUILD_DESCRIBE(build, what, describe, ...) \
    ((build)->failed ? NULL : build_keep(build, describe(&(build)->made, (build)->onednn, __VA_ARGS__), what))
dnnl_primitive_desc_t build_keep(struct build *build, dnnl_status_t status, const char *what); /* build->made */

/* Layouts; they live and fail in the same way. The last dimension fastest; an activation's: shape, batch and
 * precision of the tensor, or fp32 whatever its precision. */
const struct layout *build_plain(struct build *build, int rank, const dnnl_dims_t dims, dnnl_data_type_t type);
const struct layout *build_any(struct build *build, int rank, const dnnl_dims_t dims, dnnl_data_type_t type);   /* the primitive chooses */
const struct layout *build_activation(struct build *build, const struct tensor *tensor, dnnl_format_tag_t tag);
const struct layout *build_floats(struct build *build, const struct tensor *tensor);       /* [B][C][H][W] */
const struct layout *build_floats_alike(struct build *build, const struct tensor *tensor); /* element for element as the tensor lies */
const struct layout *build_part(struct build *build, const struct layout *whole, const dnnl_dims_t dims,
                                const dnnl_dims_t offset);

/* The output lies as `layout`. Before anything reads its tensor's. */
void build_output(struct build *build, const struct layout *layout);

/* The layout that a described primitive has chosen for an argument (DNNL_ARG_...). */
const struct layout *build_layout(const struct build *build, dnnl_primitive_desc_t desc, int arg);

struct binding { int arg; struct place place; }; /* PLACE_NONE: the argument is absent */

void build_stage(struct build *build, struct sequence *sequence, dnnl_primitive_desc_t desc, const char *what, const struct binding *bindings, int n);

/* A place and how the data lies there. */
struct view { struct place place; const struct layout *layout; };

void build_reorder(struct build *build, struct sequence *sequence, struct view from, struct view to);

/* `from`'s own place when it lies as wanted, otherwise scratch that a reorder has filled. */
struct place build_converted(struct build *build, struct sequence *sequence, struct view from,
                             const struct layout *want);

/* Where a primitive that writes as `made` shall put what is meant for `to`: there, or in scratch, from where build_deliver reorders it. */
struct view build_target(struct build *build, struct view to, const struct layout *made);
void build_deliver(struct build *build, struct sequence *sequence, struct view from, struct view to);

struct place build_scratch(struct build *build, size_t bytes);
struct place build_saved(struct build *build, size_t bytes);

/* Canonical weights as `want`: in place, or a packed copy that `pack` fills. */
struct place build_packed(struct build *build, const struct param *param, const struct layout *canonical,
                          const struct layout *want);

/* ---- layouts and places ---- */

dnnl_status_t layout_of_floats(struct layout **made, const struct tensor *tensor);
dnnl_status_t layout_of_floats_alike(struct layout **made, const struct tensor *tensor);
bool layouts_agree(const struct layout *a, const struct layout *b); /* the same bytes mean the same */

bool layout_is_floats(const struct layout *layout); /* fp32, the last dimension fastest, without gaps */

/* How an activation is walked, in elements: channel c lies at c / block * channel_block + c % block. */
struct walk { size_t sample, channel_block, row, column; int block; };

/* False where it is not laid out so: blocked in more than its channels. */
bool layout_walk(const struct layout *layout, struct walk *walk);

/* What a window needs behind the last row or column to make `out` outputs. */
static inline dnnl_dim_t padding_after(dnnl_dim_t in, dnnl_dim_t out, dnnl_dim_t size, dnnl_dim_t stride, dnnl_dim_t before)
{
    dnnl_dim_t needed = (out - 1) * stride + size - in - before;
    return needed > 0 ? needed : 0;
}

static inline dnnl_data_type_t element_type(enum precision precision) { return precision == PRECISION_BF16 ? dnnl_bf16 : dnnl_f32; }
static inline size_t element_count(const struct tensor *tensor) { return tensor->bytes / dnnl_data_type_size(element_type(tensor->precision)); } /* padding too */
/* Every element a NaN, in any precision: what an operation whose kernel would hide one makes of its output. */
static inline void poison(const struct tensor *tensor) { memset(tensor->data, 0xff, tensor->bytes); }

static inline const struct layout *tensor_layout(const struct tensor *tensor) { return tensor->detail; }
static inline struct place place_data(const struct tensor *tensor) { return (struct place){ .kind = PLACE_DATA, .tensor = tensor }; }
static inline struct place place_gradient(const struct tensor *tensor) { return (struct place){ .kind = PLACE_GRADIENT, .tensor = tensor }; }

static inline struct view view_data(const struct tensor *tensor) { return (struct view){ place_data(tensor), tensor_layout(tensor) }; }
static inline struct view view_gradient(const struct tensor *tensor) { return (struct view){ place_gradient(tensor), tensor_layout(tensor) }; }

/* Nowhere when there is no such parameter. */
static inline struct place place_param(enum place_kind kind, const struct param *param)
{
    return param ? (struct place){ .kind = kind, .offset = param->offset } : (struct place){ .kind = PLACE_NONE };
}

/* ---- the table's entries ---- */

int onednn_input(struct op **op, const struct op_request *request, const struct input_args *args, struct error *error);
int onednn_conv(struct op **op, const struct op_request *request, const struct conv_args *args, struct error *error);
int onednn_pool(struct op **op, const struct op_request *request, const struct pool_args *args, struct error *error);
int onednn_linear(struct op **op, const struct op_request *request, const struct linear_args *args, struct error *error);
void onednn_rectify(const struct tensor *to, const struct tensor *from); /* data; may be the same */
int onednn_relu(struct op **op, const struct op_request *request, struct error *error);
int onednn_batchnorm(struct op **op, const struct op_request *request, const struct batchnorm_args *args, struct error *error);
int onednn_add(struct op **op, const struct op_request *request, const struct add_args *args, struct error *error);
int onednn_shortcut(struct op **op, const struct op_request *request, const struct shortcut_args *args, struct error *error);
int onednn_concat(struct op **op, const struct op_request *request, struct error *error);
int onednn_dropout(struct op **op, const struct op_request *request, const struct dropout_args *args, struct error *error);
int onednn_lrn(struct op **op, const struct op_request *request, const struct lrn_args *args, struct error *error);
int onednn_loss(struct op **op, const struct op_request *request, const struct loss_args *args, struct error *error);

void onednn_accumulate(struct device *device, const struct tensor *to, const struct tensor *from);
int onednn_result(struct op *loss, int turn, struct step_result *result, struct error *error);
void onednn_tensor_out(struct device *device, const struct tensor *tensor, bool gradient, float *nchw);
void onednn_tensor_in(struct device *device, const struct tensor *tensor, bool gradient, const float *nchw);

#endif
