/* The input: 8-bit planes, augmented in training where the arguments ask for it, normalized per channel. */
#include "cuda/activations.h"
#include "cuda/op.h"

struct input {
    struct cuda_op head;
    struct input_args args;
    bool augments;
};

static int forward(struct op *op, const struct step *step, struct error *error)
{
    const struct input *self = (const struct input *)op;
    const struct op_request *request = &self->head.request;
    const struct device *device = request->device;
    const cudaError_t status = cuda_launch_input(device->stream, request->precision, request->batch, request->output->data, step->pixels, self->augments ? step->index : NULL,
                                                 device->values, &self->args);
    return cuda_try(device, status, "input", error);
}

int cuda_input(struct op **op, const struct op_request *request, const struct input_args *args, struct error *error)
{
    static const struct op_calls calls = { .forward = forward, .free = cuda_op_free };
    struct input *self = cuda_op_new(sizeof *self, &calls, request, error);
    if (!self)
        return -1;
    self->args = *args;
    self->augments = request->training && (args->augment.crop_pad || args->augment.flip || args->augment.cutout);
    *op = &self->head.op;
    return 0;
}
