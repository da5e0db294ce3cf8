/* Softmax with cross entropy. The result of a step is copied to the host's memory behind the forward pass, one place for each of the two turns, and an event says when it is
 * there: asking for it does not wait for the backward pass. */
#include "cuda/activations.h"
#include "cuda/op.h"

struct loss {
    struct cuda_op head;
    struct loss_pass pass;
    struct step_result *results; /* [2], by turn, in the host's memory */
    struct event *there[2];
};

/* What it keeps: every sample's part, then the sums. */
static struct sample_loss *samples(const struct loss *self) { return self->head.op.saved; }
static struct step_result *sums(const struct loss *self) { return (struct step_result *)(samples(self) + self->pass.batch); }

static int forward(struct op *op, const struct step *step, struct error *error)
{
    const struct loss *self = (const struct loss *)op;
    struct device *device = self->head.request.device;
    const struct tensor *x = self->head.request.inputs[0];
    if (cuda_try(device, cuda_launch_loss(device->stream, x->precision, samples(self), sums(self), x->data, step->labels, device->values, &self->pass), "loss", error) ||
        cuda_try(device, cudaMemcpyAsync(&self->results[step->turn], sums(self), sizeof *self->results, cudaMemcpyDeviceToHost, device->stream), "copying the loss", error))
        return -1;
    cuda_record(device, self->there[step->turn]);
    return 0;
}

static int backward(struct op *op, const struct step *step, struct error *error)
{
    const struct loss *self = (const struct loss *)op;
    const struct device *device = self->head.request.device;
    const struct tensor *x = self->head.request.inputs[0];
    if (!x->gradient)
        return 0;
    return cuda_try(device, cuda_launch_loss_back(device->stream, x->precision, x->gradient, samples(self), x->data, step->labels, device->values, &self->pass), "loss, backward", error);
}

int cuda_result(struct op *loss, int turn, struct step_result *result, struct error *error)
{
    const struct loss *self = (const struct loss *)loss;
    if (cuda_finish(self->there[turn], error))
        return -1;
    *result = self->results[turn];
    return 0;
}

static void release(struct op *op)
{
    struct loss *self = (struct loss *)op;
    for (int turn = 0; turn < 2; turn++)
        cuda_event_close(self->there[turn]);
    cuda_release_host(self->results);
    cuda_op_free(op);
}

static int open_results(struct loss *self, struct error *error)
{
    void *block;
    if (cuda_allocate_host(&block, 2 * sizeof *self->results, "results of the loss", error))
        return -1;
    self->results = block;
    for (int turn = 0; turn < 2; turn++)
        if (cuda_event_open(&self->there[turn], self->head.request.device, error))
            return -1;
    return 0;
}

int cuda_loss(struct op **op, const struct op_request *request, const struct loss_args *args, struct error *error)
{
    static const struct op_calls calls = { .forward = forward, .backward = backward, .free = release };
    struct loss *self = cuda_op_new(sizeof *self, &calls, request, error);
    if (!self)
        return -1;
    self->pass = (struct loss_pass){ request->batch, request->inputs[0]->shape.c, args->smoothing };
    self->head.op.saved_bytes = (size_t)request->batch * sizeof(struct sample_loss) + sizeof(struct step_result);
    request->output->bytes = 0; /* nothing comes out but the result */
    if (open_results(self, error)) {
        release(&self->head.op);
        return -1;
    }
    *op = &self->head.op;
    return 0;
}
