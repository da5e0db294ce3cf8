/* Pooling where its meaning is easily lost: equal maxima, NaNs, infinities, windows that overlap, reach over the border, leave gaps or are the whole plane. Against the
 * reference, on the same bits; of a maximum, output and gradient have the same values. */
#include "base/door.h"
#include "cpu/cpu.h"
#include "nets/layers.h"
#include "tests/gpu.h"
#include "tests/segment.h"
#include "tests/tests.h"

#include <math.h>

struct window_case { struct pool_args args; int h, w; };

static const struct window_case window_cases[] = {
    { { .size = 2, .stride = 2 }, 8, 6 },
    { { .size = 3, .stride = 2, .pad = 1 }, 9, 12 },
    { { .size = 3, .stride = 1, .pad = 2 }, 5, 4 },
    { { .size = 2, .stride = 3, .pad = 1 }, 8, 9 },
    { { .size = 1, .stride = 2 }, 5, 6 },
    { { .size = 8, .stride = 1 }, 8, 8 },
    { { .size = 0 }, 7, 5 },
    { { .size = 0 }, 17, 16 },                        /* more places than a byte counts */
    { { .size = 17, .stride = 5, .pad = 16 }, 13, 9 }, /* the same, hardly any of them inside */
};

struct value_set { const char *name; float values[5]; };

static const struct value_set value_sets[] = {
    { "equal", { 0.5f, 0.5f, 0.5f, 0.5f, 0.5f } },
    { "few", { -1, -1, 0, 0, 1 } },
    { "infinite", { -INFINITY, -INFINITY, -INFINITY, -1, -1 } },
    { "NaN", { -1, NAN, -INFINITY, 2, 2 } },
};

enum { N_SETS = sizeof value_sets / sizeof *value_sets };

enum { PERIOD = 1009 };

struct pooled { float *y, *dx; size_t n_y, n_x; };

/* The same key draws the same input and gradient. */
static struct pooled run(const struct plan_request *request, int node, const float values[5], uint64_t key)
{
    struct segment segment;
    struct draws draws = { key, 0 };
    segment_open(&segment, request, node, node);
    struct pooled pooled = { .n_y = segment_output_floats(&segment), .n_x = segment_input_floats(&segment, 0) };
    float *dy = floats_new(pooled.n_y);
    pooled.y = floats_new(pooled.n_y);
    pooled.dx = floats_new(pooled.n_x);
    for (size_t i = 0; i < pooled.n_x; i++) /* from draws that come again out of step with every side of the input */
        pooled.dx[i] = i < PERIOD ? values[draw_below(&draws, 5)] : pooled.dx[i - PERIOD];
    segment_set_input(&segment, 0, pooled.dx);
    segment_forward(&segment, pooled.y);
    draw_eighths(&draws, dy, pooled.n_y);
    segment_backward(&segment, dy);
    if (request->training)
        assert_true(segment_input_gradient(&segment, 0, pooled.dx));
    door_free(dy);
    segment_close(&segment);
    return pooled;
}

static void pooled_free(struct pooled *pooled)
{
    door_free(pooled->y);
    door_free(pooled->dx);
}

/* Equal: both no number, or the same one, or, where rounding may differ, near. */
static size_t first_difference(const float *expected, const float *got, size_t n, double tolerance)
{
    size_t i = 0;
    while (i < n && (expected[i] == got[i] || (isnan(expected[i]) && isnan(got[i])) || fabs((double)expected[i] - (double)got[i]) <= tolerance * fabs((double)expected[i])))
        i++;
    return i;
}

static void build(struct graph *graph, const struct window_case *window, enum pool_kind kind, int channels, int *node)
{
    struct error error = { 0 };
    struct pool_args args = window->args;
    args.kind = kind;
    graph_init(graph, "pooling", &(struct input_args){ .c = 1, .h = window->h, .w = window->w });
    int x = conv(graph, 0, "in", &(struct conv_args){ .filters = channels, .size = 1 });
    x = concat(graph, &x, 1); /* nothing is fused with the convolution */
    *node = pool(graph, x, &args);
    loss(graph, linear(graph, *node, "out", 2), 0);
    if (graph_finish(graph, &error))
        fail_msg("%s", error.text);
}

struct place { const struct backend *backend; enum precision precision; enum pool_kind kind; const struct window_case *window; int channels, batch; };

static void agree(const struct place *place, const struct value_set *set, const char *what, const float *expected, const float *got, size_t n)
{
    static const double unit[PRECISIONS] = { [PRECISION_FP32] = 0x1p-22, [PRECISION_BF16] = 0x1p-7, [PRECISION_FP16] = 0x1p-10 };
    const size_t at = first_difference(expected, got, n, place->kind == POOL_MAX ? 0 : unit[place->precision]);
    const struct pool_args *args = &place->window->args;
    if (at < n)
        fail_msg("%s in %s: %s of %d/%d padding %d, %d x %d, %d channels, batch %d, values %s: %s[%zu] is %g, want %g", place->backend->name, precision_name(place->precision),
                 place->kind == POOL_MAX ? "maximum" : "average", args->size, args->stride, args->pad, place->window->h, place->window->w, place->channels, place->batch,
                 set->name, what, at, (double)got[at], (double)expected[at]);
}

static void compare(const struct place *place, const struct value_set *set, bool training)
{
    struct graph graph;
    int node;
    build(&graph, place->window, place->kind, place->channels, &node);
    struct plan_request request = { &backend_reference, NULL, &graph, place->batch, training, place->precision };
    struct pooled expected = run(&request, node, set->values, 21);
    request.backend = place->backend;
    struct pooled got = run(&request, node, set->values, 21);
    assert_int_equal(expected.n_y, got.n_y);
    agree(place, set, "output", expected.y, got.y, got.n_y);
    agree(place, set, "input's gradient", expected.dx, got.dx, got.n_x);
    pooled_free(&expected);
    pooled_free(&got);
    graph_release(&graph);
}

/* Every window with the first sets of values, channels and batches in turn. */
static void test_backend(const struct backend *backend, enum precision precision, size_t n_sets)
{
    static const int channels[] = { 1, 3, 20, 50, 64 }, batches[] = { 3, 1, 33, 7 };
    int k = 0;
    for (size_t w = 0; w < sizeof window_cases / sizeof *window_cases; w++)
        for (size_t v = 0; v < n_sets; v++)
            for (int kind = POOL_MAX; kind <= POOL_AVERAGE; kind++, k++) {
                const struct place place = { backend, precision, (enum pool_kind)kind, &window_cases[w], channels[k % 5], batches[k % 4] };
                compare(&place, &value_sets[v], true);
            }
}

static void test_cpu(void **state)
{
    (void)state;
    test_backend(&backend_lanes, PRECISION_FP32, N_SETS - 1); /* to which of its inputs the gradient of a NaN goes is not said there */
}

static void test_gpu(void **state)
{
    (void)state;
    const struct backend *gpu = gpu_or_skip();
    for (int precision = 0; precision < PRECISIONS; precision++)
        test_backend(gpu, (enum precision)precision, N_SETS);
}

/* Nothing is kept where there is no gradient. */
static void test_evaluation(void **state)
{
    (void)state;
    const struct backend *gpu = gpu_or_skip();
    for (size_t w = 0; w < sizeof window_cases / sizeof *window_cases; w++)
        compare(&(struct place){ gpu, PRECISION_BF16, POOL_MAX, &window_cases[w], 16, 5 }, &value_sets[1], false);
}

/* A larger gradient than the GPU is given threads for: each goes through several samples. */
static void test_large(void **state)
{
    static const struct window_case large = { { .size = 2, .stride = 2 }, 183, 184 };
    (void)state;
    const struct backend *gpu = gpu_or_skip();
    compare(&(struct place){ gpu, PRECISION_FP32, POOL_MAX, &large, 1, SEGMENT_BATCH }, &value_sets[1], true);
}

int test_pool(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_cpu), cmocka_unit_test(test_gpu), cmocka_unit_test(test_evaluation), cmocka_unit_test(test_large) };
    return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
