/* Tensors outside a step: in and out as NCHW, for tests and predictions, and the sum of two gradients. */
#include "cpu/dnnl.h"

#include "cpu/bf16.h"

#include <string.h>

static void *memory_of(const struct tensor *tensor, bool gradient) { return gradient ? tensor->gradient : tensor->data; }

/* Both layouts are of the same N, C, H, W, which oneDNN can always reorder. */
static void reorder(const struct onednn *onednn, void *from, const struct layout *have, void *to,
                    const struct layout *want)
{
    dnnl_primitive_desc_t desc = NULL;
    dnnl_primitive_t primitive = NULL;
    dnnl_memory_t source = NULL, target = NULL;
    onednn_single_thread();
    ASSERT(describe_reorder(&desc, onednn, NULL, have, want) == dnnl_success);
    ASSERT(dnnl_primitive_create(&primitive, desc) == dnnl_success);
    ASSERT(memory_make(&source, onednn, have, from) == dnnl_success);
    ASSERT(memory_make(&target, onednn, want, to) == dnnl_success);
    const dnnl_exec_arg_t args[] = { { DNNL_ARG_FROM, source }, { DNNL_ARG_TO, target } };
    ASSERT(dnnl_primitive_execute(primitive, onednn->stream, 2, args) == dnnl_success);
    dnnl_memory_destroy(target);
    dnnl_memory_destroy(source);
    dnnl_primitive_destroy(primitive);
    dnnl_primitive_desc_destroy(desc);
}

/* Logits are floats already, and are copied without an allocation. */
void onednn_tensor_out(struct device *device, const struct tensor *tensor, bool gradient, float *nchw)
{
    const struct layout *layout = tensor_layout(tensor);
    struct layout *plain = NULL;
    if (layout_is_floats(layout)) {
        memcpy(nchw, memory_of(tensor, gradient), layout_bytes(layout));
        return;
    }
    ASSERT(layout_of_floats(&plain, tensor) == dnnl_success);
    reorder(device->engine, memory_of(tensor, gradient), layout, nchw, plain);
    layout_free(plain);
}

void onednn_tensor_in(struct device *device, const struct tensor *tensor, bool gradient, const float *nchw)
{
    const struct layout *layout = tensor_layout(tensor);
    struct layout *plain = NULL;
    if (layout_is_floats(layout)) {
        memcpy(memory_of(tensor, gradient), nchw, layout_bytes(layout));
        return;
    }
    ASSERT(layout_of_floats(&plain, tensor) == dnnl_success);
    reorder(device->engine, (void *)(uintptr_t)nchw, plain, memory_of(tensor, gradient), layout);
    layout_free(plain);
}

static void add_floats(float *restrict sum, const float *restrict more, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sum[i] += more[i];
}

static void add_bf16(uint16_t *restrict sum, const uint16_t *restrict more, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sum[i] = bf16_narrow(bf16_widen(sum[i]) + bf16_widen(more[i]));
}

void onednn_accumulate(struct device *device, const struct tensor *to, const struct tensor *from)
{
    (void)device;
    if (to->precision == PRECISION_BF16)
        add_bf16(to->gradient, from->gradient, element_count(to));
    else
        add_floats(to->gradient, from->gradient, element_count(to));
}
