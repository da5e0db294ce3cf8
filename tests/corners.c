/* See corners.h. */
#include "tests/corners.h"

#include "nets/layer.h"
#include "nets/operation.h"

#include <math.h>

static const struct operation *operation_at(const struct segment *segment, int number) { return &segment->plan->operations[number]; }

/* The operation that makes its k-th input; smaller than segment->first: from in front. */
static int producer(const struct segment *segment, int number, int k) { return segment->plan->owner[operation_at(segment, number)->from[k]]; }

static double distance_at(const struct segment *segment, int number, size_t index);

/* Of a maximum: to the next one of its window, or to a comparison behind the largest. */
static double window_distance(const struct segment *segment, int number, size_t index)
{
    const struct operation *operation = operation_at(segment, number);
    const struct pool_args *args = &operation->args.pool;
    const struct shape in = operation->inputs[0]->shape, out = operation->output.shape;
    const float *x = operation->inputs[0]->data;
    const size_t area = (size_t)out.h * (size_t)out.w, plane = index / area * (size_t)in.h * (size_t)in.w;
    const int size_h = args->size ? args->size : in.h, size_w = args->size ? args->size : in.w;
    const int top = (int)(index % area) / out.w * args->stride - args->pad, left = (int)(index % area) % out.w * args->stride - args->pad;
    double largest = -INFINITY, second = -INFINITY, nearest = INFINITY;
    size_t best = plane;
    for (int h = top < 0 ? 0 : top; h < top + size_h && h < in.h; h++)
        for (int w = left < 0 ? 0 : left; w < left + size_w && w < in.w; w++) {
            const size_t at = plane + (size_t)h * (size_t)in.w + (size_t)w;
            const double value = (double)x[at];
            nearest = fmin(nearest, distance_at(segment, producer(segment, number, 0), at));
            second = fmax(second, fmin(value, largest));
            best = value > largest ? at : best;
            largest = fmax(largest, value);
        }
    if (args->kind == POOL_AVERAGE)
        return nearest;
    return fmin(largest - second, distance_at(segment, producer(segment, number, 0), best));
}

static double distance_at(const struct segment *segment, int number, size_t index)
{
    if (number < segment->first || producer(segment, number, 0) < segment->first)
        return INFINITY;
    const struct operation *operation = operation_at(segment, number);
    if (operation->node->layer == &layer_pool)
        return window_distance(segment, number, index);
    if (operation->node->layer == &layer_relu)
        return fmin(fabs((double)((const float *)operation->inputs[0]->data)[index]), distance_at(segment, producer(segment, number, 0), index));
    return INFINITY;
}

static double largest_compared(const struct segment *segment)
{
    double largest = 0;
    for (int i = segment->first; i <= segment->last; i++) {
        const struct operation *operation = operation_at(segment, i);
        const float *x = operation->inputs[0]->data;
        if (operation->node->layer == &layer_pool || operation->node->layer == &layer_relu)
            for (size_t k = 0; k < (size_t)segment->batch * shape_count(operation->inputs[0]->shape); k++)
                if (fabs((double)x[k]) > largest) /* not fmax: gcc 12 for ARM breaks on it */
                    largest = fabs((double)x[k]);
    }
    return largest;
}

void corners_mute(const struct segment *segment, double margin, float *dy)
{
    const double nearest = margin * largest_compared(segment);
    for (size_t i = 0; i < segment_output_floats(segment); i++)
        if (margin > 0 && distance_at(segment, segment->last, i) <= nearest) /* all may be 0 */
            dy[i] = 0;
}
