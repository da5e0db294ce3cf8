/* The shortcut without parameters: a reorder between the output's middle channels, which are a part of its memory, and the input's rows and columns that
 * are taken, which are its memory with longer strides. What no reorder writes is cleared first. */
#include "cpu/dnnl.h"

#include <string.h>

struct shortcut {
    struct onednn_op op;
    const struct tensor *x, *y;
};

static int forward(struct op *op, const struct step *step, struct error *error)
{
    const struct shortcut *self = (const struct shortcut *)op;
    memset(self->y->data, 0, self->y->bytes);
    return onednn_forward(op, step, error);
}

static int backward(struct op *op, const struct step *step, struct error *error)
{
    const struct shortcut *self = (const struct shortcut *)op;
    if (!self->x->gradient)
        return 0;
    memset(self->x->gradient, 0, self->x->bytes);
    return onednn_backward(op, step, error);
}

/* Every stride-th row and column. */
static void sample(dnnl_memory_desc_t *part, const dnnl_memory_desc_t *whole, struct shape out, int stride)
{
    const int sides[2] = { out.h, out.w };
    ASSERT(whole->format_kind == dnnl_blocked);
    *part = *whole;
    for (int i = 0; i < 2; i++) {
        part->dims[2 + i] = part->padded_dims[2 + i] = sides[i];
        part->format_desc.blocking.strides[2 + i] *= stride;
    }
}

/* The input's layout where the channels taken begin and end on its blocks, otherwise NHWC, which any range of channels is a part of. */
static void choose_layout(dnnl_memory_desc_t *layout, const struct build *build, const struct tensor *x, int front)
{
    const dnnl_memory_desc_t *like = tensor_layout(x);
    const dnnl_blocking_desc_t *blocking = &like->format_desc.blocking;
    const bool sixteens = blocking->inner_nblks == 1 && blocking->inner_idxs[0] == 1 && blocking->inner_blks[0] == 16;
    const bool fits = sixteens && x->shape.c % 16 == 0 && front % 16 == 0;
    layout_activation(layout, build->request->output, fits ? dnnl_nChw16c : dnnl_nhwc);
}

int onednn_shortcut(struct op **op, const struct op_request *request, const struct shortcut_args *args, struct error *error)
{
    static const struct op_calls calls = { .forward = forward, .backward = backward, .free = onednn_free };
    struct build build;
    dnnl_memory_desc_t taken, middle;
    if (build_begin(&build, sizeof(struct shortcut), request, error))
        return -1;
    struct shortcut *self = (struct shortcut *)build.op;
    const struct tensor *x = self->x = request->inputs[0], *y = self->y = request->output;
    const int front = shortcut_front(x->shape.c, y->shape.c);
    choose_layout(&self->op.layout, &build, x, front);
    sample(&taken, tensor_layout(x), y->shape, args->stride);
    dnnl_status_t status = dnnl_memory_desc_init_submemory(&middle, &self->op.layout, taken.dims, (const dnnl_dims_t){ 0, front });
    if (build_check(&build, status, "shortcut")) {
        build_reorder(&build, &self->op.forward, (struct view){ place_data(x), &taken }, (struct view){ place_data(y), &middle });
        if (request->training && request->want_gradient[0])
            build_reorder(&build, &self->op.backward, (struct view){ place_gradient(y), &middle }, (struct view){ place_gradient(x), &taken });
    }
    return build_end(&build, &calls, op);
}
