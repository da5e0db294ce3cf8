/* oneDNN's device: an engine and a stream for each worker, one thread each. And the two tables. */
#include "cpu/dnnl.h"

#include "base/door.h"
#include "cpu/cpu.h"

#include <oneapi/dnnl/dnnl_debug.h>
#include <stdio.h>

const char *onednn_version(void)
{
    static _Thread_local char text[32];
    const dnnl_version_t *version = dnnl_version();
    snprintf(text, sizeof text, "%d.%d.%d", version->major, version->minor, version->patch);
    return text;
}

/* OpenMP's own. Declared here, because not every compiler comes with omp.h. */
void omp_set_num_threads(int n);

/* The environment (OMP_NUM_THREADS) is read when libgomp is loaded, before main: too late for a program to set it for itself. */
void onednn_single_thread(void) { omp_set_num_threads(1); }

int onednn_check(dnnl_status_t status, const char *what, struct error *error)
{
    if (status == dnnl_success)
        return 0;
    return fail(error, status == dnnl_out_of_memory ? EXIT_MEMORY : EXIT_DEVICE, "cpu: oneDNN: %s: %s", what,
                dnnl_status2str(status));
}

static void engine_close(struct onednn *onednn)
{
    dnnl_primitive_attr_destroy(onednn->attr);
    dnnl_stream_destroy(onednn->stream);
    dnnl_engine_destroy(onednn->engine);
    door_free(onednn);
}

static int engine_open(struct onednn **onednn, bool nhwc, struct error *error)
{
    void *block = NULL;
    if (door_allocate(&block, sizeof **onednn, "oneDNN's engine", error))
        return -1;
    struct onednn *made = block;
    made->nhwc = nhwc;
    if (onednn_check(dnnl_engine_create(&made->engine, dnnl_cpu, 0), "engine", error)
        || onednn_check(dnnl_stream_create(&made->stream, made->engine, dnnl_stream_default_flags), "stream", error)
        || onednn_check(dnnl_primitive_attr_create(&made->attr), "attributes", error)
        || onednn_check(dnnl_primitive_attr_set_scratchpad_mode(made->attr, dnnl_scratchpad_mode_user), "attributes", error)) {
        engine_close(made);
        return -1;
    }
    *onednn = made;
    return 0;
}

static int open_with(struct device **device, int index, bool nhwc, struct error *error)
{
    struct onednn *onednn = NULL;
    onednn_single_thread();
    /* No cache of primitives: it is all that devices would share, and ThreadSanitizer does not see its locks. Each makes its own once. */
    if (onednn_check(dnnl_set_primitive_cache_capacity(0), "primitive cache", error) || engine_open(&onednn, nhwc, error))
        return -1;
    if (cpu_device_open(device, index, error)) {
        engine_close(onednn);
        return -1;
    }
    (*device)->engine = onednn;
    return 0;
}

/* oneDNN's bf16 kernels want AVX-512; without the bf16 instructions they convert as they go. */
static bool offers(enum precision precision)
{
    return precision == PRECISION_FP32 || (precision == PRECISION_BF16 && (dnnl_get_effective_cpu_isa() & dnnl_cpu_isa_avx512_core) == dnnl_cpu_isa_avx512_core);
}

static int open_blocked(struct device **device, int index, struct error *error) { return open_with(device, index, false, error); }
static int open_nhwc(struct device **device, int index, struct error *error) { return open_with(device, index, true, error); }

static void close_device(struct device *device)
{
    if (device->engine) /* a second order has none */
        engine_close(device->engine);
    cpu_device_close(device);
}

/* No ReLU behind a convolution or a product: oneDNN's makes 0 of a NaN, which must stay visible. */
#define ONEDNN_TABLE(table_name, text, open) \
    { \
        .name = table_name, .help = text, .fusions = { .batchnorm_relu = true }, \
        .offers = offers, .device_open = open, .device_close = close_device, CPU_MEMORY_AND_ORDER, \
        .input = onednn_input, .conv = onednn_conv, .pool = onednn_pool, .linear = onednn_linear, .relu = onednn_relu, \
        .batchnorm = onednn_batchnorm, .add = onednn_add, .shortcut = onednn_shortcut, .concat = onednn_concat, .dropout = onednn_dropout, \
        .lrn = onednn_lrn, .loss = onednn_loss, \
        .accumulate = onednn_accumulate, .result = onednn_result, .tensor_out = onednn_tensor_out, .tensor_in = onednn_tensor_in, \
        .copy = cpu_copy, .sgd = cpu_sgd, .local = cpu_local, .predict = cpu_predict, .average = cpu_average, .square_sum = cpu_square_sum, .forecast = cpu_forecast, \
    }

const struct backend backend_onednn = ONEDNN_TABLE("onednn", "oneDNN, activations as each primitive likes best", open_blocked);
const struct backend backend_onednn_nhwc = ONEDNN_TABLE("onednn-nhwc", "oneDNN, activations in NHWC", open_nhwc);
