/* Tensors outside a step: in and out as NCHW, for tests and predictions, and the sum of two gradients. */
#include "cpu/dnnl.h"

#include "cpu/bf16.h"

#include <string.h>

static void *memory_of(const struct tensor *tensor, bool gradient) { return gradient ? tensor->gradient : tensor->data; }

/* Both layouts are of the same N, C, H, W, which oneDNN can always reorder. */
static void reorder(const struct onednn *onednn, void *from, const dnnl_memory_desc_t *have, void *to, const dnnl_memory_desc_t *want)
{
    dnnl_primitive_desc_t desc = NULL;
    dnnl_primitive_t primitive = NULL;
    dnnl_memory_t source = NULL, target = NULL;
    if (layouts_agree(have, want)) {
        memcpy(to, from, dnnl_memory_desc_get_size(want));
        return;
    }
    onednn_single_thread();
    ASSERT(dnnl_reorder_primitive_desc_create(&desc, have, onednn->engine, want, onednn->engine, NULL) == dnnl_success);
    ASSERT(dnnl_primitive_create(&primitive, desc) == dnnl_success);
    ASSERT(dnnl_memory_create(&source, have, onednn->engine, from) == dnnl_success);
    ASSERT(dnnl_memory_create(&target, want, onednn->engine, to) == dnnl_success);
    const dnnl_exec_arg_t args[] = { { DNNL_ARG_FROM, source }, { DNNL_ARG_TO, target } };
    ASSERT(dnnl_primitive_execute(primitive, onednn->stream, 2, args) == dnnl_success);
    dnnl_memory_destroy(target);
    dnnl_memory_destroy(source);
    dnnl_primitive_destroy(primitive);
    dnnl_primitive_desc_destroy(desc);
}

void onednn_tensor_out(struct device *device, const struct tensor *tensor, bool gradient, float *nchw)
{
    dnnl_memory_desc_t plain;
    layout_floats(&plain, tensor);
    reorder(device->engine, memory_of(tensor, gradient), tensor_layout(tensor), nchw, &plain);
}

void onednn_tensor_in(struct device *device, const struct tensor *tensor, bool gradient, const float *nchw)
{
    dnnl_memory_desc_t plain;
    layout_floats(&plain, tensor);
    reorder(device->engine, (void *)(uintptr_t)nchw, &plain, memory_of(tensor, gradient), tensor_layout(tensor));
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
