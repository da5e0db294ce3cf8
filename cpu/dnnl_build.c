/* Building an operation. Everything that oneDNN creates is created here, before the first step. */
#include "cpu/dnnl.h"

#include "base/door.h"
#include "base/sizes.h"

int build_begin(struct build *build, size_t op_bytes, const struct op_request *request, struct error *error)
{
    void *op = NULL;
    *build = (struct build){ .request = request, .onednn = request->device->engine, .error = error };
    onednn_single_thread();
    if (door_allocate(&op, op_bytes, "a oneDNN operation", error))
        return -1;
    build->op = op;
    build->op->device = request->device;
    memcpy(build->op->params, request->params, sizeof build->op->params);
    return 0;
}

bool build_check(struct build *build, dnnl_status_t status, const char *what)
{
    if (!build->failed && onednn_check(status, what, build->error))
        build->failed = true;
    return !build->failed;
}

dnnl_primitive_desc_t build_keep(struct build *build, dnnl_status_t status, const char *what)
{
    if (!build_check(build, status, what))
        return NULL;
    ASSERT(build->n_descs < BUILD_DESCS);
    return build->descs[build->n_descs++] = build->made;
}

static const struct layout *keep(struct build *build, dnnl_status_t status, struct layout *layout)
{
    if (!build_check(build, status, "layout"))
        return NULL;
    ASSERT(build->n_layouts < BUILD_LAYOUTS);
    return build->layouts[build->n_layouts++] = layout;
}

static const struct layout *make(struct build *build, int rank, const dnnl_dims_t dims, dnnl_data_type_t type,
                                 dnnl_format_tag_t tag)
{
    struct layout *made = NULL;
    dnnl_status_t status = build->failed ? dnnl_success : layout_make(&made, rank, dims, type, tag);
    return keep(build, status, made);
}

const struct layout *build_plain(struct build *build, int rank, const dnnl_dims_t dims, dnnl_data_type_t type)
{
    static const dnnl_format_tag_t tags[] = { dnnl_format_tag_undef, dnnl_a, dnnl_ab, dnnl_abc, dnnl_abcd };
    ASSERT(rank >= 1 && rank <= 4);
    return make(build, rank, dims, type, tags[rank]);
}

const struct layout *build_any(struct build *build, int rank, const dnnl_dims_t dims, dnnl_data_type_t type)
{
    return make(build, rank, dims, type, dnnl_format_tag_any);
}

const struct layout *build_activation(struct build *build, const struct tensor *tensor, dnnl_format_tag_t tag)
{
    const dnnl_dims_t dims = { tensor->batch, tensor->shape.c, tensor->shape.h, tensor->shape.w };
    return make(build, 4, dims, element_type(tensor->precision), tag);
}

const struct layout *build_floats(struct build *build, const struct tensor *tensor)
{
    struct layout *made = NULL;
    dnnl_status_t status = build->failed ? dnnl_success : layout_of_floats(&made, tensor);
    return keep(build, status, made);
}

const struct layout *build_floats_alike(struct build *build, const struct tensor *tensor)
{
    struct layout *made = NULL;
    dnnl_status_t status = build->failed ? dnnl_success : layout_of_floats_alike(&made, tensor);
    return keep(build, status, made);
}

const struct layout *build_part(struct build *build, const struct layout *whole, const dnnl_dims_t dims,
                                const dnnl_dims_t offset)
{
    struct layout *made = NULL;
    dnnl_status_t status = build->failed ? dnnl_success : layout_part(&made, whole, dims, offset);
    return keep(build, status, made);
}

void build_output(struct build *build, const struct layout *layout)
{
    if (!build->failed && build_check(build, layout_copy(&build->op->layout, layout), "layout"))
        build->request->output->detail = build->op->layout;
}

const struct layout *build_layout(const struct build *build, dnnl_primitive_desc_t desc, int arg)
{
    return build->failed ? NULL : layout_of_argument(desc, arg);
}

static void append_arg(struct build *build, struct stage *stage, int arg, struct place place,
                       const struct layout *layout)
{
    dnnl_memory_t memory = NULL;
    ASSERT(stage->n_args < STAGE_ARGS);
    if (!build_check(build, memory_make(&memory, build->onednn, layout, DNNL_MEMORY_NONE), stage->what))
        return;
    stage->args[stage->n_args] = (dnnl_exec_arg_t){ .arg = arg, .memory = memory };
    stage->places[stage->n_args++] = place;
}

void build_stage(struct build *build, struct sequence *sequence, dnnl_primitive_desc_t desc, const char *what, const struct binding *bindings, int n)
{
    dnnl_primitive_t primitive = NULL;
    if (build->failed || !build_check(build, dnnl_primitive_create(&primitive, desc), what))
        return;
    ASSERT(sequence->n < SEQUENCE_STAGES);
    struct stage *stage = &sequence->stages[sequence->n++];
    stage->what = what;
    stage->primitive = primitive;
    for (int i = 0; i < n; i++)
        if (bindings[i].place.kind != PLACE_NONE)
            append_arg(build, stage, bindings[i].arg, bindings[i].place, build_layout(build, desc, bindings[i].arg));
}

struct place build_scratch(struct build *build, size_t bytes)
{
    if (build->failed)
        return (struct place){ .kind = PLACE_NONE };
    struct place place = { .kind = PLACE_SCRATCH, .offset = build->op->own_scratch };
    build->op->own_scratch += round_up(bytes, DOOR_ALIGNMENT);
    return place;
}

struct place build_saved(struct build *build, size_t bytes)
{
    if (build->failed || bytes == 0)
        return (struct place){ .kind = PLACE_NONE };
    struct place place = { .kind = PLACE_SAVED, .offset = build->op->head.saved_bytes };
    build->op->head.saved_bytes += round_up(bytes, DOOR_ALIGNMENT);
    return place;
}

void build_reorder(struct build *build, struct sequence *sequence, struct view from, struct view to)
{
    static const char what[] = "reorder";
    dnnl_primitive_desc_t desc = NULL;
    if (build->failed || !build_check(build, describe_reorder(&desc, build->onednn, build->onednn->attr, from.layout,
                                                              to.layout), what))
        return;
    build_stage(build, sequence, desc, what, (const struct binding[]){ { DNNL_ARG_FROM, from.place }, { DNNL_ARG_TO, to.place } }, 2);
    dnnl_primitive_desc_destroy(desc);
}

struct place build_converted(struct build *build, struct sequence *sequence, struct view from,
                             const struct layout *want)
{
    if (build->failed || layouts_agree(from.layout, want))
        return from.place;
    struct view to = { build_scratch(build, layout_bytes(want)), want };
    build_reorder(build, sequence, from, to);
    return to.place;
}

struct view build_target(struct build *build, struct view to, const struct layout *made)
{
    if (build->failed || layouts_agree(made, to.layout))
        return to;
    return (struct view){ build_scratch(build, layout_bytes(made)), made };
}

void build_deliver(struct build *build, struct sequence *sequence, struct view from, struct view to)
{
    if (!build->failed && from.layout != to.layout)
        build_reorder(build, sequence, from, to);
}

struct place build_packed(struct build *build, const struct param *param, const struct layout *canonical,
                          const struct layout *want)
{
    struct onednn_op *op = build->op;
    struct place weights = place_param(PLACE_WEIGHT, param);
    if (build->failed || layouts_agree(canonical, want))
        return weights;
    struct place copy = { .kind = PLACE_PACKED };
    ASSERT(op->n_packed < (int)(sizeof op->packed / sizeof op->packed[0]));
    if (cpu_allocate(op->device, &copy.packed, layout_bytes(want), param->name, build->error)) {
        build->failed = true;
        return weights;
    }
    op->packed[op->n_packed++] = copy.packed;
    build_reorder(build, &op->pack, (struct view){ weights, canonical }, (struct view){ copy, want });
    return copy;
}

/* A primitive's own scratch lies behind the operation's; where that ends is known only when the last stage is there. */
static void place_primitive_scratch(struct build *build, struct sequence *sequence)
{
    for (int i = 0; i < sequence->n; i++) {
        const_dnnl_primitive_desc_t desc = NULL;
        struct stage *stage = &sequence->stages[i];
        if (!build_check(build, dnnl_primitive_get_primitive_desc(stage->primitive, &desc), stage->what))
            return;
        const struct layout *layout = layout_of_scratchpad(desc);
        size_t bytes = layout_bytes(layout);
        if (bytes == 0)
            continue;
        append_arg(build, stage, DNNL_ARG_SCRATCHPAD, (struct place){ .kind = PLACE_SCRATCH, .offset = build->op->own_scratch }, layout);
        build->primitive_scratch = size_max(build->primitive_scratch, bytes);
    }
}

int build_end(struct build *build, const struct op_calls *calls, struct op **op)
{
    struct onednn_op *self = build->op;
    if (!build->failed) {
        place_primitive_scratch(build, &self->pack);
        place_primitive_scratch(build, &self->forward);
        place_primitive_scratch(build, &self->backward);
    }
    for (int i = 0; i < build->n_descs; i++)
        dnnl_primitive_desc_destroy(build->descs[i]);
    for (int i = 0; i < build->n_layouts; i++)
        layout_free(build->layouts[i]);
    if (build->failed) {
        onednn_free(&self->head);
        return -1;
    }
    self->head.calls = calls;
    self->head.scratch_bytes = self->own_scratch + build->primitive_scratch;
    build->request->output->bytes = layout_bytes(self->layout);
    *op = &self->head;
    return 0;
}
