/* See op.h. */
#include "cuda/op.h"

#include "base/door.h"

static int pack(struct op *op, const struct step *step, struct error *error)
{
    const struct cuda_op *self = cuda_op_of(op);
    cuda_use(self->request.device);
    return self->calls->pack(op, step, error);
}

static int forward(struct op *op, const struct step *step, struct error *error)
{
    const struct cuda_op *self = cuda_op_of(op);
    cuda_use(self->request.device);
    return self->calls->forward(op, step, error);
}

static int backward(struct op *op, const struct step *step, struct error *error)
{
    const struct cuda_op *self = cuda_op_of(op);
    cuda_use(self->request.device);
    return self->calls->backward(op, step, error);
}

static void release(struct op *op)
{
    const struct cuda_op *self = cuda_op_of(op);
    cuda_use(self->request.device);
    self->calls->free(op);
}

void *cuda_op_new(size_t bytes, const struct op_calls *calls, const struct op_request *request, struct error *error)
{
    void *block;
    if (door_allocate(&block, bytes, "operation", error))
        return NULL;
    struct cuda_op *self = block;
    self->calls = calls;
    self->entered = (struct op_calls){ .pack = calls->pack ? pack : NULL, .forward = forward, .backward = calls->backward ? backward : NULL, .free = release };
    self->op.calls = &self->entered;
    self->request = *request;
    struct tensor *y = request->output;
    y->layout = LAYOUT_NHWC;
    y->bytes = round_up((size_t)y->batch * shape_count(y->shape) * cuda_element_bytes(y->precision), 16);
    cuda_use(request->device);
    return self;
}

void cuda_op_free(struct op *op) { door_free(op); }
