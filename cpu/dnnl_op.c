/* Running an operation: resolve the places, tell oneDNN what moved, execute. */
#include "cpu/dnnl.h"

#include "base/door.h"
#include "cpu/loss_scale.h"

void *onednn_resolve(const struct onednn_op *op, const struct place *place, const struct step *step)
{
    switch (place->kind) {
    case PLACE_DATA:     return place->tensor->data;
    case PLACE_GRADIENT: return place->tensor->gradient;
    case PLACE_WEIGHT:   return (void *)(uintptr_t)(step->weights + place->offset); /* oneDNN takes no const; it only reads weights */
    case PLACE_DWEIGHT:  return step->gradient + place->offset;
    case PLACE_STAT:     return step->stats + place->offset;
    case PLACE_SCRATCH:  return (char *)op->head.scratch + place->offset;
    case PLACE_SAVED:    return (char *)op->head.saved + place->offset;
    case PLACE_PACKED:   return place->packed;
    case PLACE_NONE:     break;
    }
    return NULL;
}

/* Only just before a stage runs: oneDNN zeroes the padding of memory that it is told of, so the memory must be this stage's by then. */
static int bind(struct onednn_op *op, struct stage *stage, const struct step *step, struct error *error)
{
    for (int i = 0; i < stage->n_args; i++) {
        void *at = onednn_resolve(op, &stage->places[i], step);
        if (at == stage->bound[i])
            continue;
        if (onednn_check(dnnl_memory_set_data_handle(stage->args[i].memory, at), stage->what, error))
            return -1;
        stage->bound[i] = at;
    }
    return 0;
}

int onednn_run(struct onednn_op *op, struct sequence *sequence, const struct step *step, struct error *error)
{
    const struct onednn *onednn = op->device->engine;
    onednn_single_thread();
    for (int i = 0; i < sequence->n; i++) {
        struct stage *stage = &sequence->stages[i];
        if (bind(op, stage, step, error))
            return -1;
        if (onednn_check(dnnl_primitive_execute(stage->primitive, onednn->stream, stage->n_args, stage->args), stage->what, error))
            return -1;
    }
    return 0;
}

int onednn_pack(struct op *op, const struct step *step, struct error *error)
{
    struct onednn_op *self = (struct onednn_op *)op;
    return onednn_run(self, &self->pack, step, error);
}

int onednn_forward(struct op *op, const struct step *step, struct error *error)
{
    struct onednn_op *self = (struct onednn_op *)op;
    return onednn_run(self, &self->forward, step, error);
}

int onednn_backward(struct op *op, const struct step *step, struct error *error)
{
    struct onednn_op *self = (struct onednn_op *)op;
    if (onednn_run(self, &self->backward, step, error))
        return -1;
    for (int i = 0; i < NODE_PARAMS; i++)
        unscale(step, self->params[i]);
    return 0;
}

static void release(struct sequence *sequence)
{
    for (int i = 0; i < sequence->n; i++) {
        struct stage *stage = &sequence->stages[i];
        for (int j = 0; j < stage->n_args; j++)
            dnnl_memory_destroy(stage->args[j].memory);
        dnnl_primitive_destroy(stage->primitive);
    }
}

void onednn_free(struct op *op)
{
    struct onednn_op *self = (struct onednn_op *)op;
    release(&self->pack);
    release(&self->forward);
    release(&self->backward);
    layout_free(self->layout);
    for (int i = 0; i < self->n_packed; i++)
        cpu_release(self->device, self->packed[i]);
    door_free(self);
}
