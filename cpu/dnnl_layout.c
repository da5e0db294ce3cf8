/* Layouts of activations: when two of them mean the same, the one of other elements, and how one is walked. */
#include "cpu/dnnl.h"

dnnl_status_t layout_of_floats(struct layout **made, const struct tensor *tensor)
{
    const dnnl_dims_t dims = { tensor->batch, tensor->shape.c, tensor->shape.h, tensor->shape.w };
    return layout_make(made, 4, dims, dnnl_f32, dnnl_nchw);
}

/* oneDNN 3 has no call that changes the type of a layout's elements, so the layout is looked for among those that its
 * kernels choose from. */
dnnl_status_t layout_of_floats_alike(struct layout **made, const struct tensor *tensor)
{
    static const dnnl_format_tag_t tags[] = { dnnl_nchw, dnnl_nhwc, dnnl_nChw16c, dnnl_nChw8c, dnnl_nChw4c };
    const dnnl_dims_t dims = { tensor->batch, tensor->shape.c, tensor->shape.h, tensor->shape.w };
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) {
        struct layout *like = NULL;
        dnnl_status_t status = layout_make(&like, 4, dims, element_type(tensor->precision), tags[i]);
        bool found = status == dnnl_success && layouts_agree(like, tensor_layout(tensor));
        layout_free(like);
        if (status != dnnl_success || found)
            return found ? layout_make(made, 4, dims, dnnl_f32, tags[i]) : status;
    }
    return dnnl_unimplemented;
}

/* Blocked in the same way? */
static bool blocks_agree(const struct blocking *a, const struct blocking *b)
{
    if (a->n_blocks != b->n_blocks)
        return false;
    for (int i = 0; i < a->n_blocks; i++)
        if (a->blocks[i] != b->blocks[i] || a->blocked_dims[i] != b->blocked_dims[i])
            return false;
    return true;
}

/* oneDNN's own comparison tells NCHW from NHWC even where H = W = 1; a stride over a dimension of one means nothing. */
bool layouts_agree(const struct layout *first, const struct layout *second)
{
    struct blocking a, b;
    if (layouts_equal(first, second))
        return true;
    if (!layout_blocking(first, &a) || !layout_blocking(second, &b))
        return false;
    if (a.rank != b.rank || a.type != b.type || a.offset != b.offset || !blocks_agree(&a, &b))
        return false;
    for (int i = 0; i < a.rank; i++) {
        if (a.dims[i] != b.dims[i] || a.padded_dims[i] != b.padded_dims[i] ||
            a.padded_offsets[i] != b.padded_offsets[i])
            return false;
        if (a.padded_dims[i] > 1 && a.strides[i] != b.strides[i])
            return false;
    }
    return true;
}

bool layout_is_floats(const struct layout *layout)
{
    struct blocking b;
    dnnl_dim_t step = 1;
    if (!layout_blocking(layout, &b) || b.type != dnnl_f32 || b.offset != 0 || b.n_blocks > 0)
        return false;
    for (int i = b.rank - 1; i >= 0; i--) {
        if (b.padded_dims[i] != b.dims[i] || (b.dims[i] > 1 && b.strides[i] != step))
            return false;
        step *= b.dims[i];
    }
    return true;
}

bool layout_walk(const struct layout *layout, struct walk *walk)
{
    struct blocking b;
    if (!layout_blocking(layout, &b) || b.rank != 4 || b.offset != 0 || b.n_blocks > 1 ||
        (b.n_blocks == 1 && b.blocked_dims[0] != 1))
        return false;
    *walk = (struct walk){ (size_t)b.strides[0], (size_t)b.strides[1], (size_t)b.strides[2], (size_t)b.strides[3],
                           b.n_blocks ? (int)b.blocks[0] : 1 };
    return true;
}
