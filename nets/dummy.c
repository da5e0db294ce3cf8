/* See dummy.h. */
#include "nets/dummy.h"

#include "base/door.h"
#include "base/philox.h"

int dummy_init(struct dummy *dummy, const struct graph *graph, int batch, struct error *error)
{
    const size_t n = (size_t)batch, params = graph->params.total, stats = graph->stats.total, pixels = shape_count(graph->nodes[0].out) * n;
    *dummy = (struct dummy){ .memory = NULL };
    if (door_allocate(&dummy->memory, (2 * params + stats) * sizeof(float) + n * (sizeof(int64_t) + sizeof(int32_t)) + pixels, "a made-up training step", error))
        return -1;
    int64_t *index = dummy->memory;
    float *weights = (float *)(index + n), *gradient = weights + params, *running = gradient + params;
    int32_t *labels = (int32_t *)(running + stats);
    uint8_t *bytes = (uint8_t *)(labels + n);
    graph_init_weights(graph, 1, weights);
    graph_init_stats(graph, running);
    for (size_t i = 0; i < pixels; i++)
        bytes[i] = (uint8_t)philox(1, 0, i).word[0];
    for (size_t i = 0; i < n; i++) {
        labels[i] = (int32_t)(i % (size_t)graph->classes);
        index[i] = (int64_t)i;
    }
    dummy->step = (struct step){
        .weights = weights, .gradient = gradient, .stats = running, .repack = true, .pixels = bytes, .labels = labels, .index = index, .n = batch,
    };
    return 0;
}

void dummy_release(struct dummy *dummy)
{
    door_free(dummy->memory);
    *dummy = (struct dummy){ .memory = NULL };
}
