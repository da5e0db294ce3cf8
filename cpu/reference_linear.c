/* Fully connected: y = W x + bias, x flattened in C, H, W order, W [outputs][inputs]. */
#include "cpu/reference.h"

static int forward(struct op *op, const struct step *step, struct error *error)
{
    const struct reference_op *self = reference_of(op);
    size_t n_in = shape_count(self->request.inputs[0]->shape), n_out = (size_t)self->args.linear.outputs;
    const float *weight = reference_weights(self, 0, step), *bias = self->request.params[1] ? reference_weights(self, 1, step) : NULL;
    (void)error;
    for (size_t b = 0; b < (size_t)self->request.batch; b++) {
        const float *x = (const float *)self->request.inputs[0]->data + b * n_in;
        float *y = (float *)self->request.output->data + b * n_out;
        for (size_t o = 0; o < n_out; o++) {
            double sum = bias ? (double)bias[o] : 0;
            for (size_t i = 0; i < n_in; i++)
                sum += (double)weight[o * n_in + i] * (double)x[i];
            y[o] = (float)sum;
        }
    }
    return 0;
}

static void parameter_gradients(const struct reference_op *self, const struct step *step, size_t n_in, size_t n_out)
{
    const float *x = self->request.inputs[0]->data, *dy = self->request.output->gradient;
    float *dweight = reference_gradient(self, 0, step), *dbias = self->request.params[1] ? reference_gradient(self, 1, step) : NULL;
    size_t batch = (size_t)self->request.batch;
    for (size_t o = 0; o < n_out; o++) {
        double total = 0;
        for (size_t b = 0; b < batch; b++)
            total += (double)dy[b * n_out + o];
        if (dbias)
            dbias[o] = (float)total;
        for (size_t i = 0; i < n_in; i++) {
            double sum = 0;
            for (size_t b = 0; b < batch; b++)
                sum += (double)dy[b * n_out + o] * (double)x[b * n_in + i];
            dweight[o * n_in + i] = (float)sum;
        }
    }
}

static int backward(struct op *op, const struct step *step, struct error *error)
{
    const struct reference_op *self = reference_of(op);
    size_t n_in = shape_count(self->request.inputs[0]->shape), n_out = (size_t)self->args.linear.outputs;
    const float *weight = reference_weights(self, 0, step), *dy = self->request.output->gradient;
    float *dx = self->request.inputs[0]->gradient;
    (void)error;
    parameter_gradients(self, step, n_in, n_out);
    if (!dx)
        return 0;
    for (size_t b = 0; b < (size_t)self->request.batch; b++)
        for (size_t i = 0; i < n_in; i++) {
            double sum = 0;
            for (size_t o = 0; o < n_out; o++)
                sum += (double)dy[b * n_out + o] * (double)weight[o * n_in + i];
            dx[b * n_in + i] = (float)sum;
        }
    return 0;
}

static const struct op_calls calls = { .forward = forward, .backward = backward, .free = reference_free };

int reference_linear(struct op **op, const struct op_request *request, const struct linear_args *args, struct error *error)
{
    ASSERT(!args->relu);
    struct reference_op *self = reference_new(op, request, &calls, 0, error);
    if (!self)
        return -1;
    self->args.linear = *args;
    reference_round_weights(self);
    return 0;
}
