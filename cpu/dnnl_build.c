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
    request->output->detail = &build->op->layout;
    return 0;
}

bool build_check(struct build *build, dnnl_status_t status, const char *what)
{
    if (!build->failed && onednn_check(status, what, build->error))
        build->failed = true;
    return !build->failed;
}

dnnl_primitive_desc_t build_keep(struct build *build, dnnl_status_t status, dnnl_primitive_desc_t desc, const char *what)
{
    if (!build_check(build, status, what))
        return NULL;
    ASSERT(build->n_descs < BUILD_DESCS);
    return build->descs[build->n_descs++] = desc;
}

dnnl_primitive_desc_t build_describe(struct build *build, dnnl_status_t status, const void *desc, dnnl_primitive_desc_t hint, const char *what)
{
    dnnl_primitive_desc_t made = NULL;
    if (!build_check(build, status, what))
        return NULL;
    status = dnnl_primitive_desc_create(&made, desc, build->onednn->attr, build->onednn->engine, hint);
    return build_keep(build, status, made, what);
}

const dnnl_memory_desc_t *build_layout(const struct build *build, dnnl_primitive_desc_t desc, int arg)
{
    static const dnnl_memory_desc_t none;
    return build->failed ? &none : dnnl_primitive_desc_query_md(desc, dnnl_query_exec_arg_md, arg);
}

static void append_arg(struct build *build, struct stage *stage, int arg, struct place place, const dnnl_memory_desc_t *layout)
{
    dnnl_memory_t memory = NULL;
    ASSERT(stage->n_args < STAGE_ARGS);
    if (!build_check(build, dnnl_memory_create(&memory, layout, build->onednn->engine, DNNL_MEMORY_NONE), stage->what))
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
    dnnl_engine_t engine = build->onednn->engine;
    if (build->failed)
        return;
    dnnl_status_t status = dnnl_reorder_primitive_desc_create(&desc, from.layout, engine, to.layout, engine, build->onednn->attr);
    if (!build_check(build, status, what))
        return;
    build_stage(build, sequence, desc, what, (const struct binding[]){ { DNNL_ARG_FROM, from.place }, { DNNL_ARG_TO, to.place } }, 2);
    dnnl_primitive_desc_destroy(desc);
}

struct place build_converted(struct build *build, struct sequence *sequence, struct view from, const dnnl_memory_desc_t *want)
{
    if (build->failed || layouts_agree(from.layout, want))
        return from.place;
    struct view to = { build_scratch(build, dnnl_memory_desc_get_size(want)), want };
    build_reorder(build, sequence, from, to);
    return to.place;
}

struct view build_target(struct build *build, struct view to, const dnnl_memory_desc_t *made)
{
    if (build->failed || layouts_agree(made, to.layout))
        return to;
    return (struct view){ build_scratch(build, dnnl_memory_desc_get_size(made)), made };
}

void build_deliver(struct build *build, struct sequence *sequence, struct view from, struct view to)
{
    if (!build->failed && from.layout != to.layout)
        build_reorder(build, sequence, from, to);
}

struct place build_packed(struct build *build, const struct param *param, const dnnl_memory_desc_t *canonical, const dnnl_memory_desc_t *want)
{
    struct onednn_op *op = build->op;
    struct place weights = place_param(PLACE_WEIGHT, param);
    if (build->failed || layouts_agree(canonical, want))
        return weights;
    struct place copy = { .kind = PLACE_PACKED };
    ASSERT(op->n_packed < (int)(sizeof op->packed / sizeof op->packed[0]));
    if (cpu_allocate(op->device, &copy.packed, dnnl_memory_desc_get_size(want), param->name, build->error)) {
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
        const dnnl_memory_desc_t *layout = dnnl_primitive_desc_query_md(desc, dnnl_query_scratchpad_md, 0);
        size_t bytes = dnnl_memory_desc_get_size(layout);
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
    if (build->failed) {
        onednn_free(&self->head);
        return -1;
    }
    self->head.calls = calls;
    self->head.scratch_bytes = self->own_scratch + build->primitive_scratch;
    build->request->output->bytes = dnnl_memory_desc_get_size(&self->layout);
    *op = &self->head;
    return 0;
}
