/* Plans as a whole: random graphs with branches on every backend against the reference, the same bits when a step is repeated, places
 * that never overlap, hooks in their order, and a step that allocates nothing. */
#include "cpu/cpu.h"
#include "nets/arena.h"
#include "nets/layers.h"
#include "nets/network.h"
#include "nets/operation.h"
#include "tests/gpu.h"
#include "tests/offers.h"
#include "tests/segment.h"
#include "tests/tests.h"

#include "base/door.h"
#include "base/sizes.h"

#include <errno.h>
#include <math.h>
#include <string.h>

static const struct backend *const backends[] = {
    &backend_reference, &backend_lanes,
#ifdef HAVE_ONEDNN
    &backend_onednn, &backend_onednn_nhwc,
#endif
};
enum { N_BACKENDS = sizeof backends / sizeof *backends, CLASSES = 7 };

/* ---- random graphs ---- */

static int conv_same(struct graph *graph, int x, int filters, int size, struct draws *draws)
{
    char name[8] = "c";
    name[1] = (char)('0' + graph->n_nodes / 10), name[2] = (char)('0' + graph->n_nodes % 10);
    return conv(graph, x, name, &(struct conv_args){ .filters = filters, .size = size, .pad = size / 2, .no_bias = draw_below(draws, 3) == 0 });
}

static int residual(struct graph *graph, int x, struct draws *draws)
{
    int c = graph->nodes[x].out.c;
    int y = conv_same(graph, relu(graph, conv_same(graph, x, 1 + draw_below(draws, 9), 3, draws)), c, 3, draws);
    return relu(graph, add(graph, y, x));
}

static int batchnorm_here(struct graph *graph, int x)
{
    char name[8] = "b";
    name[1] = (char)('0' + graph->n_nodes / 10), name[2] = (char)('0' + graph->n_nodes % 10);
    return batchnorm(graph, x, name);
}

/* Either branch may be normalized, the later one or both, and stand on either side of the sum. */
static int normalized_residual(struct graph *graph, int x, struct draws *draws)
{
    int across = draw_below(draws, 2) ? batchnorm_here(graph, conv_same(graph, x, 6, 1, draws)) : conv_same(graph, x, 6, 1, draws);
    int y = batchnorm_here(graph, conv_same(graph, x, 6, 3, draws));
    int sum = draw_below(draws, 2) ? add(graph, y, across) : add(graph, across, y);
    sum = draw_below(draws, 2) ? relu(graph, sum) : sum;
    return relu(graph, add(graph, sum, batchnorm_here(graph, sum)));
}

/* One tensor with four readers, one of them twice. */
static int fan(struct graph *graph, int x, struct draws *draws)
{
    int branches[] = { conv_same(graph, x, 5, 1, draws), relu(graph, x), conv_same(graph, x, 3, 3, draws), add(graph, x, x) };
    return concat(graph, branches, 4);
}

static int normalized(struct graph *graph, int x, struct draws *draws)
{
    return relu(graph, batchnorm_here(graph, conv_same(graph, x, 2 + draw_below(draws, 6), 3, draws)));
}

static int shrink(struct graph *graph, int x, struct draws *draws)
{
    struct shape shape = graph->nodes[x].out;
    x = conv_same(graph, x, 4 + draw_below(draws, 5), 3, draws);
    if (draw_below(draws, 2))
        x = relu(graph, x);
    return shape.h < 4 || shape.w < 4 ? x : pool(graph, x, &(struct pool_args){ .kind = draw_below(draws, 2) ? POOL_MAX : POOL_AVERAGE, .size = 2, .stride = 2 });
}

static int other(struct graph *graph, int x, struct draws *draws)
{
    return draw_below(draws, 2) ? dropout(graph, x, 0.3f) : lrn(graph, x, &(struct lrn_args){ .size = 3, .alpha = 0.1f });
}

static void any_graph(struct graph *graph, struct draws *draws)
{
    static int (*const parts[])(struct graph *, int, struct draws *) = { residual, normalized_residual, fan, normalized, shrink, other };
    struct error error = { 0 };
    graph_init(graph, "random", &(struct input_args){ .c = draw_below(draws, 2) ? 1 : 3, .h = 5 + draw_below(draws, 6), .w = 5 + draw_below(draws, 6), .mean = { 0.5f, 0.5f, 0.5f }, .std = { 0.3f, 0.3f, 0.3f } });
    int x = 0;
    for (int n = 2 + draw_below(draws, 4); n > 0; n--)
        x = parts[draw_below(draws, 6)](graph, x, draws);
    x = draw_below(draws, 2) ? global_avgpool(graph, conv_same(graph, x, 8, 1, draws)) : relu(graph, linear(graph, x, "hidden", 20));
    loss(graph, linear(graph, x, "out", CLASSES), draw_below(draws, 2) ? 0.1f : 0);
    if (graph_finish(graph, &error))
        fail_msg("%s", error.text);
}

/* ---- one whole step ---- */

struct whole { const struct graph *graph; const struct backend *backend; struct device *device; struct plan *plan; int batch; bool training; enum precision precision; };

/* What goes into a step and what comes out. */
struct record { float *weights, *gradient, *stats, *logits; uint8_t *pixels; int32_t labels[64]; int64_t index[64]; struct step_result result; };

static void whole_open_in(enum precision precision, struct whole *whole, const struct backend *backend, const struct graph *graph, int batch, bool training)
{
    struct error error = { 0 };
    *whole = (struct whole){ .graph = graph, .backend = backend, .batch = batch, .training = training, .precision = precision };
    if (backend->device_open(&whole->device, backend->host_memory ? -1 : 0, &error) || plan_make(&whole->plan, &(struct plan_request){ backend, whole->device, graph, batch, training, precision }, &error))
        fail_msg("%s: %s", backend->name, error.text);
}

static void whole_open(struct whole *whole, const struct backend *backend, const struct graph *graph, int batch, bool training)
{
    whole_open_in(PRECISION_FP32, whole, backend, graph, batch, training);
}

static void whole_close(struct whole *whole)
{
    plan_free(whole->plan);
    whole->backend->device_close(whole->device);
}

static void record_init(struct record *record, const struct graph *graph, int batch, uint64_t key)
{
    struct draws draws = { key, 0 };
    struct error error = { 0 };
    void *pixels;
    size_t n = (size_t)batch * shape_count(graph->nodes[0].out);
    *record = (struct record){ .weights = floats_new(graph->params.total), .gradient = floats_new(graph->params.total), .stats = floats_new(graph->stats.total),
                               .logits = floats_new((size_t)batch * (size_t)graph->classes) };
    assert_int_equal(door_allocate(&pixels, n, "pixels", &error), 0);
    record->pixels = pixels;
    for (size_t i = 0; i < n; i++)
        record->pixels[i] = (uint8_t)draw_below(&draws, 256);
    for (int b = 0; b < batch; b++) {
        record->labels[b] = draw_below(&draws, graph->classes);
        record->index[b] = draw_below(&draws, 60000);
    }
    graph_init_weights(graph, key, record->weights);
    graph_init_stats(graph, record->stats);
}

static void record_free(struct record *record)
{
    door_free(record->weights);
    door_free(record->gradient);
    door_free(record->stats);
    door_free(record->logits);
    door_free(record->pixels);
}

static void run(struct whole *whole, struct record *record, const struct step *now, const struct plan_hooks *hooks)
{
    struct error error = { 0 };
    if (plan_forward(whole->plan, now, hooks, &error) || (whole->training && plan_backward(whole->plan, now, hooks, &error)))
        fail_msg("%s: %s", whole->backend->name, error.text);
    plan_logits(whole->plan, record->logits);
    if (plan_result(whole->plan, 0, &record->result, &error))
        fail_msg("%s: %s", whole->backend->name, error.text);
}

static void *take(char **room, size_t bytes)
{
    void *place = *room;
    *room += round_up(bytes, DOOR_ALIGNMENT);
    return place;
}

/* With a copy of the record in the device's memory. */
static void run_there(struct whole *whole, struct record *record, struct step now)
{
    const struct backend *backend = whole->backend;
    const size_t weights = whole->graph->params.total * sizeof(float), stats = whole->graph->stats.total * sizeof(float), pixels = (size_t)whole->batch * shape_count(whole->graph->nodes[0].out);
    struct error error = { 0 };
    void *block, *vectors[6];
    if (backend->allocate(whole->device, &block, 2 * weights + stats + pixels + sizeof record->labels + sizeof record->index + 6 * DOOR_ALIGNMENT, "test", &error))
        fail_msg("%s: %s", backend->name, error.text);
    char *room = block;
    const void *from[6] = { record->weights, record->gradient, record->stats, record->pixels, record->labels, record->index };
    const size_t bytes[6] = { weights, weights, stats, pixels, sizeof record->labels, sizeof record->index };
    for (int i = 0; i < 6; i++)
        backend->upload(whole->device, vectors[i] = take(&room, bytes[i]), from[i], bytes[i]);
    now.weights = vectors[0], now.gradient = now.gradient ? vectors[1] : NULL, now.stats = vectors[2];
    now.pixels = vectors[3], now.labels = vectors[4], now.index = vectors[5];
    run(whole, record, &now, NULL);
    backend->copy(whole->device, record->gradient, vectors[1], whole->graph->params.total);
    backend->copy(whole->device, record->stats, vectors[2], whole->graph->stats.total);
    if (backend->sync(whole->device, &error))
        fail_msg("%s: %s", backend->name, error.text);
    backend->release(whole->device, block);
}

static void step(struct whole *whole, struct record *record, const struct plan_hooks *hooks)
{
    const struct step now = { .weights = record->weights, .gradient = whole->training ? record->gradient : NULL, .stats = record->stats, .repack = true, .pixels = record->pixels,
                              .labels = record->labels, .index = record->index, .n = whole->batch - whole->batch / 5, .seed = 3, .epoch = 1,
                              .loss_scale = whole->precision == PRECISION_FP16 ? 1024 : 0 };
    if (whole->backend->host_memory)
        run(whole, record, &now, hooks);
    else
        run_there(whole, record, now);
}

/* Of the root mean square: a sum that rounds to the other side of a ReLU's corner changes single elements, and little of the whole. */
static double off(const float *expected, const float *got, size_t n)
{
    double error = 0, whole = 1e-30;
    for (size_t i = 0; i < n; i++) {
        error += ((double)expected[i] - (double)got[i]) * ((double)expected[i] - (double)got[i]);
        whole += (double)expected[i] * (double)expected[i];
    }
    return isfinite(error) ? sqrt(error / whole) : 1e30;
}

/* Where both sides round what they store, sums in another order may round to a neighbour, and from there on they differ. */
static void compare(const struct backend *backend, enum precision precision, const struct graph *graph, int batch, bool training, uint64_t key)
{
    const double few = precision == PRECISION_BF16 ? 0x1p-6 : precision == PRECISION_FP16 ? 0x1p-9 : 1e-4;
    const double more = precision == PRECISION_BF16 ? 0x1p-4 : precision == PRECISION_FP16 ? 0x1p-7 : 1e-3;
    struct whole a, b;
    struct record expected, got;
    whole_open_in(precision, &a, &backend_reference, graph, batch, training);
    whole_open_in(precision, &b, backend, graph, batch, training);
    record_init(&expected, graph, batch, key);
    record_init(&got, graph, batch, key);
    step(&a, &expected, NULL);
    step(&b, &got, NULL);
    double logits = off(expected.logits, got.logits, (size_t)batch * (size_t)graph->classes), gradient = off(expected.gradient, got.gradient, graph->params.total);
    double stats = off(expected.stats, got.stats, graph->stats.total), sum = fabs(expected.result.loss_sum / got.result.loss_sum - 1);
    if (!(logits < few && gradient < more && stats < few && sum < few))
        fail_msg("%s in %s: graph %lu: logits off by %g, gradient by %g, statistics by %g, loss by %g", backend->name, precision_name(precision), (unsigned long)key, logits, gradient, stats, sum);
    record_free(&expected);
    record_free(&got);
    whole_close(&a);
    whole_close(&b);
}

static void test_random_graphs(void **state)
{
    (void)state;
    static const int batches[] = { 2, 7, 16, 33 };
    struct draws draws = { 31, 0 };
    for (uint64_t round = 0; round < 24; round++) {
        struct graph graph;
        any_graph(&graph, &draws);
        for (int i = 1; i < N_BACKENDS; i++) {
            compare(backends[i], PRECISION_FP32, &graph, batches[round % 4], true, round);
            compare(backends[i], PRECISION_FP32, &graph, batches[round % 4], false, round);
        }
        graph_release(&graph);
    }
}

static void test_random_graphs_in_bf16(void **state)
{
    static const int batches[] = { 2, 7, 16, 33 };
    const struct backend *backend = backend_or_skip(state, PRECISION_BF16);
    struct draws draws = { 31, 0 };
    for (uint64_t round = 0; round < 24; round++) {
        struct graph graph;
        any_graph(&graph, &draws);
        compare(backend, PRECISION_BF16, &graph, batches[round % 4], true, round);
        graph_release(&graph);
    }
}

/* On a GPU besides: a step repeated in another plan gives the same bytes. */
static void test_gpu(void **state)
{
    (void)state;
    const struct backend *gpu = gpu_or_skip();
    struct draws draws = { 41, 0 };
    for (uint64_t round = 0; round < 5; round++) {
        struct graph graph;
        struct whole whole;
        struct record records[2];
        any_graph(&graph, &draws);
        for (int p = 0; p < PRECISIONS; p++)
            compare(gpu, (enum precision)p, &graph, round % 2 ? 7 : 18, true, round);
        compare(gpu, PRECISION_FP32, &graph, 5, false, round);
        for (int k = 0; k < 2; k++) {
            whole_open_in(PRECISION_BF16, &whole, gpu, &graph, 7, true);
            record_init(&records[k], &graph, 7, round);
            step(&whole, &records[k], NULL);
            whole_close(&whole);
        }
        assert_memory_equal(records[0].gradient, records[1].gradient, graph.params.total * sizeof(float));
        assert_memory_equal(records[0].stats, records[1].stats, graph.stats.total * sizeof(float));
        assert_true(records[0].result.loss_sum == records[1].result.loss_sum);
        record_free(&records[0]);
        record_free(&records[1]);
        graph_release(&graph);
    }
}

/* Where a block begins its first convolution adds to the gradient that is there, by an engine that does so (one of the emulated library's does not). */
static void test_gpu_adds(void **state)
{
    (void)state;
    const struct backend *gpu = gpu_or_skip();
    struct draws draws = { 43, 0 };
    struct error error = { 0 };
    struct graph graph;
    struct whole whole;
    int added = 0;
    graph_init(&graph, "two blocks", &(struct input_args){ .c = 3, .h = 6, .w = 5, .std = { 1, 1, 1 } });
    int x = residual(&graph, residual(&graph, conv_same(&graph, 0, 8, 3, &draws), &draws), &draws);
    loss(&graph, linear(&graph, x, "out", CLASSES), 0);
    if (graph_finish(&graph, &error))
        fail_msg("%s", error.text);
    whole_open(&whole, gpu, &graph, 5, true);
    for (int i = 0; i < whole.plan->n; i++)
        for (int k = 0; k < whole.plan->operations[i].n_inputs; k++) {
            added += whole.plan->operations[i].added[k] != NULL;
            assert_null(whole.plan->operations[i].sums[k]);
        }
    assert_int_equal(added, 2);
    whole_close(&whole);
    for (int p = 0; p < PRECISIONS; p++)
        compare(gpu, (enum precision)p, &graph, 5, true, 6);
    graph_release(&graph);
}

/* More filters than one launch packs. */
static void test_gpu_packs(void **state)
{
    (void)state;
    enum { CONVOLUTIONS = 48, FILTERS = 4 };
    const struct backend *gpu = gpu_or_skip();
    struct draws draws = { 42, 0 };
    struct error error = { 0 };
    struct graph graph;
    graph_init(&graph, "many filters", &(struct input_args){ .c = 3, .h = 5, .w = 4, .std = { 1, 1, 1 } });
    int x = conv_same(&graph, 0, FILTERS, 1, &draws);
    for (int i = 1; i < CONVOLUTIONS; i++)
        x = add(&graph, x, conv_same(&graph, 0, FILTERS, i % 2 ? 3 : 1, &draws));
    loss(&graph, linear(&graph, x, "out", CLASSES), 0);
    if (graph_finish(&graph, &error))
        fail_msg("%s", error.text);
    for (int p = 0; p < PRECISIONS; p++)
        compare(gpu, (enum precision)p, &graph, 3, true, 5);
    graph_release(&graph);
}

static double loss_along(struct whole *whole, struct record *record, const float *start, const float *gradient, double length)
{
    for (size_t i = 0; i < whole->graph->params.total; i++)
        record->weights[i] = (float)((double)start[i] + length * (double)gradient[i]);
    step(whole, record, NULL);
    return record->result.loss_sum / whole->batch;
}

/* The loss along its own gradient has the gradient's norm as slope: branches are added up, and every operation got what it wants. */
static void test_slope(void **state)
{
    (void)state;
    struct draws draws = { 38, 0 };
    for (uint64_t round = 0; round < 16; round++) {
        struct graph graph;
        struct whole whole;
        struct record at, moved;
        double squares = 0;
        any_graph(&graph, &draws);
        whole_open(&whole, &backend_reference, &graph, 7, true);
        record_init(&at, &graph, 7, round);
        record_init(&moved, &graph, 7, round);
        step(&whole, &at, NULL);
        for (size_t i = 0; i < graph.params.total; i++)
            squares += (double)at.gradient[i] * (double)at.gradient[i];
        double h = 3e-4 / sqrt(squares);
        double rise = loss_along(&whole, &moved, at.weights, at.gradient, h) - loss_along(&whole, &moved, at.weights, at.gradient, -h);
        if (!(fabs(rise / (2 * h * squares) - 1) < 0.02))
            fail_msg("graph %lu: slope %g, gradient's norm squared %g", (unsigned long)round, rise / (2 * h), squares);
        record_free(&at);
        record_free(&moved);
        whole_close(&whole);
        graph_release(&graph);
    }
}

/* A second step on the same input, in a plan whose memory now holds the first, and a third in another plan, give the first one's bytes. */
static void test_repeats(void **state)
{
    (void)state;
    struct draws draws = { 32, 0 };
    for (int round = 0; round < 6; round++) {
        struct graph graph;
        any_graph(&graph, &draws);
        for (int i = 0; i < N_BACKENDS; i++) {
            struct whole plans[2];
            struct record first, again;
            for (int k = 0; k < 2; k++)
                whole_open(&plans[k], backends[i], &graph, 7, true);
            record_init(&first, &graph, 7, 4);
            step(&plans[0], &first, NULL);
            for (int k = 0; k < 2; k++) {
                record_init(&again, &graph, 7, 4);
                memset(again.gradient, 0xff, graph.params.total * sizeof(float));
                step(&plans[k], &again, NULL);
                assert_memory_equal(first.gradient, again.gradient, graph.params.total * sizeof(float));
                assert_memory_equal(first.logits, again.logits, 7 * CLASSES * sizeof(float));
                assert_true(first.result.loss_sum == again.result.loss_sum);
                record_free(&again);
                whole_close(&plans[k]);
            }
            record_free(&first);
        }
        graph_release(&graph);
    }
}

/* ---- places ---- */

static void test_arena(void **state)
{
    (void)state;
    enum { SPANS = 60 };
    struct draws draws = { 33, 0 };
    for (int round = 0; round < 200; round++) {
        struct span spans[SPANS], *list[SPANS];
        size_t total, busiest = 0;
        for (int i = 0; i < SPANS; i++) {
            int first = draw_below(&draws, 40);
            spans[i] = (struct span){ .bytes = 1 + (size_t)draw_below(&draws, 1000), .first = first, .last = first + draw_below(&draws, 10) };
            list[i] = &spans[i];
        }
        total = arena_place(list, SPANS);
        for (int i = 0; i < SPANS; i++) {
            const struct span *a = &spans[i];
            assert_int_equal(a->offset % 64, 0);
            assert_true(a->offset + a->bytes <= total);
            for (int k = 0; k < i; k++) {
                const struct span *b = &spans[k];
                bool at_once = a->first <= b->last && b->first <= a->last, share = a->offset < b->offset + b->bytes && b->offset < a->offset + a->bytes;
                assert_false(at_once && share);
            }
        }
        for (int now = 0; now < 50; now++) {
            size_t live = 0;
            for (int i = 0; i < SPANS; i++)
                live += spans[i].first <= now && now <= spans[i].last ? spans[i].bytes : 0;
            busiest = live > busiest ? live : busiest;
        }
        assert_true(total <= 2 * busiest + 64 * SPANS); /* greedy, but not wasteful */
    }
}

static void test_evaluation_takes_less(void **state)
{
    (void)state;
    struct network_request request = { .input = { .c = 1, .h = 28, .w = 28 }, .classes = 10 };
    struct error error = { 0 };
    struct graph graph;
    assert_int_equal(network_build(&graph, "lenet5", &request, &error), 0);
    for (int i = 0; i < N_BACKENDS; i++) {
        struct whole training, evaluation;
        whole_open(&training, backends[i], &graph, 64, true);
        whole_open(&evaluation, backends[i], &graph, 64, false);
        assert_true(plan_bytes(evaluation.plan) < plan_bytes(training.plan));
        whole_close(&training);
        whole_close(&evaluation);
    }
    graph_release(&graph);
}

/* ---- hooks ---- */

struct calls { size_t begin[2][16], end[2][16]; int n[2]; int fail_at; };

static int noted(struct calls *calls, int which, size_t begin, size_t end, struct error *error)
{
    if (calls->n[0] + calls->n[1] == calls->fail_at)
        return fail(error, EXIT_WORKERS, "stopped");
    calls->begin[which][calls->n[which]] = begin;
    calls->end[which][calls->n[which]++] = end;
    return 0;
}

static int need(void *context, size_t begin, size_t end, struct error *error) { return noted(context, 0, begin, end, error); }
static int ready(void *context, size_t begin, size_t end, struct error *error) { return noted(context, 1, begin, end, error); }

/* Each layer's range once, without gaps: forward in order, backward in the reverse. */
static void test_hooks(void **state)
{
    (void)state;
    struct draws draws = { 34, 0 };
    struct graph graph;
    any_graph(&graph, &draws);
    for (int i = 0; i < N_BACKENDS; i++) {
        struct calls calls = { .fail_at = -1 };
        struct whole whole;
        struct record record;
        whole_open(&whole, backends[i], &graph, 7, true);
        record_init(&record, &graph, 7, 1);
        step(&whole, &record, &(struct plan_hooks){ .context = &calls, .need = need, .ready = ready });
        assert_int_equal(calls.n[0], calls.n[1]);
        for (int k = 0; k < calls.n[0]; k++) {
            assert_int_equal(calls.begin[0][k], k ? calls.end[0][k - 1] : 0);
            assert_int_equal(calls.begin[1][k], calls.begin[0][calls.n[0] - 1 - k]);
            assert_int_equal(calls.end[1][k], calls.end[0][calls.n[0] - 1 - k]);
        }
        assert_int_equal(calls.end[0][calls.n[0] - 1], graph.params.total);
        record_free(&record);
        whole_close(&whole);
    }
    graph_release(&graph);
}

static void test_hook_fails(void **state)
{
    (void)state;
    struct draws draws = { 35, 0 };
    struct graph graph;
    struct whole whole;
    struct record record;
    any_graph(&graph, &draws);
    whole_open(&whole, &backend_reference, &graph, 7, true);
    record_init(&record, &graph, 7, 1);
    struct step now = { .weights = record.weights, .gradient = record.gradient, .stats = record.stats, .pixels = record.pixels, .labels = record.labels, .index = record.index, .n = 7 };
    struct calls at_once = { .fail_at = 0 }, later = { .fail_at = 1 };
    struct error error = { 0 };
    assert_int_equal(plan_forward(whole.plan, &now, &(struct plan_hooks){ .context = &at_once, .need = need, .ready = ready }, &error), -1);
    assert_int_equal(error.code, EXIT_WORKERS);
    error.code = 0;
    assert_int_equal(plan_forward(whole.plan, &now, &(struct plan_hooks){ .context = &later, .ready = ready }, &error), 0);
    assert_int_equal(plan_backward(whole.plan, &now, &(struct plan_hooks){ .context = &later, .ready = ready }, &error), -1);
    assert_int_equal(later.n[1], 1);
    record_free(&record);
    whole_close(&whole);
    graph_release(&graph);
}

/* ---- memory ---- */

static void test_step_allocates_nothing(void **state)
{
    (void)state;
    struct draws draws = { 36, 0 };
    struct graph graph;
    any_graph(&graph, &draws);
    for (int i = 0; i < N_BACKENDS; i++) {
        struct whole whole;
        struct record record;
        whole_open(&whole, backends[i], &graph, 16, true);
        record_init(&record, &graph, 16, 1);
        int64_t before = door_calls(DOOR_ALLOCATE);
        for (int k = 0; k < 3; k++)
            step(&whole, &record, NULL);
        assert_int_equal(door_calls(DOOR_ALLOCATE), before);
        record_free(&record);
        whole_close(&whole);
    }
    graph_release(&graph);
}

/* Whichever allocation fails, plan_make says so, and frees the rest (the address sanitizer looks). */
static void test_out_of_memory(void **state)
{
    (void)state;
    struct draws draws = { 37, 0 };
    struct graph graph;
    any_graph(&graph, &draws);
    for (int i = 0; i < N_BACKENDS; i++) {
        struct device *device;
        struct plan *plan = NULL;
        struct error error = { 0 };
        assert_int_equal(backends[i]->device_open(&device, -1, &error), 0);
        for (int n = 1; !plan; n++) {
            assert_true(n < 1000);
            error.code = 0;
            door_fail_at(DOOR_ALLOCATE, n, ENOMEM, false);
            int result = plan_make(&plan, &(struct plan_request){ backends[i], device, &graph, 7, true, PRECISION_FP32 }, &error);
            assert_int_equal(result, plan ? 0 : -1);
            assert_int_equal(error.code, plan ? 0 : EXIT_MEMORY);
        }
        door_fail_at(DOOR_ALLOCATE, 0, 0, false);
        plan_free(plan);
        backends[i]->device_close(device);
    }
    graph_release(&graph);
}

int test_plan(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_graphs),
        ON(test_random_graphs_in_bf16, "onednn"), ON(test_random_graphs_in_bf16, "onednn-nhwc"),
        cmocka_unit_test(test_gpu), cmocka_unit_test(test_gpu_adds), cmocka_unit_test(test_gpu_packs), cmocka_unit_test(test_slope), cmocka_unit_test(test_repeats), cmocka_unit_test(test_arena), cmocka_unit_test(test_evaluation_takes_less),
        cmocka_unit_test(test_hooks), cmocka_unit_test(test_hook_fails), cmocka_unit_test(test_step_allocates_nothing), cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
