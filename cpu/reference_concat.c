/* Concatenation along the channels. */
#include "cpu/reference.h"

#include <string.h>

static int forward(struct op *op, const struct step *step, struct error *error)
{
    const struct reference_op *self = reference_of(op);
    float *y = self->request.output->data;
    (void)step, (void)error;
    for (int b = 0; b < self->request.batch; b++)
        for (int k = 0; k < self->request.n_inputs; k++) {
            size_t n = shape_count(self->request.inputs[k]->shape);
            memcpy(y, (const float *)self->request.inputs[k]->data + (size_t)b * n, n * sizeof *y);
            y += n;
        }
    return 0;
}

static int backward(struct op *op, const struct step *step, struct error *error)
{
    const struct reference_op *self = reference_of(op);
    const float *dy = self->request.output->gradient;
    (void)step, (void)error;
    for (int b = 0; b < self->request.batch; b++)
        for (int k = 0; k < self->request.n_inputs; k++) {
            size_t n = shape_count(self->request.inputs[k]->shape);
            if (self->request.inputs[k]->gradient)
                memcpy((float *)self->request.inputs[k]->gradient + (size_t)b * n, dy, n * sizeof *dy);
            dy += n;
        }
    return 0;
}

static const struct op_calls calls = { .forward = forward, .backward = backward, .free = reference_free };

int reference_concat(struct op **op, const struct op_request *request, struct error *error)
{
    return reference_new(op, request, &calls, 0, error) ? 0 : -1;
}
