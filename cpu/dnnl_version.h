/* Where oneDNN 2 and oneDNN 3 differ: all else in cpu/ is written once. Inside cpu/dnnl*.c only.
 *
 * A memory descriptor is a struct in 2 and an object behind a pointer in 3: here it is a `struct layout`, always behind
 * a pointer, made and freed. A primitive descriptor is made in two calls in 2 and in one in 3: here by describe_...,
 * where every layout is that of the data and of its gradient at once. What describe_... makes is freed by
 * dnnl_primitive_desc_destroy. */
#ifndef CPU_DNNL_VERSION_H
#define CPU_DNNL_VERSION_H

#include <oneapi/dnnl/dnnl.h>
#include <stdbool.h>

struct onednn;

/* ---- layouts ---- */

struct layout; /* never defined in oneDNN 3: a dnnl_memory_desc_t by another name */

dnnl_status_t layout_make(struct layout **made, int rank, const dnnl_dims_t dims, dnnl_data_type_t type,
                          dnnl_format_tag_t tag);
dnnl_status_t layout_copy(struct layout **made, const struct layout *of);
dnnl_status_t layout_part(struct layout **made, const struct layout *whole, const dnnl_dims_t dims,
                          const dnnl_dims_t offset);
void layout_free(struct layout *layout);                            /* accepts NULL */
size_t layout_bytes(const struct layout *layout);                   /* 0 of NULL */
bool layouts_equal(const struct layout *a, const struct layout *b); /* as oneDNN itself compares */

/* What a layout says, in the terms of oneDNN's documentation. Borrowed from the layout. */
struct blocking {
    int rank, n_blocks;
    dnnl_data_type_t type;
    dnnl_dim_t offset;
    const dnnl_dim_t *dims, *padded_dims, *padded_offsets, *strides;
    const dnnl_dim_t *blocks, *blocked_dims; /* [n_blocks], from the outside in */
};

/* False where a layout is not said by strides and blocks alone. */
bool layout_blocking(const struct layout *layout, struct blocking *blocking);

/* What a primitive has chosen for an argument (DNNL_ARG_...), and for its scratchpad. Borrowed from the descriptor. */
const struct layout *layout_of_argument(const_dnnl_primitive_desc_t desc, int arg);
const struct layout *layout_of_scratchpad(const_dnnl_primitive_desc_t desc);

dnnl_status_t memory_make(dnnl_memory_t *memory, const struct onednn *onednn, const struct layout *layout, void *at);

/* ---- primitive descriptors ---- */

/* What slides over an image: rows first, then columns. */
struct window { dnnl_dims_t size, stride, before, after; };

/* Where oneDNN offers several kernels: the first that is not refused, or the last. `summed` is passed on. */
struct wish {
    bool (*refuses)(const char *kernel, int summed);
    int summed;
};

/* Of y = w x + b, a convolution or a product. No bias: NULL. */
struct layouts { const struct layout *x, *w, *bias, *y; };

/* `attr` NULL: the scratchpad is oneDNN's own, allocated when it runs. */
dnnl_status_t describe_reorder(dnnl_primitive_desc_t *made, const struct onednn *onednn,
                               const_dnnl_primitive_attr_t attr, const struct layout *from, const struct layout *to);
dnnl_status_t describe_sum(dnnl_primitive_desc_t *made, const struct onednn *onednn, const struct layout *layout);
/* Along the second dimension. `joined` NULL: as oneDNN likes best. */
dnnl_status_t describe_concat(dnnl_primitive_desc_t *made, const struct onednn *onednn, const struct layout *joined,
                              int n, const struct layout *const *parts);

dnnl_status_t describe_conv(dnnl_primitive_desc_t *made, const struct onednn *onednn, dnnl_prop_kind_t kind,
                            const struct layouts *layouts, const struct window *window, const struct wish *wish);
dnnl_status_t describe_conv_weights(dnnl_primitive_desc_t *made, const struct onednn *onednn,
                                    dnnl_primitive_desc_t hint, const struct layouts *layouts,
                                    const struct window *window);
dnnl_status_t describe_conv_data(dnnl_primitive_desc_t *made, const struct onednn *onednn, dnnl_primitive_desc_t hint,
                                 const struct layouts *layouts, const struct window *window, const struct wish *wish);

dnnl_status_t describe_product(dnnl_primitive_desc_t *made, const struct onednn *onednn, dnnl_prop_kind_t kind,
                               const struct layouts *layouts);
dnnl_status_t describe_product_weights(dnnl_primitive_desc_t *made, const struct onednn *onednn,
                                       dnnl_primitive_desc_t hint, const struct layouts *layouts);
dnnl_status_t describe_product_data(dnnl_primitive_desc_t *made, const struct onednn *onednn,
                                    dnnl_primitive_desc_t hint, const struct layouts *layouts);

/* With a hint, which is what forward was described as, its backward. */
dnnl_status_t describe_pool(dnnl_primitive_desc_t *made, const struct onednn *onednn, dnnl_prop_kind_t kind,
                            dnnl_primitive_desc_t hint, dnnl_alg_kind_t alg, const struct layout *x,
                            const struct layout *y, const struct window *window);
dnnl_status_t describe_batchnorm(dnnl_primitive_desc_t *made, const struct onednn *onednn, dnnl_prop_kind_t kind,
                                 dnnl_primitive_desc_t hint, const struct layout *layout, float epsilon,
                                 unsigned flags);
/* oneDNN 2 counts the shift among the arguments of a batch normalization's backward, and does not read it; 3 takes
 * none. */
enum { BATCHNORM_BACKWARD_TAKES_SHIFT = DNNL_VERSION_MAJOR == 2 };

struct response {
    int size;
    float alpha, beta, k;
};
dnnl_status_t describe_lrn(dnnl_primitive_desc_t *made, const struct onednn *onednn, dnnl_prop_kind_t kind,
                           dnnl_primitive_desc_t hint, const struct layout *layout, const struct response *response);

#endif
