/* See dummy.h. */
#include "nets/dummy.h"

#include "base/door.h"
#include "base/philox.h"

/* One block, on the host and again on the device. */
static void lay_out(struct step *step, void *memory, const struct graph *graph, int batch)
{
    const size_t n = (size_t)batch, params = graph->params.total;
    int64_t *index = memory;
    float *weights = (float *)(index + n), *gradient = weights + params, *running = gradient + params;
    int32_t *labels = (int32_t *)(running + graph->stats.total);
    *step = (struct step){
        .weights = weights, .gradient = gradient, .stats = running, .repack = true, .fixed = true, .pixels = (uint8_t *)(labels + n), .labels = labels, .index = index, .n = batch,
    };
}

static void fill(void *memory, const struct graph *graph, int batch, size_t pixels)
{
    const size_t n = (size_t)batch, params = graph->params.total;
    int64_t *index = memory;
    float *weights = (float *)(index + n), *running = weights + 2 * params;
    int32_t *labels = (int32_t *)(running + graph->stats.total);
    uint8_t *bytes = (uint8_t *)(labels + n);
    graph_init_weights(graph, 1, weights);
    graph_init_stats(graph, running);
    for (size_t i = 0; i < pixels; i++)
        bytes[i] = (uint8_t)philox(1, 0, i).word[0];
    for (size_t i = 0; i < n; i++) {
        labels[i] = (int32_t)(i % (size_t)graph->classes);
        index[i] = (int64_t)i;
    }
}

int dummy_init(struct dummy *dummy, const struct backend *backend, struct device *device, const struct graph *graph, int batch, struct error *error)
{
    const size_t n = (size_t)batch, pixels = shape_count(graph->nodes[0].out) * n;
    const size_t bytes = (2 * graph->params.total + graph->stats.total) * sizeof(float) + n * (sizeof(int64_t) + sizeof(int32_t)) + pixels;
    void *made;
    *dummy = (struct dummy){ .backend = backend, .device = device };
    if (backend->allocate(device, &dummy->memory, bytes, "a made-up training step", error) || door_allocate(&made, bytes, "a made-up training step", error))
        return -1;
    fill(made, graph, batch, pixels);
    backend->upload(device, dummy->memory, made, bytes);
    int result = backend->sync(device, error);
    door_free(made);
    lay_out(&dummy->step, dummy->memory, graph, batch);
    return result;
}

void dummy_release(struct dummy *dummy)
{
    if (dummy->backend)
        dummy->backend->release(dummy->device, dummy->memory);
    *dummy = (struct dummy){ .memory = NULL };
}
