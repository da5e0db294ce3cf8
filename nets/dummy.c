/* See dummy.h. */
#include "nets/dummy.h"

#include "base/door.h"
#include "base/philox.h"
#include "base/sizes.h"

/* Where the vectors lie in one block, which is on the host and again on the device: each at a multiple of DOOR_ALIGNMENT, as vectors of a run do. */
enum { WEIGHTS, GRADIENT, STATS, INDEX, LABELS, PIXELS, PARTS };
struct parts { size_t at[PARTS], bytes; };

static struct parts lay_out(const struct graph *graph, size_t n)
{
    const size_t params = graph->params.total * sizeof(float);
    const size_t sizes[PARTS] = { params, params, graph->stats.total * sizeof(float), n * sizeof(int64_t), n * sizeof(int32_t), n * shape_count(graph->nodes[0].out) };
    struct parts parts = { .bytes = 0 };
    for (int i = 0; i < PARTS; i++) {
        parts.at[i] = parts.bytes;
        parts.bytes += round_up(sizes[i], DOOR_ALIGNMENT);
    }
    return parts;
}

static void *part(void *memory, const struct parts *parts, int i) { return (char *)memory + parts->at[i]; }

static void fill(void *memory, const struct parts *parts, const struct graph *graph, size_t n)
{
    int64_t *index = part(memory, parts, INDEX);
    int32_t *labels = part(memory, parts, LABELS);
    uint8_t *pixels = part(memory, parts, PIXELS);
    graph_init_weights(graph, 1, part(memory, parts, WEIGHTS));
    graph_init_stats(graph, part(memory, parts, STATS));
    for (size_t i = 0; i < n * shape_count(graph->nodes[0].out); i++)
        pixels[i] = (uint8_t)philox(1, 0, i).word[0];
    for (size_t i = 0; i < n; i++) {
        labels[i] = (int32_t)(i % (size_t)graph->classes);
        index[i] = (int64_t)i;
    }
}

int dummy_init(struct dummy *dummy, const struct backend *backend, struct device *device, const struct graph *graph, int batch, struct error *error)
{
    const struct parts parts = lay_out(graph, (size_t)batch);
    void *made, *memory;
    *dummy = (struct dummy){ .backend = backend, .device = device };
    if (backend->allocate(device, &memory, parts.bytes, "a made-up training step", error))
        return -1;
    dummy->memory = memory;
    if (door_allocate(&made, parts.bytes, "a made-up training step", error))
        return -1;
    fill(made, &parts, graph, (size_t)batch);
    backend->upload(device, memory, made, parts.bytes);
    int result = backend->sync(device, error);
    door_free(made);
    dummy->step = (struct step){
        .weights = part(memory, &parts, WEIGHTS), .gradient = part(memory, &parts, GRADIENT), .stats = part(memory, &parts, STATS), .repack = true, .fixed = true,
        .pixels = part(memory, &parts, PIXELS), .labels = part(memory, &parts, LABELS), .index = part(memory, &parts, INDEX), .n = batch,
    };
    return result;
}

void dummy_release(struct dummy *dummy)
{
    if (dummy->backend)
        dummy->backend->release(dummy->device, dummy->memory);
    *dummy = (struct dummy){ .memory = NULL };
}
