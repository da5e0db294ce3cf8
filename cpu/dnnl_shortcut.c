/* The shortcut without parameters: every stride-th row and column becomes the output's middle channels, by our own
 * loops, because oneDNN has no layout that leaves out rows of blocks. What is not copied is cleared first. */
#include "cpu/dnnl.h"

#include <string.h>

struct shortcut {
    struct onednn_op op;
    const struct tensor *x, *y;
    struct place from, to;  /* x, and where its gradient is put */
    struct walk small, big; /* y's, x's */
    size_t x_bytes;         /* of what lies at `to` */
    int front, stride;
};

static size_t element(const struct walk *walk, int sample, int channel, int row, int column)
{
    return (size_t)sample * walk->sample + (size_t)(channel / walk->block) * walk->channel_block +
           (size_t)(channel % walk->block) + (size_t)row * walk->row + (size_t)column * walk->column;
}

/* How many channels lie behind one another. */
static int run_of(const struct walk *walk, int channels)
{
    return walk->block > 1 ? walk->block : walk->channel_block == 1 ? channels : 1;
}

/* Between the pixels of x that are taken and those of y. */
static void copy(const struct shortcut *self, char *big, char *small, bool forward)
{
    const struct shape in = self->x->shape, out = self->y->shape;
    const int run_big = run_of(&self->big, in.c), run_small = run_of(&self->small, out.c),
              run = run_big < run_small ? run_big : run_small;
    const size_t width = dnnl_data_type_size(element_type(self->y->precision));
    for (int sample = 0; sample < self->y->batch; sample++)
        for (int c = 0; c < in.c; c += run)
            for (int row = 0; row < out.h; row++)
                for (int column = 0; column < out.w; column++) {
                    const size_t bytes = width * (size_t)(run < in.c - c ? run : in.c - c);
                    char *at_big =
                        big + width * element(&self->big, sample, c, row * self->stride, column * self->stride);
                    char *at_small = small + width * element(&self->small, sample, self->front + c, row, column);
                    memcpy(forward ? at_small : at_big, forward ? at_big : at_small, bytes);
                }
}

static int forward(struct op *head, const struct step *step, struct error *error)
{
    const struct shortcut *self = (const struct shortcut *)head;
    if (onednn_forward(head, step, error))
        return -1;
    memset(self->y->data, 0, self->y->bytes);
    copy(self, onednn_resolve(&self->op, &self->from, step), self->y->data, true);
    return 0;
}

static int backward(struct op *head, const struct step *step, struct error *error)
{
    const struct shortcut *self = (const struct shortcut *)head;
    if (!self->x->gradient)
        return 0;
    char *to = onednn_resolve(&self->op, &self->to, step);
    memset(to, 0, self->x_bytes);
    copy(self, to, self->y->gradient, false);
    return onednn_backward(head, step, error);
}

/* The input's blocks of sixteen channels where those taken begin and end on them, otherwise NHWC. */
static dnnl_format_tag_t tag_of_output(const struct shortcut *self)
{
    const bool fits = self->big.block == 16 && self->x->shape.c % 16 == 0 && self->front % 16 == 0;
    return fits ? dnnl_nChw16c : dnnl_nhwc;
}

/* x and its gradient as they lie, or in NHWC where that cannot be walked. */
static void place_input(struct shortcut *self, struct build *build)
{
    const struct layout *layout = tensor_layout(self->x);
    if (!build->failed && !layout_walk(layout, &self->big)) {
        layout = build_activation(build, self->x, dnnl_nhwc);
        ASSERT(build->failed || layout_walk(layout, &self->big));
    }
    self->from = build_converted(build, &self->op.forward, view_data(self->x), layout);
    self->x_bytes = layout_bytes(layout);
    if (build->request->training && build->request->want_gradient[0]) {
        struct view dx = view_gradient(self->x), made = build_target(build, dx, layout);
        self->to = made.place;
        build_deliver(build, &self->op.backward, made, dx);
    }
}

int onednn_shortcut(struct op **op, const struct op_request *request, const struct shortcut_args *args,
                    struct error *error)
{
    static const struct op_calls calls = { .forward = forward, .backward = backward, .free = onednn_free };
    struct build build;
    if (build_begin(&build, sizeof(struct shortcut), request, error))
        return -1;
    struct shortcut *self = (struct shortcut *)build.op;
    self->x = request->inputs[0];
    self->y = request->output;
    self->front = shortcut_front(self->x->shape.c, self->y->shape.c);
    self->stride = args->stride;
    place_input(self, &build);
    build_output(&build, build_activation(&build, self->y, tag_of_output(self)));
    ASSERT(build.failed || layout_walk(tensor_layout(self->y), &self->small));
    return build_end(&build, &calls, op);
}
