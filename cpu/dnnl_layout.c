/* oneDNN's memory descriptors: plain ones, and when two of them mean the same. */
#include "cpu/dnnl.h"

void layout_plain(dnnl_memory_desc_t *layout, int rank, const dnnl_dims_t dims)
{
    static const dnnl_format_tag_t tags[] = { dnnl_format_tag_undef, dnnl_a, dnnl_ab, dnnl_abc, dnnl_abcd };
    ASSERT(rank >= 1 && rank <= 4);
    ASSERT(dnnl_memory_desc_init_by_tag(layout, rank, dims, dnnl_f32, tags[rank]) == dnnl_success);
}

void layout_activation(dnnl_memory_desc_t *layout, const struct tensor *tensor, dnnl_format_tag_t tag)
{
    const dnnl_dims_t dims = { tensor->batch, tensor->shape.c, tensor->shape.h, tensor->shape.w };
    ASSERT(dnnl_memory_desc_init_by_tag(layout, 4, dims, element_type(tensor->precision), tag) == dnnl_success);
}

void layout_floats(dnnl_memory_desc_t *layout, const struct tensor *tensor)
{
    layout_plain(layout, 4, (const dnnl_dims_t){ tensor->batch, tensor->shape.c, tensor->shape.h, tensor->shape.w });
}

/* Blocked in the same way? The innermost blocks, from the outside in. */
static bool blocks_agree(const dnnl_blocking_desc_t *a, const dnnl_blocking_desc_t *b)
{
    if (a->inner_nblks != b->inner_nblks)
        return false;
    for (int i = 0; i < a->inner_nblks; i++)
        if (a->inner_blks[i] != b->inner_blks[i] || a->inner_idxs[i] != b->inner_idxs[i])
            return false;
    return true;
}

/* oneDNN's own comparison tells NCHW from NHWC even where H = W = 1; a stride over a dimension of one means nothing. */
bool layouts_agree(const dnnl_memory_desc_t *a, const dnnl_memory_desc_t *b)
{
    if (dnnl_memory_desc_equal(a, b))
        return true;
    if (a->ndims != b->ndims || a->data_type != b->data_type || a->format_kind != dnnl_blocked || b->format_kind != dnnl_blocked)
        return false;
    if (a->offset0 != b->offset0 || a->extra.flags != b->extra.flags || !blocks_agree(&a->format_desc.blocking, &b->format_desc.blocking))
        return false;
    for (int i = 0; i < a->ndims; i++) {
        if (a->dims[i] != b->dims[i] || a->padded_dims[i] != b->padded_dims[i] || a->padded_offsets[i] != b->padded_offsets[i])
            return false;
        if (a->padded_dims[i] > 1 && a->format_desc.blocking.strides[i] != b->format_desc.blocking.strides[i])
            return false;
    }
    return true;
}
