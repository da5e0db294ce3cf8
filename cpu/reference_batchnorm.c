/* Batch normalization: y = weight (x - mean)/sqrt(variance + epsilon) + bias per channel, over N, H, W. Training takes the batch's
 * mean and variance (n in the divisor) and moves the running ones (n - 1 in the variance's divisor; 1 where n is 1); evaluation takes the running ones. */
#include "cpu/reference.h"

#include <math.h>

struct moments { double mean, inverse; }; /* inverse: 1/sqrt(variance + epsilon) */

static size_t element(const struct reference_op *self, int b, int c, size_t i)
{
    struct shape shape = self->request.output->shape;
    return ((size_t)b * (size_t)shape.c + (size_t)c) * (size_t)shape.h * (size_t)shape.w + i;
}

static size_t plane(const struct reference_op *self) { return (size_t)self->request.output->shape.h * (size_t)self->request.output->shape.w; }

static void channel_moments(const struct reference_op *self, int c, double *mean, double *variance)
{
    const float *x = self->request.inputs[0]->data;
    double n = (double)self->request.batch * (double)plane(self), sum = 0, squares = 0;
    for (int b = 0; b < self->request.batch; b++)
        for (size_t i = 0; i < plane(self); i++)
            sum += (double)x[element(self, b, c, i)];
    *mean = sum / n;
    for (int b = 0; b < self->request.batch; b++)
        for (size_t i = 0; i < plane(self); i++)
            squares += ((double)x[element(self, b, c, i)] - *mean) * ((double)x[element(self, b, c, i)] - *mean);
    *variance = squares / n;
}

static struct moments channel_norm(const struct reference_op *self, const struct step *step, int c)
{
    const struct batchnorm_args *args = &self->args.batchnorm;
    float *running_mean = &step->stats[self->request.stats[0]->offset + (size_t)c];
    float *running_variance = &step->stats[self->request.stats[1]->offset + (size_t)c];
    double mean = (double)*running_mean, variance = (double)*running_variance;
    if (self->request.training) {
        double n = (double)self->request.batch * (double)plane(self), momentum = (double)args->momentum;
        channel_moments(self, c, &mean, &variance);
        double unbiased = n > 1 ? variance * n / (n - 1) : variance;
        *running_mean = (float)((double)*running_mean + momentum * (mean - (double)*running_mean));
        *running_variance = (float)((double)*running_variance + momentum * (unbiased - (double)*running_variance));
    }
    return (struct moments){ mean, 1 / sqrt(variance + (double)args->epsilon) };
}

static int forward(struct op *op, const struct step *step, struct error *error)
{
    const struct reference_op *self = reference_of(op);
    const float *x = self->request.inputs[0]->data, *weight = reference_weights(self, 0, step), *bias = reference_weights(self, 1, step);
    struct moments *kept = op->saved;
    float *y = self->request.output->data;
    (void)error;
    for (int c = 0; c < self->request.output->shape.c; c++) {
        struct moments norm = channel_norm(self, step, c);
        kept[c] = norm;
        for (int b = 0; b < self->request.batch; b++)
            for (size_t i = 0; i < plane(self); i++) {
                size_t at = element(self, b, c, i);
                y[at] = (float)((double)weight[c] * ((double)x[at] - norm.mean) * norm.inverse + (double)bias[c]);
            }
    }
    return 0;
}

/* With z = (x - mean) inverse: dx = weight inverse (dy - mean(dy) - z mean(dy z)). */
static int backward(struct op *op, const struct step *step, struct error *error)
{
    const struct reference_op *self = reference_of(op);
    const float *x = self->request.inputs[0]->data, *dy = self->request.output->gradient, *weight = reference_weights(self, 0, step);
    float *dx = self->request.inputs[0]->gradient;
    const struct moments *kept = op->saved;
    double n = (double)self->request.batch * (double)plane(self);
    (void)error;
    for (int c = 0; c < self->request.output->shape.c; c++) {
        double sum = 0, sum_z = 0;
        for (int b = 0; b < self->request.batch; b++)
            for (size_t i = 0; i < plane(self); i++) {
                size_t at = element(self, b, c, i);
                sum += (double)dy[at];
                sum_z += (double)dy[at] * ((double)x[at] - kept[c].mean) * kept[c].inverse;
            }
        reference_gradient(self, 0, step)[c] = (float)sum_z;
        reference_gradient(self, 1, step)[c] = (float)sum;
        for (int b = 0; dx && b < self->request.batch; b++)
            for (size_t i = 0; i < plane(self); i++) {
                size_t at = element(self, b, c, i);
                double z = ((double)x[at] - kept[c].mean) * kept[c].inverse;
                dx[at] = (float)((double)weight[c] * kept[c].inverse * ((double)dy[at] - sum / n - z * sum_z / n));
            }
    }
    return 0;
}

static const struct op_calls calls = { .forward = forward, .backward = backward, .free = reference_free };

int reference_batchnorm(struct op **op, const struct op_request *request, const struct batchnorm_args *args, struct error *error)
{
    ASSERT(!args->relu);
    struct reference_op *self = reference_new(op, request, &calls, (size_t)request->output->shape.c * sizeof(struct moments), error);
    if (!self)
        return -1;
    self->args.batchnorm = *args;
    return 0;
}
