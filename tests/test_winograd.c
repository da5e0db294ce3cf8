/* Winograd's convolution against plain sums in double precision, at random shapes: maps that do not fill their tiles, all paddings, channel
 * counts that fill no block, batches that fill no group. Values are arbitrary, so that rounding shows. */
#include "tests/segment.h"

#include "base/door.h"
#include "cpu/cpu.h"
#include "nets/layers.h"
#include "tests/tests.h"

#include <math.h>

enum { ROUNDS = 60 };

/* Relative to the largest value. 2e-6 was the most that was measured; plain sums are off by up to 1e-6. */
static const double tolerance = 6e-6;

struct shapes { struct shape in, out; int batch, pad; bool no_bias; };

static void draw_floats(struct draws *draws, float *values, size_t n)
{
    for (size_t i = 0; i < n; i++)
        values[i] = (float)((double)draw(draws) * 0x1p-31 - 1);
}

static struct shapes draw_shapes(struct draws *draws)
{
    struct shapes s = { .batch = 1 + draw_below(draws, 40), .pad = draw_below(draws, 3), .no_bias = draw_below(draws, 2) };
    s.in = (struct shape){ 8 + draw_below(draws, draw_below(draws, 4) ? 14 : 123), 3 + draw_below(draws, 9), 3 + draw_below(draws, 16) };
    s.out = (struct shape){ 8 + draw_below(draws, s.in.c > 22 ? 14 : 123), s.in.h + 2 * s.pad - 2, s.in.w + 2 * s.pad - 2 };
    if (s.in.c + s.out.c > 60)
        s.batch = 1 + s.batch % 5;
    return s;
}

static void open_conv(struct segment *segment, struct graph *graph, const struct shapes *s)
{
    struct error error = { 0 };
    graph_init(graph, "winograd", &(struct input_args){ .c = 2, .h = s->in.h, .w = s->in.w });
    int x = conv(graph, 0, "in", &(struct conv_args){ .filters = s->in.c, .size = 1 });
    int y = conv(graph, x, "op", &(struct conv_args){ .filters = s->out.c, .size = 3, .pad = s->pad, .no_bias = s->no_bias });
    loss(graph, linear(graph, y, "out", 2), 0);
    if (graph_finish(graph, &error))
        fail_msg("%s", error.text);
    segment_open(segment, &(struct plan_request){ &backend_lanes, NULL, graph, s->batch, true, PRECISION_FP32 }, y, y);
}

static size_t at(struct shape s, int n, int c, int y, int x) { return (((size_t)n * (size_t)s.c + (size_t)c) * (size_t)s.h + (size_t)y) * (size_t)s.w + (size_t)x; }

/* y, dx, dw of plain sums; w: weights, then bias. */
static void plain(const struct shapes *s, const float *x, const float *w, const float *dy, double *y, double *dx, double *dw)
{
    const struct shape taps = { s->in.c, 3, 3 };
    const size_t bias = at(taps, s->out.c, 0, 0, 0);
    for (int n = 0; n < s->batch; n++)
        for (int f = 0; f < s->out.c; f++)
            for (int oy = 0; oy < s->out.h; oy++)
                for (int ox = 0; ox < s->out.w; ox++) {
                    const size_t o = at(s->out, n, f, oy, ox);
                    const double d = (double)dy[o];
                    double sum = s->no_bias ? 0 : (double)w[bias + (size_t)f];
                    if (!s->no_bias)
                        dw[bias + (size_t)f] += d;
                    for (int c = 0; c < s->in.c; c++)
                        for (int k = 0; k < 9; k++) {
                            const int iy = oy + k / 3 - s->pad, ix = ox + k % 3 - s->pad;
                            if (iy < 0 || iy >= s->in.h || ix < 0 || ix >= s->in.w)
                                continue;
                            const size_t i = at(s->in, n, c, iy, ix), t = at(taps, f, c, k / 3, k % 3);
                            sum += (double)w[t] * (double)x[i];
                            dx[i] += d * (double)w[t];
                            dw[t] += d * (double)x[i];
                        }
                    y[o] = sum;
                }
}

static void agree(const struct shapes *s, const char *what, const double *expected, const float *got, size_t n)
{
    double most = 0, worst = 0;
    for (size_t i = 0; i < n; i++) {
        const double off = fabs(expected[i] - (double)got[i]);
        most = fmax(most, fabs(expected[i]));
        worst = off <= worst ? worst : off; /* a NaN stays */
    }
    if (!(worst <= tolerance * most))
        fail_msg("%s off by %g, batch %d, %d x %d x %d to %d, padding %d", what, worst / most, s->batch, s->in.c, s->in.h, s->in.w, s->out.c, s->pad);
}

/* A NaN in the input reaches at least what it reaches in plain sums. */
static void nan_reaches(struct draws *draws, const struct shapes *s, struct segment *segment, size_t begin, float *x, float *y, const float *dy)
{
    const struct shape taps = { s->in.c, 3, 3 };
    const int n = s->batch - 1, c = draw_below(draws, s->in.c), iy = draw_below(draws, s->in.h), ix = draw_below(draws, s->in.w);
    x[at(s->in, n, c, iy, ix)] = NAN;
    segment_set_input(segment, 0, x);
    segment_forward(segment, y);
    segment_backward(segment, dy);
    for (int k = 0; k < 9; k++) {
        const int oy = iy - k / 3 + s->pad, ox = ix - k % 3 + s->pad;
        if (oy < 0 || oy >= s->out.h || ox < 0 || ox >= s->out.w)
            continue;
        for (int f = 0; f < s->out.c; f++) {
            assert_true(isnan(y[at(s->out, n, f, oy, ox)]));
            assert_true(isnan(segment->gradient[begin + at(taps, f, c, k / 3, k % 3)]));
        }
    }
}

static void one_round(struct draws *draws)
{
    const struct shapes s = draw_shapes(draws);
    struct segment segment;
    struct graph graph;
    size_t begin, end;
    open_conv(&segment, &graph, &s);
    segment_params(&segment, &begin, &end);
    const size_t n_x = (size_t)s.batch * shape_count(s.in), n_y = (size_t)s.batch * shape_count(s.out), n_w = end - begin;
    float *x = floats_new(n_x), *dy = floats_new(n_y), *y = floats_new(n_y), *dx = floats_new(n_x);
    void *block;
    struct error error = { 0 };
    if (door_allocate(&block, (n_y + n_x + n_w) * sizeof(double), "plain sums", &error))
        fail_msg("%s", error.text);
    double *expected_y = block, *expected_dx = expected_y + n_y, *expected_dw = expected_dx + n_x;
    draw_floats(draws, x, n_x);
    draw_floats(draws, dy, n_y);
    draw_floats(draws, segment.weights, graph.params.total);
    segment_set_input(&segment, 0, x);
    segment_forward(&segment, y);
    segment_backward(&segment, dy);
    assert_true(segment_input_gradient(&segment, 0, dx));
    plain(&s, x, segment.weights + begin, dy, expected_y, expected_dx, expected_dw);
    agree(&s, "output", expected_y, y, n_y);
    agree(&s, "input's gradient", expected_dx, dx, n_x);
    agree(&s, "parameters' gradient", expected_dw, segment.gradient + begin, n_w);
    nan_reaches(draws, &s, &segment, begin, x, y, dy);
    door_free(x);
    door_free(dy);
    door_free(y);
    door_free(dx);
    door_free(block);
    segment_close(&segment);
    graph_release(&graph);
}

static void test_random_shapes(void **state)
{
    (void)state;
    struct draws draws = { 21, 0 };
    for (int i = 0; i < ROUNDS; i++)
        one_round(&draws);
}

int test_winograd(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_random_shapes) };
    return cmocka_run_group_tests_name("winograd", tests, NULL, NULL);
}
