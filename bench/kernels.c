/* The lanes backend's convolution and fully connected kernels, one by one: compared with plain loops in double precision, then timed in
 * each direction on one core.
 *
 *     [ISA=v3] kernels [batch [part of a kernel's name]]        (64, all)
 *
 * A row says how far the worst output and gradient are off, relative to the largest, and for each pass the time and GFLOP/s of the multiply-adds that
 * plain sums would take: outputs, the filters' gradient, the input's. */
#include "bench/isa.h"
#include "bench/peak.h"

#include "base/door.h"
#include "base/error.h"
#include "base/sizes.h"
#include "cpu/cpu.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A fully connected layer is a convolution whose size is the whole plane, with `linear` set. */
struct kernel_case {
    const char *name;
    struct shape in;
    struct conv_args conv;
    bool linear, no_dinput;
};

#define POOL22 { .kind = POOL_MAX, .size = 2, .stride = 2 }

static const struct kernel_case cases[] = {
    { .name = "lenet conv1, pooled", .in = { 1, 28, 28 }, .conv = { .filters = 20, .size = 5, .stride = 1,
        .pool = POOL22 }, .no_dinput = true },
    { .name = "lenet conv2, pooled", .in = { 20, 12, 12 }, .conv = { .filters = 50, .size = 5, .stride = 1,
        .pool = POOL22 } },
    { .name = "lenet conv2, pooled, no din", .in = { 20, 12, 12 }, .conv = { .filters = 50, .size = 5, .stride = 1,
        .pool = POOL22 }, .no_dinput = true },
    { .name = "lenet conv2, relu", .in = { 20, 12, 12 }, .conv = { .filters = 50, .size = 5, .stride = 1, .relu = true } },
    { .name = "lenet fc1, relu", .in = { 50, 4, 4 }, .conv = { .filters = 500, .size = 4, .stride = 1, .relu = true }, .linear = true },
    { .name = "lenet fc2", .in = { 500, 1, 1 }, .conv = { .filters = 10, .size = 1, .stride = 1 }, .linear = true },
    { .name = "resnet 3x3, 3->16 at 32", .in = { 3, 32, 32 }, .conv = { .filters = 16, .size = 3, .stride = 1, .pad = 1, .no_bias = true }, .no_dinput = true },
    { .name = "resnet 3x3, 16 at 32", .in = { 16, 32, 32 }, .conv = { .filters = 16, .size = 3, .stride = 1, .pad = 1, .no_bias = true } },
    { .name = "resnet 3x3, 16->32 /2", .in = { 16, 32, 32 }, .conv = { .filters = 32, .size = 3, .stride = 2, .pad = 1, .no_bias = true } },
    { .name = "resnet 1x1, 16->32 /2", .in = { 16, 32, 32 }, .conv = { .filters = 32, .size = 1, .stride = 2, .no_bias = true } },
    { .name = "resnet 3x3, 32 at 16", .in = { 32, 16, 16 }, .conv = { .filters = 32, .size = 3, .stride = 1, .pad = 1, .no_bias = true } },
    { .name = "resnet 3x3, 64 at 8", .in = { 64, 8, 8 }, .conv = { .filters = 64, .size = 3, .stride = 1, .pad = 1, .no_bias = true } },
    { .name = "resnet 3x3, 128 at 16", .in = { 128, 16, 16 }, .conv = { .filters = 128, .size = 3, .stride = 1, .pad = 1, .no_bias = true } },
    { .name = "resnet 3x3, 512 at 4", .in = { 512, 4, 4 }, .conv = { .filters = 512, .size = 3, .stride = 1, .pad = 1, .no_bias = true } },
    { .name = "resnet 3x3, 64 at 32", .in = { 64, 32, 32 }, .conv = { .filters = 64, .size = 3, .stride = 1, .pad = 1, .no_bias = true } },
    { .name = "resnet 3x3, 256 at 8", .in = { 256, 8, 8 }, .conv = { .filters = 256, .size = 3, .stride = 1, .pad = 1, .no_bias = true } },
    { .name = "resnet 3x3, 128->256 /2", .in = { 128, 16, 16 }, .conv = { .filters = 256, .size = 3, .stride = 2, .pad = 1, .no_bias = true } },
    { .name = "resnet 1x1, 64->256 at 56", .in = { 64, 56, 56 }, .conv = { .filters = 256, .size = 1, .stride = 1, .no_bias = true } },
    { .name = "resnet 1x1, 256->64 at 56", .in = { 256, 56, 56 }, .conv = { .filters = 64, .size = 1, .stride = 1, .no_bias = true } },
    { .name = "resnet 1x1, 1024->256 at 14", .in = { 1024, 14, 14 }, .conv = { .filters = 256, .size = 1, .stride = 1, .no_bias = true } },
    { .name = "resnet 1x1, 512->2048 at 7", .in = { 512, 7, 7 }, .conv = { .filters = 2048, .size = 1, .stride = 1, .no_bias = true } },
    { .name = "odd 3x3 pad 1, 20->50 at 13x7", .in = { 20, 13, 7 }, .conv = { .filters = 50, .size = 3, .stride = 1, .pad = 1 } },
    { .name = "cifar 5x5 pad 2, relu, pooled", .in = { 32, 16, 16 }, .conv = { .filters = 32, .size = 5, .stride = 1,
        .pad = 2, .relu = true, .pool = POOL22 } },
    { .name = "cifar 5x5 pad 2, relu, average 3/2", .in = { 32, 15, 15 },
      .conv = { .filters = 64, .size = 5, .stride = 1, .pad = 2, .relu = true, .pool = { .kind = POOL_AVERAGE, .size = 3, .stride = 2 } } },
    { .name = "odd 7x7 /3 pad 3", .in = { 5, 19, 17 }, .conv = { .filters = 7, .size = 7, .stride = 3, .pad = 3, .relu = true } },
    { .name = "odd 3x3 /2 pad 1 on 5x3", .in = { 3, 5, 3 }, .conv = { .filters = 13, .size = 3, .stride = 2, .pad = 1,
        .relu = true, .pool = POOL22 } },
};

/* One case at one batch: tensors as the plan would bind them, and the same numbers as plain arrays. */
struct bench {
    const struct kernel_case *c;
    int batch;
    struct shape map, out;
    struct tensor in_tensor, out_tensor;
    struct param weight, bias;
    struct op *op;
    struct step step;
    float *weights, *gradient, *x, *dy;   /* dy: [B][out] */
    double *y, *dx, *dw;                  /* what plain loops say; dw: weights, then bias */
};

static void *room(size_t bytes)
{
    struct error error = { 0 };
    void *block;
    if (door_allocate(&block, bytes + 64, "a benchmark's buffer", &error)) {
        fprintf(stderr, "%s\n", error.text);
        exit(error.code);
    }
    return block;
}

static float draw(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (float)((double)(*state >> 33) * 0x1p-30 - 1);
}

static struct shape pooled(struct shape map, const struct pool_args *pool)
{
    if (!pool->size)
        return map;
    return (struct shape){ map.c, (map.h - pool->size) / pool->stride + 1, (map.w - pool->size) / pool->stride + 1 };
}

static void setup(struct bench *b, const struct kernel_case *c, int batch)
{
    const struct conv_args *a = &c->conv;
    const int fan = c->in.c * a->size * a->size;
    *b = (struct bench){ .c = c, .batch = batch };
    b->map = (struct shape){ a->filters, (c->in.h + 2 * a->pad - a->size) / a->stride + 1, (c->in.w + 2 * a->pad - a->size) / a->stride + 1 };
    b->out = pooled(b->map, &a->pool);
    b->weight = (struct param){ .rank = 4, .dims = { a->filters, c->in.c, a->size, a->size }, .count = (size_t)a->filters * (size_t)fan };
    b->bias = (struct param){ .rank = 1, .dims = { a->filters }, .offset = b->weight.count, .count = (size_t)a->filters };
    const size_t n_in = (size_t)batch * shape_count(c->in), n_out = (size_t)batch * shape_count(b->out), n_w = b->weight.count + b->bias.count;
    b->weights = room(n_w * sizeof *b->weights);
    b->gradient = room(n_w * sizeof *b->gradient);
    b->x = room(n_in * sizeof *b->x);
    b->dy = room(n_out * sizeof *b->dy);
    b->y = room(n_out * sizeof *b->y);
    b->dx = room(n_in * sizeof *b->dx);
    b->dw = room(n_w * sizeof *b->dw);
    uint64_t state = 1;
    for (size_t i = 0; i < n_w; i++)
        b->weights[i] = draw(&state);
    for (size_t i = 0; i < n_in; i++)
        b->x[i] = draw(&state);
    for (size_t i = 0; i < n_out; i++)
        b->dy[i] = draw(&state);
    b->step = (struct step){ .weights = b->weights, .gradient = b->gradient, .n = batch };
}

/* The operation, with memory as the plan would bind it. */
static int prepare(struct bench *b, struct error *error)
{
    const struct kernel_case *c = b->c;
    b->in_tensor = (struct tensor){ .shape = c->in, .batch = b->batch, .layout = 16 };
    b->out_tensor = (struct tensor){ .shape = b->out, .batch = b->batch };
    const size_t in_bytes = (size_t)((b->batch + 15) / 16 * 16) * shape_count(c->in) * sizeof(float);
    b->in_tensor.bytes = in_bytes;
    const struct op_request request = {
        .training = true, .batch = b->batch, .inputs = { &b->in_tensor }, .want_gradient = { !c->no_dinput }, .n_inputs = 1,
        .output = &b->out_tensor, .params = { &b->weight, c->conv.no_bias ? NULL : &b->bias },
    };
    const struct linear_args linear = { .outputs = c->conv.filters, .no_bias = c->conv.no_bias, .relu = c->conv.relu };
    if (c->linear ? backend_lanes.linear(&b->op, &request, &linear, error) : backend_lanes.conv(&b->op, &request, &c->conv, error))
        return -1;
    b->in_tensor.data = room(in_bytes);
    b->in_tensor.gradient = c->no_dinput ? NULL : room(in_bytes);
    b->out_tensor.data = room(b->out_tensor.bytes);
    b->out_tensor.gradient = room(b->out_tensor.bytes);
    b->op->scratch = room(b->op->scratch_bytes);
    b->op->saved = room(b->op->saved_bytes);
    backend_lanes.tensor_in(NULL, &b->in_tensor, false, b->x);
    backend_lanes.tensor_in(NULL, &b->out_tensor, true, b->dy);
    return 0;
}

static void release(struct bench *b)
{
    void *blocks[] = { b->weights, b->gradient, b->x, b->dy, b->y, b->dx, b->dw, b->in_tensor.data, b->in_tensor.gradient,
                       b->out_tensor.data, b->out_tensor.gradient, b->op->scratch, b->op->saved };
    b->op->calls->free(b->op);
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        door_free(blocks[i]);
}

/* ---- plain loops ---- */

static size_t at(struct shape s, int n, int c, int y, int x) { return (((size_t)n * (size_t)s.c + (size_t)c) * (size_t)s.h + (size_t)y) * (size_t)s.w + (size_t)x; }

/* The convolution at one place, or (d not 0) its gradients. */
static double place(struct bench *b, int n, int f, int y, int x, double d)
{
    const struct conv_args *a = &b->c->conv;
    const struct shape in = b->c->in, filter = { in.c, a->size, a->size };
    double sum = a->no_bias ? 0 : b->weights[b->bias.offset + (size_t)f];
    b->dw[b->bias.offset + (size_t)f] += d;
    for (int c = 0; c < in.c; c++)
        for (int ky = 0; ky < a->size; ky++)
            for (int kx = 0; kx < a->size; kx++) {
                int iy = y * a->stride + ky - a->pad, ix = x * a->stride + kx - a->pad;
                if (iy < 0 || iy >= in.h || ix < 0 || ix >= in.w)
                    continue;
                size_t i = at(in, n, c, iy, ix), w = at(filter, f, c, ky, kx);
                sum += (double)b->weights[w] * (double)b->x[i];
                b->dw[w] += d * (double)b->x[i];
                b->dx[i] += d * (double)b->weights[w];
            }
    return a->relu && sum < 0 ? 0 : sum;
}

static void plain_output(struct bench *b, int n, int f, int y, int x)
{
    const struct conv_args *a = &b->c->conv;
    const struct pool_args *pool = &a->pool;
    const size_t to = at(b->out, n, f, y, x);
    const double d = (double)b->dy[to];
    const int size = pool->size ? pool->size : 1, stride = pool->size ? pool->stride : 1;
    double best = -INFINITY, sum = 0;
    int by = 0, bx = 0;
    for (int py = y * stride; py < y * stride + size; py++)
        for (int px = x * stride; px < x * stride + size; px++) {
            double v = place(b, n, f, py, px, 0);
            sum += v;
            if (pool->kind == POOL_AVERAGE && size > 1 && (v > 0 || !a->relu))
                place(b, n, f, py, px, d / (size * size));
            if (v > best)
                best = v, by = py, bx = px;
        }
    const bool average = pool->kind == POOL_AVERAGE && size > 1;
    b->y[to] = average ? sum / (size * size) : best;
    if (!average && (best > 0 || !a->relu))
        place(b, n, f, by, bx, d);
}

static void plain(struct bench *b)
{
    for (int n = 0; n < b->batch; n++)
        for (int f = 0; f < b->out.c; f++)
            for (int y = 0; y < b->out.h; y++)
                for (int x = 0; x < b->out.w; x++)
                    plain_output(b, n, f, y, x);
}

/* ---- comparing and timing ---- */

static double worst(const float *got, const double *want, size_t n)
{
    double largest = 0, off = 0;
    for (size_t i = 0; i < n; i++) {
        largest = fmax(largest, fabs(want[i]));
        off = fabs((double)got[i] - want[i]) <= off ? off : fabs((double)got[i] - want[i]); /* a NaN stays */
    }
    return largest > 0 ? off / largest : off;
}

static int verify(const struct kernel_case *c, double off[3], struct error *error)
{
    struct bench b;
    setup(&b, c, 20); /* a full group and a part of one */
    if (prepare(&b, error))
        return -1;
    plain(&b);
    const size_t n_out = 20 * shape_count(b.out), n_in = 20 * shape_count(c->in);
    float *out = room(n_out * sizeof *out), *din = room(n_in * sizeof *din);
    if (b.op->calls->forward(b.op, &b.step, error) || b.op->calls->backward(b.op, &b.step, error))
        return -1;
    backend_lanes.tensor_out(NULL, &b.out_tensor, false, out);
    off[0] = worst(out, b.y, n_out);
    off[1] = worst(b.gradient, b.dw, b.weight.count + (c->conv.no_bias ? 0 : b.bias.count));
    off[2] = 0;
    if (!c->no_dinput) {
        backend_lanes.tensor_out(NULL, &b.in_tensor, true, din);
        off[2] = worst(din, b.dx, n_in);
    }
    door_free(out);
    door_free(din);
    release(&b);
    return 0;
}

/* Seconds of one call: the least of several samples of about two milliseconds, since whatever else the machine does only adds. */
static double seconds(struct bench *b, int (*call)(struct op *, const struct step *, struct error *))
{
    enum { SAMPLES = 40 };
    struct error error = { 0 };
    double least = INFINITY;
    int repeat = 1;
    for (int i = 0; i < SAMPLES; i++) {
        int64_t begin = door_now_ns();
        for (int j = 0; j < repeat; j++)
            call(b->op, &b->step, &error);
        double t = (double)(door_now_ns() - begin) * 1e-9 / repeat;
        if (i == 0)
            repeat = 1 + (int)(0.002 / t);
        else
            least = fmin(least, t);
    }
    return least;
}

/* What one pass takes and does. */
struct timing { double microseconds, gflops; };

enum { FORWARD, FILTERS, INPUT, PASSES };

static struct timing timing(double seconds, double flops) { return (struct timing){ seconds * 1e6, seconds > 0 ? flops / seconds * 1e-9 : 0 }; }

/* The input's gradient has no call of its own: it is what backward takes longer than where nobody wants it. */
static int backward_seconds(const struct kernel_case *c, int batch, bool want_dinput, double *taken, struct error *error)
{
    struct kernel_case other = *c;
    struct bench b;
    other.no_dinput = !want_dinput;
    setup(&b, &other, batch);
    if (prepare(&b, error))
        return -1;
    b.op->calls->forward(b.op, &b.step, error);
    *taken = seconds(&b, b.op->calls->backward);
    release(&b);
    return 0;
}

static int measure(const struct kernel_case *c, int batch, struct timing timings[PASSES], struct error *error)
{
    struct bench b;
    setup(&b, c, batch);
    if (prepare(&b, error))
        return -1;
    double taps = 0; /* genuine ones, of one filter and channel */
    for (int y = 0; y < b.map.h; y++)
        for (int x = 0; x < b.map.w; x++)
            for (int k = 0; k < c->conv.size * c->conv.size; k++) {
                int iy = y * c->conv.stride + k / c->conv.size - c->conv.pad, ix = x * c->conv.stride + k % c->conv.size - c->conv.pad;
                taps += iy >= 0 && iy < c->in.h && ix >= 0 && ix < c->in.w;
            }
    const double flops = 2 * taps * batch * c->conv.filters * c->in.c;
    double filters, both = 0, forward = seconds(&b, b.op->calls->forward);
    release(&b);
    if (backward_seconds(c, batch, false, &filters, error) || (!c->no_dinput && backward_seconds(c, batch, true, &both, error)))
        return -1;
    timings[FORWARD] = timing(forward, flops);
    timings[FILTERS] = timing(filters, flops);
    timings[INPUT] = timing(c->no_dinput ? 0 : both - filters, flops);
    return 0;
}

int main(int argc, char **argv)
{
    int64_t batch = 64;
    const char *part = argc > 2 ? argv[2] : "";
    if (argc > 3 || (argc > 1 && (!parse_int64(argv[1], &batch) || batch < 1 || batch > 65536))) {
        fprintf(stderr, "usage: kernels [batch [part of a name]], batch 1..65536\n");
        return EXIT_USAGE;
    }
    const char *isa = bench_isa();
    if (!isa)
        return EXIT_USAGE;
    struct error error = { 0 };
    bool wrong = false;
    printf("%s; a core's peak: %.0f GFLOP/s\n", isa, peak_gflops(isa_chosen()));
    printf("%-36s %8s %8s %8s   %7s %8s %7s %8s %7s %8s\n", "kernel", "y off", "dw off", "dx off", "y us", "GFLOP/s", "dw us", "GFLOP/s", "dx us", "GFLOP/s");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double off[3];
        struct timing t[PASSES];
        if (!strstr(cases[i].name, part))
            continue;
        if (verify(&cases[i], off, &error) || measure(&cases[i], (int)batch, t, &error)) {
            fprintf(stderr, "%s\n", error.text);
            return error.code;
        }
        bool good = off[0] < 1e-5 && off[1] < 1e-5 && off[2] < 1e-5;
        wrong |= !good;
        printf("%-36s %8.1e %8.1e %8.1e   %7.0f %8.1f %7.0f %8.1f %7.0f %8.1f%s\n", cases[i].name, off[0], off[1], off[2], t[FORWARD].microseconds, t[FORWARD].gflops,
               t[FILTERS].microseconds, t[FILTERS].gflops, t[INPUT].microseconds, t[INPUT].gflops, good ? "" : "  WRONG");
    }
    return wrong ? EXIT_INVARIANT : EXIT_DONE;
}
