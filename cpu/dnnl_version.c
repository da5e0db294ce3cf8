/* The one file that knows which oneDNN it is compiled for. */
#include "cpu/dnnl_version.h"

#include "base/door.h"
#include "base/error.h"
#include "cpu/dnnl.h"

#include <string.h>

static bool refused(const struct wish *wish, const_dnnl_primitive_desc_t desc)
{
    const char *kernel = "";
    return wish && dnnl_primitive_desc_query(desc, dnnl_query_impl_info_str, 0, &kernel) == dnnl_success &&
           wish->refuses(kernel, wish->summed);
}

#if DNNL_VERSION_MAJOR == 2

struct layout { dnnl_memory_desc_t desc; };

static const dnnl_memory_desc_t *desc_of(const struct layout *layout) { return layout ? &layout->desc : NULL; }

/* `status` is that of filling `desc`. */
static dnnl_status_t keep(struct layout **made, dnnl_status_t status, const dnnl_memory_desc_t *desc)
{
    struct error error = { 0 };
    void *block = NULL;
    if (status != dnnl_success)
        return status;
    if (door_allocate(&block, sizeof **made, "a layout of oneDNN", &error))
        return dnnl_out_of_memory;
    *made = block;
    (*made)->desc = *desc;
    return dnnl_success;
}

dnnl_status_t layout_make(struct layout **made, int rank, const dnnl_dims_t dims, dnnl_data_type_t type,
                          dnnl_format_tag_t tag)
{
    dnnl_memory_desc_t desc;
    dnnl_status_t status = dnnl_memory_desc_init_by_tag(&desc, rank, dims, type, tag);
    return keep(made, status, &desc);
}

dnnl_status_t layout_copy(struct layout **made, const struct layout *of) { return keep(made, dnnl_success, &of->desc); }

dnnl_status_t layout_part(struct layout **made, const struct layout *whole, const dnnl_dims_t dims,
                          const dnnl_dims_t offset)
{
    dnnl_memory_desc_t desc;
    dnnl_status_t status = dnnl_memory_desc_init_submemory(&desc, &whole->desc, dims, offset);
    return keep(made, status, &desc);
}

void layout_free(struct layout *layout) { door_free(layout); }

bool layout_blocking(const struct layout *layout, struct blocking *b)
{
    const dnnl_memory_desc_t *desc = &layout->desc;
    const dnnl_blocking_desc_t *blocks = &desc->format_desc.blocking;
    *b = (struct blocking){
        desc->ndims,       blocks->inner_nblks,  desc->data_type, desc->offset0,      desc->dims,
        desc->padded_dims, desc->padded_offsets, blocks->strides, blocks->inner_blks, blocks->inner_idxs,
    };
    return desc->format_kind == dnnl_blocked && desc->extra.flags == dnnl_memory_extra_flag_none;
}

/* In 2 a struct layout holds the descriptor and nothing else, so a descriptor that oneDNN owns can be read as one. */
static const struct layout *borrowed(const dnnl_memory_desc_t *desc) { return (const struct layout *)desc; }

static dnnl_status_t describe(dnnl_primitive_desc_t *made, const struct onednn *onednn, dnnl_status_t status,
                              const void *desc, dnnl_primitive_desc_t hint)
{
    return status == dnnl_success ? dnnl_primitive_desc_create(made, desc, onednn->attr, onednn->engine, hint) : status;
}

static dnnl_status_t choose(dnnl_primitive_desc_t *made, const struct onednn *onednn, dnnl_status_t status,
                            const void *desc, dnnl_primitive_desc_t hint, const struct wish *wish)
{
    dnnl_primitive_desc_iterator_t offers = NULL;
    if (status != dnnl_success || (status = dnnl_primitive_desc_iterator_create(&offers, desc, onednn->attr,
                                                                                onednn->engine, hint)) != dnnl_success)
        return status;
    for (;;) {
        *made = dnnl_primitive_desc_iterator_fetch(offers);
        if (!refused(wish, *made) || dnnl_primitive_desc_iterator_next(offers) != dnnl_success)
            return dnnl_primitive_desc_iterator_destroy(offers);
        dnnl_primitive_desc_destroy(*made);
    }
}

dnnl_status_t describe_concat(dnnl_primitive_desc_t *made, const struct onednn *onednn, const struct layout *joined,
                              int n, const struct layout *const *parts)
{
    dnnl_memory_desc_t descs[NODE_INPUTS];
    for (int i = 0; i < n; i++)
        descs[i] = parts[i]->desc;
    return dnnl_concat_primitive_desc_create(made, desc_of(joined), n, 1, descs, onednn->attr, onednn->engine);
}

dnnl_status_t describe_sum(dnnl_primitive_desc_t *made, const struct onednn *onednn, const struct layout *layout)
{
    dnnl_binary_desc_t desc;
    dnnl_status_t status = dnnl_binary_desc_init(&desc, dnnl_binary_add, &layout->desc, &layout->desc, &layout->desc);
    return describe(made, onednn, status, &desc, NULL);
}

dnnl_status_t describe_conv(dnnl_primitive_desc_t *made, const struct onednn *onednn, dnnl_prop_kind_t kind,
                            const struct layouts *l, const struct window *w, const struct wish *wish)
{
    dnnl_convolution_desc_t desc;
    dnnl_status_t status =
        dnnl_convolution_forward_desc_init(&desc, kind, dnnl_convolution_auto, &l->x->desc, &l->w->desc,
                                           desc_of(l->bias), &l->y->desc, w->stride, w->before, w->after);
    return choose(made, onednn, status, &desc, NULL, wish);
}

dnnl_status_t describe_conv_weights(dnnl_primitive_desc_t *made, const struct onednn *onednn,
                                    dnnl_primitive_desc_t hint, const struct layouts *l, const struct window *w)
{
    dnnl_convolution_desc_t desc;
    dnnl_status_t status =
        dnnl_convolution_backward_weights_desc_init(&desc, dnnl_convolution_auto, &l->x->desc, &l->w->desc,
                                                    desc_of(l->bias), &l->y->desc, w->stride, w->before, w->after);
    return describe(made, onednn, status, &desc, hint);
}

dnnl_status_t describe_conv_data(dnnl_primitive_desc_t *made, const struct onednn *onednn, dnnl_primitive_desc_t hint,
                                 const struct layouts *l, const struct window *w, const struct wish *wish)
{
    dnnl_convolution_desc_t desc;
    dnnl_status_t status = dnnl_convolution_backward_data_desc_init(
        &desc, dnnl_convolution_auto, &l->x->desc, &l->w->desc, &l->y->desc, w->stride, w->before, w->after);
    return choose(made, onednn, status, &desc, hint, wish);
}

dnnl_status_t describe_product(dnnl_primitive_desc_t *made, const struct onednn *onednn, dnnl_prop_kind_t kind,
                               const struct layouts *l)
{
    dnnl_inner_product_desc_t desc;
    dnnl_status_t status =
        dnnl_inner_product_forward_desc_init(&desc, kind, &l->x->desc, &l->w->desc, desc_of(l->bias), &l->y->desc);
    return describe(made, onednn, status, &desc, NULL);
}

dnnl_status_t describe_product_weights(dnnl_primitive_desc_t *made, const struct onednn *onednn,
                                       dnnl_primitive_desc_t hint, const struct layouts *l)
{
    dnnl_inner_product_desc_t desc;
    dnnl_status_t status =
        dnnl_inner_product_backward_weights_desc_init(&desc, &l->x->desc, &l->w->desc, desc_of(l->bias), &l->y->desc);
    return describe(made, onednn, status, &desc, hint);
}

dnnl_status_t describe_product_data(dnnl_primitive_desc_t *made, const struct onednn *onednn,
                                    dnnl_primitive_desc_t hint, const struct layouts *l)
{
    dnnl_inner_product_desc_t desc;
    dnnl_status_t status = dnnl_inner_product_backward_data_desc_init(&desc, &l->x->desc, &l->w->desc, &l->y->desc);
    return describe(made, onednn, status, &desc, hint);
}

dnnl_status_t describe_pool(dnnl_primitive_desc_t *made, const struct onednn *onednn, dnnl_prop_kind_t kind,
                            dnnl_primitive_desc_t hint, dnnl_alg_kind_t alg, const struct layout *x,
                            const struct layout *y, const struct window *w)
{
    dnnl_pooling_desc_t desc;
    dnnl_status_t status =
        hint ? dnnl_pooling_backward_desc_init(&desc, alg, &x->desc, &y->desc, w->stride, w->size, w->before, w->after)
             : dnnl_pooling_forward_desc_init(&desc, kind, alg, &x->desc, &y->desc, w->stride, w->size, w->before,
                                              w->after);
    return describe(made, onednn, status, &desc, hint);
}

dnnl_status_t describe_batchnorm(dnnl_primitive_desc_t *made, const struct onednn *onednn, dnnl_prop_kind_t kind,
                                 dnnl_primitive_desc_t hint, const struct layout *layout, float epsilon, unsigned flags)
{
    const dnnl_memory_desc_t *l = &layout->desc;
    dnnl_batch_normalization_desc_t desc;
    dnnl_status_t status = hint ? dnnl_batch_normalization_backward_desc_init(&desc, kind, l, l, epsilon, flags)
                                : dnnl_batch_normalization_forward_desc_init(&desc, kind, l, epsilon, flags);
    return describe(made, onednn, status, &desc, hint);
}

dnnl_status_t describe_lrn(dnnl_primitive_desc_t *made, const struct onednn *onednn, dnnl_prop_kind_t kind,
                           dnnl_primitive_desc_t hint, const struct layout *layout, const struct response *r)
{
    const dnnl_memory_desc_t *l = &layout->desc;
    dnnl_lrn_desc_t desc;
    dnnl_status_t status =
        hint ? dnnl_lrn_backward_desc_init(&desc, dnnl_lrn_across_channels, l, l, r->size, r->alpha, r->beta, r->k)
             : dnnl_lrn_forward_desc_init(&desc, kind, dnnl_lrn_across_channels, l, r->size, r->alpha, r->beta, r->k);
    return describe(made, onednn, status, &desc, hint);
}

#elif DNNL_VERSION_MAJOR == 3

static const_dnnl_memory_desc_t desc_of(const struct layout *layout) { return (const_dnnl_memory_desc_t)layout; }
static const struct layout *borrowed(const_dnnl_memory_desc_t desc) { return (const struct layout *)desc; }

/* `status` is that of making `desc`. */
static dnnl_status_t keep(struct layout **made, dnnl_status_t status, dnnl_memory_desc_t desc)
{
    if (status == dnnl_success)
        *made = (struct layout *)desc;
    return status;
}

dnnl_status_t layout_make(struct layout **made, int rank, const dnnl_dims_t dims, dnnl_data_type_t type,
                          dnnl_format_tag_t tag)
{
    dnnl_memory_desc_t desc = NULL;
    dnnl_status_t status = dnnl_memory_desc_create_with_tag(&desc, rank, dims, type, tag);
    return keep(made, status, desc);
}

dnnl_status_t layout_copy(struct layout **made, const struct layout *of)
{
    dnnl_memory_desc_t desc = NULL;
    dnnl_status_t status = dnnl_memory_desc_clone(&desc, desc_of(of));
    return keep(made, status, desc);
}

dnnl_status_t layout_part(struct layout **made, const struct layout *whole, const dnnl_dims_t dims,
                          const dnnl_dims_t offset)
{
    dnnl_memory_desc_t desc = NULL;
    dnnl_status_t status = dnnl_memory_desc_create_submemory(&desc, desc_of(whole), dims, offset);
    return keep(made, status, desc);
}

void layout_free(struct layout *layout)
{
    if (layout)
        dnnl_memory_desc_destroy((dnnl_memory_desc_t)layout);
}

/* 3 does not tell of a layout's extra flags. Only 8-bit weights have any. */
bool layout_blocking(const struct layout *layout, struct blocking *b)
{
    const struct {
        dnnl_query_t what;
        void *to;
    } queries[] = {
        { dnnl_query_ndims_s32, &b->rank },
        { dnnl_query_data_type, &b->type },
        { dnnl_query_submemory_offset_s64, &b->offset },
        { dnnl_query_dims, &b->dims },
        { dnnl_query_padded_dims, &b->padded_dims },
        { dnnl_query_padded_offsets, &b->padded_offsets },
        { dnnl_query_strides, &b->strides },
        { dnnl_query_inner_nblks_s32, &b->n_blocks },
        { dnnl_query_inner_blks, &b->blocks },
        { dnnl_query_inner_idxs, &b->blocked_dims },
    };
    dnnl_format_kind_t kind = dnnl_format_kind_undef;
    if (dnnl_memory_desc_query(desc_of(layout), dnnl_query_format_kind, &kind) != dnnl_success || kind != dnnl_blocked)
        return false;
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++)
        if (dnnl_memory_desc_query(desc_of(layout), queries[i].what, queries[i].to) != dnnl_success)
            return false;
    return b->type == dnnl_f32 || b->type == dnnl_bf16;
}

/* `status` is that of making the first offer. */
static dnnl_status_t choose(const dnnl_primitive_desc_t *made, dnnl_status_t status, const struct wish *wish)
{
    if (status == dnnl_success)
        while (refused(wish, *made) && dnnl_primitive_desc_next_impl(*made) == dnnl_success)
            continue;
    return status;
}

dnnl_status_t describe_concat(dnnl_primitive_desc_t *made, const struct onednn *onednn, const struct layout *joined,
                              int n, const struct layout *const *parts)
{
    const_dnnl_memory_desc_t descs[NODE_INPUTS];
    for (int i = 0; i < n; i++)
        descs[i] = desc_of(parts[i]);
    return dnnl_concat_primitive_desc_create(made, onednn->engine, desc_of(joined), n, 1, descs, onednn->attr);
}

dnnl_status_t describe_sum(dnnl_primitive_desc_t *made, const struct onednn *onednn, const struct layout *layout)
{
    const_dnnl_memory_desc_t l = desc_of(layout);
    return dnnl_binary_primitive_desc_create(made, onednn->engine, dnnl_binary_add, l, l, l, onednn->attr);
}

static const dnnl_dims_t dense = { 0 }; /* no dilation */

dnnl_status_t describe_conv(dnnl_primitive_desc_t *made, const struct onednn *onednn, dnnl_prop_kind_t kind,
                            const struct layouts *l, const struct window *w, const struct wish *wish)
{
    dnnl_status_t status = dnnl_convolution_forward_primitive_desc_create(
        made, onednn->engine, kind, dnnl_convolution_auto, desc_of(l->x), desc_of(l->w), desc_of(l->bias),
        desc_of(l->y), w->stride, dense, w->before, w->after, onednn->attr);
    return choose(made, status, wish);
}

dnnl_status_t describe_conv_weights(dnnl_primitive_desc_t *made, const struct onednn *onednn,
                                    dnnl_primitive_desc_t hint, const struct layouts *l, const struct window *w)
{
    return dnnl_convolution_backward_weights_primitive_desc_create(
        made, onednn->engine, dnnl_convolution_auto, desc_of(l->x), desc_of(l->w), desc_of(l->bias), desc_of(l->y),
        w->stride, dense, w->before, w->after, hint, onednn->attr);
}

dnnl_status_t describe_conv_data(dnnl_primitive_desc_t *made, const struct onednn *onednn, dnnl_primitive_desc_t hint,
                                 const struct layouts *l, const struct window *w, const struct wish *wish)
{
    dnnl_status_t status = dnnl_convolution_backward_data_primitive_desc_create(
        made, onednn->engine, dnnl_convolution_auto, desc_of(l->x), desc_of(l->w), desc_of(l->y), w->stride, dense,
        w->before, w->after, hint, onednn->attr);
    return choose(made, status, wish);
}

dnnl_status_t describe_product(dnnl_primitive_desc_t *made, const struct onednn *onednn, dnnl_prop_kind_t kind,
                               const struct layouts *l)
{
    return dnnl_inner_product_forward_primitive_desc_create(made, onednn->engine, kind, desc_of(l->x), desc_of(l->w),
                                                            desc_of(l->bias), desc_of(l->y), onednn->attr);
}

dnnl_status_t describe_product_weights(dnnl_primitive_desc_t *made, const struct onednn *onednn,
                                       dnnl_primitive_desc_t hint, const struct layouts *l)
{
    return dnnl_inner_product_backward_weights_primitive_desc_create(
        made, onednn->engine, desc_of(l->x), desc_of(l->w), desc_of(l->bias), desc_of(l->y), hint, onednn->attr);
}

dnnl_status_t describe_product_data(dnnl_primitive_desc_t *made, const struct onednn *onednn,
                                    dnnl_primitive_desc_t hint, const struct layouts *l)
{
    return dnnl_inner_product_backward_data_primitive_desc_create(made, onednn->engine, desc_of(l->x), desc_of(l->w),
                                                                  desc_of(l->y), hint, onednn->attr);
}

dnnl_status_t describe_pool(dnnl_primitive_desc_t *made, const struct onednn *onednn, dnnl_prop_kind_t kind,
                            dnnl_primitive_desc_t hint, dnnl_alg_kind_t alg, const struct layout *x,
                            const struct layout *y, const struct window *w)
{
    const_dnnl_memory_desc_t from = desc_of(x), to = desc_of(y);
    return hint ? dnnl_pooling_backward_primitive_desc_create(made, onednn->engine, alg, from, to, w->stride, w->size,
                                                              dense, w->before, w->after, hint, onednn->attr)
                : dnnl_pooling_forward_primitive_desc_create(made, onednn->engine, kind, alg, from, to, w->stride,
                                                             w->size, dense, w->before, w->after, onednn->attr);
}

dnnl_status_t describe_batchnorm(dnnl_primitive_desc_t *made, const struct onednn *onednn, dnnl_prop_kind_t kind,
                                 dnnl_primitive_desc_t hint, const struct layout *layout, float epsilon, unsigned flags)
{
    const_dnnl_memory_desc_t l = desc_of(layout);
    return hint ? dnnl_batch_normalization_backward_primitive_desc_create(made, onednn->engine, kind, l, l, l, epsilon,
                                                                          flags, hint, onednn->attr)
                : dnnl_batch_normalization_forward_primitive_desc_create(made, onednn->engine, kind, l, l, epsilon,
                                                                         flags, onednn->attr);
}

dnnl_status_t describe_lrn(dnnl_primitive_desc_t *made, const struct onednn *onednn, dnnl_prop_kind_t kind,
                           dnnl_primitive_desc_t hint, const struct layout *layout, const struct response *r)
{
    const_dnnl_memory_desc_t l = desc_of(layout);
    const dnnl_alg_kind_t across = dnnl_lrn_across_channels;
    return hint ? dnnl_lrn_backward_primitive_desc_create(made, onednn->engine, across, l, l, l, r->size, r->alpha,
                                                          r->beta, r->k, hint, onednn->attr)
                : dnnl_lrn_forward_primitive_desc_create(made, onednn->engine, kind, across, l, l, r->size, r->alpha,
                                                         r->beta, r->k, onednn->attr);
}

#else
#error "written for oneDNN 2 and oneDNN 3"
#endif

size_t layout_bytes(const struct layout *layout) { return layout ? dnnl_memory_desc_get_size(desc_of(layout)) : 0; }
bool layouts_equal(const struct layout *a, const struct layout *b)
{
    return dnnl_memory_desc_equal(desc_of(a), desc_of(b));
}

const struct layout *layout_of_argument(const_dnnl_primitive_desc_t desc, int arg)
{
    return borrowed(dnnl_primitive_desc_query_md(desc, dnnl_query_exec_arg_md, arg));
}

const struct layout *layout_of_scratchpad(const_dnnl_primitive_desc_t desc)
{
    return borrowed(dnnl_primitive_desc_query_md(desc, dnnl_query_scratchpad_md, 0));
}

dnnl_status_t memory_make(dnnl_memory_t *memory, const struct onednn *onednn, const struct layout *layout, void *at)
{
    return dnnl_memory_create(memory, desc_of(layout), onednn->engine, at);
}

dnnl_status_t describe_reorder(dnnl_primitive_desc_t *made, const struct onednn *onednn,
                               const_dnnl_primitive_attr_t attr, const struct layout *from, const struct layout *to)
{
    return dnnl_reorder_primitive_desc_create(made, desc_of(from), onednn->engine, desc_of(to), onednn->engine, attr);
}
