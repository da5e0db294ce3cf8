/* Operations that treat every element alone: normalizing the input, ReLU, addition, dropout. */
#include "cpu/reference.h"

#include "cpu/dropout.h"

#include <string.h>

static size_t floats(const struct tensor *tensor) { return tensor->bytes / sizeof(float); }

static int input_forward(struct op *op, const struct step *step, struct error *error)
{
    const struct reference_op *self = reference_of(op);
    const struct input_args *args = &self->args.input;
    size_t plane = (size_t)args->h * (size_t)args->w;
    float *y = self->request.output->data;
    (void)error;
    for (size_t i = 0; i < floats(self->request.output); i++) {
        size_t c = i / plane % (size_t)args->c;
        y[i] = ((float)step->pixels[i] / 255 - args->mean[c]) / args->std[c];
    }
    return 0;
}

static const struct op_calls input_calls = { .forward = input_forward, .free = reference_free };

int reference_input(struct op **op, const struct op_request *request, const struct input_args *args, struct error *error)
{
    struct reference_op *self = reference_new(op, request, &input_calls, 0, error);
    if (!self)
        return -1;
    self->args.input = *args;
    return 0;
}

/* A NaN stays a NaN. */
static int relu_forward(struct op *op, const struct step *step, struct error *error)
{
    const struct reference_op *self = reference_of(op);
    const float *x = self->request.inputs[0]->data;
    float *y = self->request.output->data;
    (void)step, (void)error;
    for (size_t i = 0; i < floats(self->request.output); i++)
        y[i] = x[i] < 0 ? 0 : x[i];
    return 0;
}

static int relu_backward(struct op *op, const struct step *step, struct error *error)
{
    const struct reference_op *self = reference_of(op);
    const float *x = self->request.inputs[0]->data, *dy = self->request.output->gradient;
    float *dx = self->request.inputs[0]->gradient;
    (void)step, (void)error;
    for (size_t i = 0; i < floats(self->request.output); i++)
        dx[i] = x[i] <= 0 ? 0 : dy[i];
    return 0;
}

static const struct op_calls relu_calls = { .forward = relu_forward, .backward = relu_backward, .free = reference_free };

int reference_relu(struct op **op, const struct op_request *request, struct error *error)
{
    return reference_new(op, request, &relu_calls, 0, error) ? 0 : -1;
}

static int add_forward(struct op *op, const struct step *step, struct error *error)
{
    const struct reference_op *self = reference_of(op);
    const float *a = self->request.inputs[0]->data, *b = self->request.inputs[1]->data;
    float *y = self->request.output->data;
    (void)step, (void)error;
    for (size_t i = 0; i < floats(self->request.output); i++)
        y[i] = a[i] + b[i];
    return 0;
}

static int add_backward(struct op *op, const struct step *step, struct error *error)
{
    const struct reference_op *self = reference_of(op);
    (void)step, (void)error;
    for (int k = 0; k < 2; k++)
        if (self->request.inputs[k]->gradient)
            memcpy(self->request.inputs[k]->gradient, self->request.output->gradient, self->request.output->bytes);
    return 0;
}

static const struct op_calls add_calls = { .forward = add_forward, .backward = add_backward, .free = reference_free };

int reference_add(struct op **op, const struct op_request *request, const struct add_args *args, struct error *error)
{
    ASSERT(!args->relu);
    return reference_new(op, request, &add_calls, 0, error) ? 0 : -1;
}

/* What is dropped is 0 even where it was a NaN. */
static void drop(float *result, const float *values, const float *mask, size_t n)
{
    for (size_t i = 0; i < n; i++)
        result[i] = mask[i] > 0 ? values[i] * mask[i] : 0;
}

static int dropout_forward(struct op *op, const struct step *step, struct error *error)
{
    const struct reference_op *self = reference_of(op);
    const struct tensor *x = self->request.inputs[0], *y = self->request.output;
    (void)error;
    if (!self->request.training) {
        memcpy(y->data, x->data, y->bytes);
        return 0;
    }
    dropout_mask(op->saved, x->shape, x->batch, &self->args.dropout, step);
    drop(y->data, x->data, op->saved, floats(y));
    return 0;
}

static int dropout_backward(struct op *op, const struct step *step, struct error *error)
{
    const struct reference_op *self = reference_of(op);
    const struct tensor *x = self->request.inputs[0];
    (void)step, (void)error;
    drop(x->gradient, self->request.output->gradient, op->saved, floats(x));
    return 0;
}

static const struct op_calls dropout_calls = { .forward = dropout_forward, .backward = dropout_backward, .free = reference_free };

int reference_dropout(struct op **op, const struct op_request *request, const struct dropout_args *args, struct error *error)
{
    size_t mask_bytes = request->training ? (size_t)request->batch * shape_count(request->output->shape) * sizeof(float) : 0;
    struct reference_op *self = reference_new(op, request, &dropout_calls, mask_bytes, error);
    if (!self)
        return -1;
    self->args.dropout = *args;
    return 0;
}
