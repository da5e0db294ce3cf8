/* Tensors outside a step: in and out as NCHW, for tests and predictions, and the sum of two gradients. */
#include "cpu/dnnl.h"

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
    layout_activation(&plain, tensor->shape, tensor->batch, dnnl_nchw);
    reorder(device->engine, memory_of(tensor, gradient), tensor_layout(tensor), nchw, &plain);
}

void onednn_tensor_in(struct device *device, const struct tensor *tensor, bool gradient, const float *nchw)
{
    dnnl_memory_desc_t plain;
    layout_activation(&plain, tensor->shape, tensor->batch, dnnl_nchw);
    reorder(device->engine, (void *)(uintptr_t)nchw, &plain, memory_of(tensor, gradient), tensor_layout(tensor));
}

void onednn_accumulate(struct device *device, const struct tensor *to, const struct tensor *from)
{
    float *restrict sum = to->gradient;
    const float *restrict more = from->gradient;
    size_t n = to->bytes / sizeof(float);
    (void)device;
    for (size_t i = 0; i < n; i++)
        sum[i] += more[i];
}
