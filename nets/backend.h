/* The table that a backend fills. Callers never know which one they hold.
 *
 * Memory: everything a step touches is allocated through the table before the threads start.
 * Order: a device runs what it is given in the order of the calls. On a GPU a call only enqueues, and host code that wants to read what comes of it waits for an event; on the
 * CPU everything has run when the call returns. A fault in what was enqueued stays with the device until a call that takes `error` reports it.
 * Operations: prepared once per (arguments, shapes, batch, mode) by a constructor, then run without allocation. A constructor reads the
 * layout of its input tensors, sets layout and bytes of its output tensor and the sizes of what it wants kept; the plan then
 * binds memory. Flat passes: elementwise over fp32 vectors, no contraction into fused multiply-adds, so that how a vector is split never
 * changes a bit.
 * One thread uses a device at a time; different devices are independent. */
#ifndef NETS_BACKEND_H
#define NETS_BACKEND_H

#include "nets/graph.h"

struct device;  /* the backend's: an engine, a stream, a processor */
struct event;   /* the backend's: a moment in a device's order */
struct capture; /* the backend's: work that was enqueued once and can be enqueued again as a whole */

/* What activations and their gradients are stored in, and what products are computed from. Weights, their gradients, running and batch
 * statistics, the loss and every update are fp32 in any of them, and sums of products are taken in fp32 or wider. A conversion rounds to the
 * nearest, of two equally near to the even one; what is too large becomes infinite, subnormal numbers stay, and a NaN stays a NaN. */
enum precision { PRECISION_FP32, PRECISION_BF16, PRECISION_FP16, PRECISIONS };

static inline const char *precision_name(enum precision precision) { return precision == PRECISION_BF16 ? "bf16" : precision == PRECISION_FP16 ? "fp16" : "fp32"; }

/* An activation of one plan. The shape is one sample's; how the batch lies in memory is the backend's business. */
struct tensor {
    struct shape shape;
    int batch;
    enum precision precision; /* of its elements */
    int layout;         /* the backend's own number */
    const void *detail; /* and whatever else it wants to know of it; lives as long as the operation that made it */
    size_t bytes;       /* of data, and of gradient; set by the constructor of the operation that produces it */
    void *data;         /* bound by the plan */
    void *gradient;     /* bound by the plan; NULL where nobody wants it */
};

/* What changes from step to step. Borrowed for the call. */
struct step {
    const float *weights;  /* L: params.total floats, canonical */
    float *gradient;       /* g: the same; NULL in evaluation */
    float *stats;          /* running statistics, updated in training; read in evaluation */
    bool repack;           /* the weights differ from the last step's; a plan's first step packs in any case */
    int turn;              /* 0 or 1: a step's result may be asked for until the next step of the same turn */
    bool fixed;            /* all vectors of this struct lie where they lay in the plan's last step of that turn: the step may be captured, and launched again */
    const uint8_t *pixels; /* [B][C][H][W]; like all that follows in the device's memory */
    const int32_t *labels; /* [B] */
    const int64_t *index;  /* [B]: sample numbers */
    int n;                 /* samples that count; the loss of the others is not summed and their gradient is zero */
    uint64_t seed;         /* dropout draws from (seed, epoch, sample, layer, element) */
    int64_t epoch;
    float loss_scale;      /* fp16: the loss's gradient is multiplied by it, parameters' gradients divided; 0 means 1 */
};

/* What the loss node leaves behind. */
struct step_result {
    double loss_sum;        /* of the n samples */
    int correct, correct5;  /* of the n samples; a NaN is never correct */
};

struct op;

struct op_calls {
    int (*pack)(struct op *op, const struct step *step, struct error *error);     /* canonical weights to its own copy; NULL: none kept */
    int (*forward)(struct op *op, const struct step *step, struct error *error);
    /* Gradient of its output to gradients of its inputs (written, not added) and of its parameters; NULL: nothing to do. */
    int (*backward)(struct op *op, const struct step *step, struct error *error);
    void (*free)(struct op *op);
};

/* The head of every backend's operation. */
struct op {
    const struct op_calls *calls;
    size_t scratch_bytes; /* wanted while forward or backward runs; shared by all operations of a plan */
    size_t saved_bytes;   /* its own as long as the plan lives, zero at first: what forward leaves for backward, packed weights */
    int in_place;         /* 1 + the number of the input whose gradient backward can write where the output's lies, both of the same bytes; 0: none */
    unsigned adds;        /* a bit for each input to whose gradient, where the request has add_gradient, backward adds; it writes the others, which the plan adds */
    void *scratch, *saved; /* bound by the plan, aligned to 64 */
};

/* What a constructor is given besides its arguments. Inputs' gradient NULL (known before binding through want_gradient) means not wanted. */
struct op_request {
    struct device *device;
    bool training;
    enum precision precision;
    int batch;
    const struct tensor *inputs[NODE_INPUTS]; /* pointers stay valid for the operation's life; data and gradient are bound later */
    bool want_gradient[NODE_INPUTS];
    bool add_gradient[NODE_INPUTS];           /* backward, operations that come before this one will have written to it: see `adds` */
    int n_inputs;
    struct tensor *output;                    /* shape, batch and precision are set */
    const struct param *params[NODE_PARAMS];  /* weight, bias: NULL where there is none. Borrowed: the graph's */
    const struct param *stats[NODE_PARAMS];   /* running mean, running variance */
};

/* Which fusions its constructors take; the plan asks for no others. */
struct fusions { bool conv_relu, conv_pool, linear_relu, batchnorm_add, batchnorm_relu, add_relu; };

/* Captures: between begin and end, what is enqueued on the device is kept instead of run; events recorded and waited for go along, and mean what they mean when the capture
 * is launched. */
struct capture_calls {
    int (*begin)(struct device *device, struct error *error);
    int (*end)(struct device *device, struct capture **capture, struct error *error); /* NULL when nothing was enqueued */
    int (*launch)(struct device *device, struct capture *capture, struct error *error);
    void (*free)(struct capture *capture); /* accepts NULL */
};

/* Sums over devices, one vector on each, by a library of collectives (NCCL). */
struct collective;
struct collective_calls {
    /* EXIT_USAGE when two of the devices are one GPU. */
    int (*open)(struct collective **collective, struct device *const *devices, int n, struct error *error);
    /* vectors[k], n floats on devices[k], becomes the sum of all; enqueued on `devices`, in any order of addition. One thread calls it for all. */
    int (*sum)(struct collective *collective, float *const *vectors, size_t n, struct error *error);
    void (*abort)(struct collective *collective); /* any thread: sums that cannot end, end */
    void (*close)(struct collective *collective); /* accepts NULL */
};

/* ---- flat passes ---- */

/* Delay compensation (DC-ASGD, arXiv 1609.08326, eq. 10 and section 5): g becomes g + lambda g*g*(now - backup), or with mean_square
 * lambda / sqrt(MS + 1e-7) in place of lambda, MS <- decay MS + (1 - decay) g*g first. Off when backup is NULL. */
struct compensation {
    const float *now, *backup; /* [n] */
    float *mean_square;        /* [n], or NULL: constant lambda */
    float lambda, decay;
};

/* docs/algorithms.md sections 3 and 5, one pass: G = inv_k * (((g_0 + g_1) + ...) + g_{K-1}), compensated; d = scale * (G + weight_decay * W);
 * V = momentum * V + d; W' = W - rate * (nesterov ? d + momentum * V : V); and, where p is wanted, section 6's
 * P = W' - next_rate * (momentum * V + weight_decay * W'), Nesterov P = W' - next_rate * (momentum^2 * V + (1 + momentum) * weight_decay * W'); and, where an
 * average is kept, E = E + average_rate * (W' - E). Clipping is a factor in inv_k. */
struct sgd_pass {
    size_t n;
    int k;                       /* gradients to sum, 1..64 */
    const float *const *gradients; /* k pointers to [n] */
    float inv_k, scale, rate, momentum, weight_decay, next_rate, average_rate;
    bool nesterov;
    const uint32_t *decays;      /* [n], a bit each from the lowest on: whether weight_decay is added to that element; NULL: to all. For backends with masks */
    struct compensation compensation; /* `now` is w */
    const float *w;              /* [n] */
    float *v;                    /* [n], in place */
    float *w_out;                /* [n]; may be w */
    float *p;                    /* [n] or NULL */
    float *average;              /* E: [n], in place; NULL when none is kept */
};

/* docs/algorithms.md section 6, `sgd`, `dc`, `adc`: factor * g in place of g (1 where nothing is clipped), compensated;
 * m = momentum * m - rate * (g + weight_decay * W); L = W + m. */
struct local_pass {
    size_t n;
    const float *w, *g; /* [n] */
    float *m;           /* [n], in place; NULL when momentum is 0 */
    float *l;           /* [n] */
    float factor, rate, momentum, weight_decay;
    const uint32_t *decays; /* as in sgd_pass */
    struct compensation compensation; /* `now` is w */
};

struct backend {
    const char *name; /* "onednn" */
    const char *help; /* one line: layout and library */
    struct fusions fusions;
    bool host_memory;                          /* the devices' memory is the host's: what is allocated can be read and written by anyone */
    bool masks;                                /* sgd, forecast and local take `decays`: a pass costs a launch, so one for a bucket and not one for each of its stretches */
    bool enqueues;                             /* calls return before their work is done: results are asked for a step later */
    const struct capture_calls *captures;      /* NULL: nothing is gained by them */
    const struct collective_calls *collective; /* NULL: none */
    /* Does what `pack` of each of these operations of one plan does, at once; NULL: nothing is gained by that. */
    int (*pack_all)(struct op *const *ops, int n, const struct step *step, struct error *error);

    /* ---- devices and memory ---- */
    bool (*offers)(enum precision precision); /* whether it computes in it on this machine */
    int (*device_open)(struct device **device, int index, struct error *error); /* index: which one; on the CPU the processor its thread runs on, or -1 */
    void (*device_close)(struct device *device);
    /* One more order on the same device, for copies and flat passes; closed by device_close, before the device. urgency: 0..7, what has more goes first where both could run. */
    int (*device_second)(struct device **device, struct device *of, int urgency, struct error *error);
    int (*allocate)(struct device *device, void **block, size_t bytes, const char *what, struct error *error); /* zeroed, aligned to 64 */
    void (*release)(struct device *device, void *block); /* waits for what was enqueued; accepts NULL */
    int (*allocate_host)(void **block, size_t bytes, const char *what, struct error *error); /* the host's memory, zeroed, aligned to 64, which copies to and from need not be staged for */
    void (*release_host)(void *block); /* accepts NULL */
    bool (*same)(const struct device *a, const struct device *b);    /* they are one GPU: what one allocates is the other's too */
    bool (*reaches)(const struct device *a, const struct device *b); /* passes on a may read b's memory */
    void (*upload)(struct device *device, void *to, const void *from, size_t bytes); /* from the host's memory, which must stay as it is until that is done */

    /* ---- order ---- */
    int (*event_open)(struct event **event, struct device *device, struct error *error);
    void (*event_close)(struct event *event); /* accepts NULL */
    void (*record)(struct device *device, struct event *event); /* the event: all that was enqueued on the device so far is done. Recording again moves it */
    void (*wait)(struct device *device, struct event *event);   /* what is enqueued from now on runs after the event as recorded last; any device, any thread */
    bool (*done)(struct event *event);                          /* or never recorded */
    int (*finish)(struct event *event, struct error *error);    /* the calling thread waits for it */
    int (*sync)(struct device *device, struct error *error);    /* the calling thread waits for everything enqueued */
    int (*check)(struct device *device, struct error *error);   /* the device's fault, if it has one; waits for nothing */
    void (*begin)(struct device *device, const struct step *step); /* before a step's forward pass, outside of a capture: what changes from step to step and is no vector */

    /* ---- operations: constructors ---- */
    int (*input)(struct op **op, const struct op_request *request, const struct input_args *args, struct error *error);
    int (*conv)(struct op **op, const struct op_request *request, const struct conv_args *args, struct error *error);
    int (*pool)(struct op **op, const struct op_request *request, const struct pool_args *args, struct error *error);
    int (*linear)(struct op **op, const struct op_request *request, const struct linear_args *args, struct error *error);
    int (*relu)(struct op **op, const struct op_request *request, struct error *error);
    int (*batchnorm)(struct op **op, const struct op_request *request, const struct batchnorm_args *args, struct error *error);
    int (*add)(struct op **op, const struct op_request *request, const struct add_args *args, struct error *error);
    int (*shortcut)(struct op **op, const struct op_request *request, const struct shortcut_args *args, struct error *error);
    int (*concat)(struct op **op, const struct op_request *request, struct error *error);
    int (*dropout)(struct op **op, const struct op_request *request, const struct dropout_args *args, struct error *error);
    int (*lrn)(struct op **op, const struct op_request *request, const struct lrn_args *args, struct error *error);
    int (*loss)(struct op **op, const struct op_request *request, const struct loss_args *args, struct error *error);

    /* ---- tensors ---- */
    void (*accumulate)(struct device *device, const struct tensor *to, const struct tensor *from);        /* to->gradient += from->gradient, same layout */
    int (*result)(struct op *loss, int turn, struct step_result *result, struct error *error);          /* of the last forward of that turn; waits for it */
    void (*tensor_out)(struct device *device, const struct tensor *tensor, bool gradient, float *nchw); /* to [B][C][H][W] in the host's memory, for tests and predict; waits */
    void (*tensor_in)(struct device *device, const struct tensor *tensor, bool gradient, const float *nchw);

    /* ---- flat passes ---- */
    void (*copy)(struct device *device, float *to, const float *from, size_t n); /* between any two places: the device's memory, another's, the host's */
    void (*sgd)(struct device *device, const struct sgd_pass *pass);
    void (*forecast)(struct device *device, const struct sgd_pass *pass); /* p alone, from w (as W') and v: the same bits as sgd writes there */
    void (*local)(struct device *device, const struct local_pass *pass);
    void (*predict)(struct device *device, float *l, const float *p, const float *g, float c, size_t n); /* L = P - c g */
    void (*average)(struct device *device, float *average, const float *values, float rate, size_t n); /* E = E + rate * (values - E), as in sgd */
    /* The sum of the squares of inv_k * (((g_0 + g_1) + ...) + g_{K-1}), that in fp32, the squares in doubles: within each block of 1024 element i is added to partial sum
     * i mod 16, these are added in their order, the blocks' sums in theirs. */
    double (*square_sum)(struct device *device, const float *const *gradients, int k, float inv_k, size_t n); /* waits for it */
};

#endif
