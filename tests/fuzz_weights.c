/* libFuzzer's entry to the safetensors reader: whatever the bytes, they are refused with a message, or every weight is a finite number; and no file is still whole
 * without its last byte. Seeds and past failures are in tests/inputs/weights. */
#include "nets/layers.h"
#include "trainer/weights.h"

#include <math.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

enum { FLOATS = 64 };

static int parses(const struct graph *graph, const uint8_t *bytes, size_t n)
{
    struct error error = { 0 };
    float weights[FLOATS], stats[FLOATS] = { 0 };
    for (int i = 0; i < FLOATS; i++)
        weights[i] = NAN;
    if (weights_parse("input", (const char *)bytes, n, graph, weights, stats, &error)) {
        ASSERT((error.code == EXIT_INPUT || error.code == EXIT_MEMORY) && strncmp(error.text, "input: ", 7) == 0);
        return 0;
    }
    for (size_t i = 0; i < graph->params.total; i++)
        ASSERT(isfinite(weights[i]));
    for (size_t i = 0; i < graph->stats.total; i++)
        ASSERT(isfinite(stats[i]));
    ASSERT(error.code == 0 && isnan(weights[graph->params.total]));
    return 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    const struct input_args input = { .c = 2, .h = 1, .w = 1, .std = { 1, 1, 1, 1 } };
    struct graph graph;
    struct error error = { 0 };
    graph_init(&graph, "small", &input);
    loss(&graph, linear(&graph, batchnorm(&graph, linear(&graph, 0, "fc1", 3), "bn1"), "fc2", 2), 0);
    ASSERT(graph_finish(&graph, &error) == 0 && graph.params.total < FLOATS && graph.stats.total < FLOATS);
    if (parses(&graph, bytes, n))
        ASSERT(!parses(&graph, bytes, n - 1));
    graph_release(&graph);
    return 0;
}
