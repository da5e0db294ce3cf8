/* See segment.h. */
#include "tests/segment.h"

#include "base/door.h"
#include "base/philox.h"
#include "base/sizes.h"
#include "nets/operation.h"
#include "tests/tests.h"

#include <math.h>
#include <string.h>

uint32_t draw(struct draws *draws) { return philox(draws->key, 0, draws->at++).word[0]; }

int draw_below(struct draws *draws, int n) { return (int)(draw(draws) % (uint32_t)n); }

int draw_one(struct draws *draws, const int *of, int n) { return of[draw_below(draws, n)]; }

void draw_eighths(struct draws *draws, float *values, size_t n)
{
    for (size_t i = 0; i < n; i++)
        values[i] = (float)(draw_below(draws, 33) - 16) / 8;
}

void draw_spaced(struct draws *draws, float *values, size_t n)
{
    for (size_t i = 0; i < n; i++)
        values[i] = ((float)i - (float)(n / 2) + 0.5f) / 16;
    for (size_t i = n; i > 1; i--) {
        size_t other = draw(draws) % i;
        float value = values[i - 1];
        values[i - 1] = values[other];
        values[other] = value;
    }
}

float *floats_new(size_t n)
{
    struct error error = { 0 };
    void *block;
    assert_int_equal(door_allocate(&block, (n ? n : 1) * sizeof(float), "test", &error), 0);
    return block;
}

static void succeed(const struct segment *segment, int result, const struct error *error)
{
    if (result)
        fail_msg("%s: %s", segment->backend->name, error->text);
}

/* Where the device does not read the host's memory, it gets a place for each vector. */
static void bind(struct segment *segment, bool training)
{
    const size_t weights = round_up(segment->graph->params.total * sizeof(float), DOOR_ALIGNMENT), stats = round_up(segment->graph->stats.total * sizeof(float), DOOR_ALIGNMENT);
    struct error error = { 0 };
    struct step *step = &segment->step;
    if (segment->backend->host_memory) {
        *step = (struct step){ .weights = segment->weights, .gradient = segment->gradient, .stats = segment->stats, .labels = segment->labels, .index = segment->index };
    } else {
        const size_t bytes = 2 * weights + stats + sizeof segment->index + sizeof segment->labels;
        succeed(segment, segment->backend->allocate(segment->device, &segment->memory, bytes, "test", &error), &error);
        char *at = segment->memory;
        *step = (struct step){ .weights = (float *)(void *)at, .gradient = (float *)(void *)(at + weights), .stats = (float *)(void *)(at + 2 * weights),
                               .index = (int64_t *)(void *)(at + 2 * weights + stats), .labels = (int32_t *)(void *)(at + 2 * weights + stats + sizeof segment->index) };
    }
    step->gradient = training ? step->gradient : NULL;
    step->repack = true;
    step->n = segment->batch;
    step->seed = 7;
    step->epoch = 2;
}

/* Before a pass, and behind it. */
static void upload(struct segment *segment)
{
    const struct backend *backend = segment->backend;
    if (!segment->memory)
        return;
    backend->upload(segment->device, (void *)(uintptr_t)segment->step.weights, segment->weights, segment->graph->params.total * sizeof(float));
    backend->upload(segment->device, segment->step.stats, segment->stats, segment->graph->stats.total * sizeof(float));
    backend->upload(segment->device, (void *)(uintptr_t)segment->step.labels, segment->labels, sizeof segment->labels);
    backend->upload(segment->device, (void *)(uintptr_t)segment->step.index, segment->index, sizeof segment->index);
}

static void fetch(struct segment *segment)
{
    struct error error = { 0 };
    if (segment->memory) {
        segment->backend->copy(segment->device, segment->stats, segment->step.stats, segment->graph->stats.total);
        if (segment->step.gradient)
            segment->backend->copy(segment->device, segment->gradient, segment->step.gradient, segment->graph->params.total);
    }
    succeed(segment, segment->backend->sync(segment->device, &error), &error);
}

void segment_set_samples(struct segment *segment, const int32_t *labels, const int64_t *index)
{
    assert_true(segment->batch <= SEGMENT_BATCH);
    memcpy(segment->labels, labels, (size_t)segment->batch * sizeof *labels);
    memcpy(segment->index, index, (size_t)segment->batch * sizeof *index);
}

void segment_set_pixels(struct segment *segment, const uint8_t *pixels)
{
    const size_t bytes = (size_t)segment->batch * shape_count(segment->graph->nodes[0].out);
    struct error error = { 0 };
    segment->step.pixels = pixels;
    if (segment->backend->host_memory)
        return;
    succeed(segment, segment->backend->allocate(segment->device, &segment->pixels, bytes, "test", &error), &error);
    segment->backend->upload(segment->device, segment->pixels, pixels, bytes);
    segment->step.pixels = segment->pixels;
}

void segment_open(struct segment *segment, const struct plan_request *request, int from, int to)
{
    struct error error = { 0 };
    const struct graph *graph = request->graph;
    struct plan_request made = *request;
    *segment = (struct segment){ .backend = made.backend, .graph = graph, .batch = made.batch };
    succeed(segment, made.backend->device_open(&segment->device, made.backend->host_memory ? -1 : 0, &error), &error);
    made.device = segment->device;
    succeed(segment, plan_make(&segment->plan, &made, &error), &error);
    segment->first = segment->plan->owner[from];
    segment->last = segment->plan->owner[to];
    assert_ptr_equal(segment->plan->operations[segment->first].node, &graph->nodes[from]);
    segment->weights = floats_new(graph->params.total);
    segment->gradient = floats_new(graph->params.total);
    segment->stats = floats_new(graph->stats.total);
    graph_init_stats(graph, segment->stats);
    bind(segment, request->training);
}

void segment_close(struct segment *segment)
{
    plan_free(segment->plan);
    segment->backend->release(segment->device, segment->pixels);
    segment->backend->release(segment->device, segment->memory);
    segment->backend->device_close(segment->device);
    door_free(segment->weights);
    door_free(segment->gradient);
    door_free(segment->stats);
}

static size_t tensor_floats(const struct tensor *tensor) { return (size_t)tensor->batch * shape_count(tensor->shape); }

/* The k-th tensor that comes from in front of the segment. */
static struct tensor *input(const struct segment *segment, int k)
{
    for (int i = segment->first; i <= segment->last; i++) {
        const struct operation *operation = &segment->plan->operations[i];
        for (int slot = 0; slot < operation->n_inputs; slot++)
            if (segment->plan->owner[operation->from[slot]] < segment->first && k-- == 0)
                return operation->inputs[slot];
    }
    fail_msg("%s: the segment has no input %d", segment->backend->name, k);
    return NULL;
}

size_t segment_input_floats(const struct segment *segment, int k) { return tensor_floats(input(segment, k)); }

size_t segment_output_floats(const struct segment *segment)
{
    const struct tensor *output = &segment->plan->operations[segment->last].output;
    return output->bytes ? tensor_floats(output) : 0;
}

void segment_params(const struct segment *segment, size_t *begin, size_t *end)
{
    *begin = *end = 0;
    for (int i = segment->first; i <= segment->last; i++) {
        const struct operation *operation = &segment->plan->operations[i];
        if (operation->end > operation->begin) {
            *begin = *end ? *begin : operation->begin;
            *end = operation->end;
        }
    }
}

void segment_set_input(struct segment *segment, int k, const float *x)
{
    segment->backend->tensor_in(segment->device, input(segment, k), false, x);
}

void segment_forward(struct segment *segment, float *y)
{
    struct error error = { 0 };
    upload(segment);
    segment->backend->begin(segment->device, &segment->step);
    for (int i = segment->first; i <= segment->last; i++) {
        struct op *op = segment->plan->operations[i].op;
        if ((op->calls->pack && op->calls->pack(op, &segment->step, &error)) || op->calls->forward(op, &segment->step, &error))
            fail_msg("%s: %s", segment->backend->name, error.text);
    }
    fetch(segment);
    if (y)
        segment->backend->tensor_out(segment->device, &segment->plan->operations[segment->last].output, false, y);
}

void segment_backward(struct segment *segment, const float *dy)
{
    struct error error = { 0 };
    if (!segment->plan->operations[segment->last].backward)
        return;
    if (dy)
        segment->backend->tensor_in(segment->device, &segment->plan->operations[segment->last].output, true, dy);
    for (int i = segment->last; i >= segment->first; i--) {
        struct op *op = segment->plan->operations[i].op;
        if (segment->plan->operations[i].backward && op->calls->backward(op, &segment->step, &error))
            fail_msg("%s: %s", segment->backend->name, error.text);
    }
    fetch(segment);
}

bool segment_input_gradient(struct segment *segment, int k, float *dx)
{
    const struct tensor *x = input(segment, k);
    if (!x->gradient)
        return false;
    segment->backend->tensor_out(segment->device, x, true, dx);
    return true;
}

double difference(const float *expected, const float *got, size_t n)
{
    double most = 0, worst = 0;
    for (size_t i = 0; i < n; i++) {
        double error = fabs((double)expected[i] - (double)got[i]);
        if (!isfinite(error))
            return 1e30;
        worst = error > worst ? error : worst;
        most = fabs((double)expected[i]) > most ? fabs((double)expected[i]) : most;
    }
    return worst > 0 ? worst / (most > 1e-30 ? most : 1e-30) : 0;
}
