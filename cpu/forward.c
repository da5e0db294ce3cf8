/* `lanes` and the flat passes of every CPU backend, as the rest of the program knows them: each call goes on to the
 * table of the instruction set that is chosen (isa.h). An operation that was made keeps its calls, and does not come by
 * here. */
#include "cpu/cpu.h"
#include "cpu/device.h"
#include "cpu/isa.h"

static const struct backend *lanes(void) { return isa_lanes(isa_chosen()); }

#define CONSTRUCTOR(name) \
    static int name(struct op **op, const struct op_request *request, const struct name##_args *args, \
                    struct error *error) \
    { \
        return lanes()->name(op, request, args, error); \
    }
#define CONSTRUCTOR_WITHOUT_ARGUMENTS(name) \
    static int name(struct op **op, const struct op_request *request, struct error *error) \
    { \
        return lanes()->name(op, request, error); \
    }

CONSTRUCTOR(input)
CONSTRUCTOR(conv)
CONSTRUCTOR(pool)
CONSTRUCTOR(linear)
CONSTRUCTOR_WITHOUT_ARGUMENTS(relu)
CONSTRUCTOR(batchnorm)
CONSTRUCTOR(add)
CONSTRUCTOR(shortcut)
CONSTRUCTOR_WITHOUT_ARGUMENTS(concat)
CONSTRUCTOR(dropout)
CONSTRUCTOR(lrn)
CONSTRUCTOR(loss)

static bool offers(enum precision precision) { return lanes()->offers(precision); }

static void accumulate(struct device *device, const struct tensor *to, const struct tensor *from)
{
    lanes()->accumulate(device, to, from);
}

static int result(struct op *op, int turn, struct step_result *found, struct error *error)
{
    return lanes()->result(op, turn, found, error);
}

static void tensor_out(struct device *device, const struct tensor *tensor, bool gradient, float *nchw)
{
    lanes()->tensor_out(device, tensor, gradient, nchw);
}

static void tensor_in(struct device *device, const struct tensor *tensor, bool gradient, const float *nchw)
{
    lanes()->tensor_in(device, tensor, gradient, nchw);
}

/* What is no call stands here as it does in each of the tables; tests/test_isa.c compares. */
const struct backend backend_lanes = {
    .name = "lanes",
    .help = "own kernels, samples side by side in a vector",
    .fusions = { .conv_relu = true, .conv_pool = true, .linear_relu = true, .batchnorm_add = true,
                 .batchnorm_relu = true, .add_relu = true },
    .offers = offers,
    .device_open = cpu_device_open,
    .device_close = cpu_device_close,
    CPU_MEMORY_AND_ORDER,
    .input = input,
    .conv = conv,
    .pool = pool,
    .linear = linear,
    .relu = relu,
    .batchnorm = batchnorm,
    .add = add,
    .shortcut = shortcut,
    .concat = concat,
    .dropout = dropout,
    .lrn = lrn,
    .loss = loss,
    .accumulate = accumulate,
    .result = result,
    .tensor_out = tensor_out,
    .tensor_in = tensor_in,
    .copy = cpu_copy,
    .sgd = cpu_sgd,
    .forecast = cpu_forecast,
    .local = cpu_local,
    .predict = cpu_predict,
    .average = cpu_average,
    .square_sum = cpu_square_sum,
};

/* ---- flat passes: in any table these are flat.c's of its instruction set ---- */

void cpu_sgd(struct device *device, const struct sgd_pass *pass) { lanes()->sgd(device, pass); }
void cpu_forecast(struct device *device, const struct sgd_pass *pass) { lanes()->forecast(device, pass); }
void cpu_local(struct device *device, const struct local_pass *pass) { lanes()->local(device, pass); }

void cpu_predict(struct device *device, float *l, const float *p, const float *g, float c, size_t n)
{
    lanes()->predict(device, l, p, g, c, n);
}

void cpu_average(struct device *device, float *average, const float *values, float rate, size_t n)
{
    lanes()->average(device, average, values, rate, n);
}

double cpu_square_sum(struct device *device, const float *const *gradients, int k, float inv_k, size_t n)
{
    return lanes()->square_sum(device, gradients, k, inv_k, n);
}
