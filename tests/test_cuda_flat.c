/* The flat passes of the CUDA backend against the CPU's, bit for bit: every combination of flags, any number of gradients, vectors that begin anywhere. */
#include "base/door.h"
#include "cpu/cpu.h"
#include "tests/gpu.h"
#include "tests/segment.h"
#include "tests/tests.h"

#include <math.h>
#include <string.h>

enum { W, V, W_OUT, P, BACKUP, MEAN_SQUARE, AVERAGE, WRITTEN, GRADIENTS = WRITTEN, MOST_K = 64, VECTORS = GRADIENTS + MOST_K };
enum { LONGEST = 2600, ROOM = LONGEST + 24, FLOATS = VECTORS * ROOM };

/* The vectors of a pass side by side, on the GPU and in the host's memory; those of them that passes write are compared whole, with what lies between them. */
struct place {
    const struct backend *gpu;
    struct device *device;
    float *values; /* what every pass begins with */
    float *on_gpu, *on_cpu, *found;
};

static float any_value(struct draws *draws)
{
    static const float special[] = { 0, -0.0f, INFINITY, 1e-40f, -1e-45f, 3e38f };
    if (draw_below(draws, 20) == 0)
        return special[draw_below(draws, sizeof special / sizeof *special)];
    return ldexpf((float)draw(draws) / 0x1p31f - 1, draw_below(draws, 12) - 8);
}

static float *host_floats(const struct place *place, size_t n)
{
    struct error error = { 0 };
    void *block;
    if (place->gpu->allocate_host(&block, n * sizeof(float), "test", &error))
        fail_msg("%s", error.text);
    return block;
}

static float *gpu_floats(const struct place *place, size_t n)
{
    struct error error = { 0 };
    void *block;
    if (place->gpu->allocate(place->device, &block, n * sizeof(float), "test", &error))
        fail_msg("%s", error.text);
    return block;
}

static void place_open(struct place *place)
{
    struct error error = { 0 };
    struct draws draws = { 1, 0 };
    place->gpu = gpu_or_skip();
    if (place->gpu->device_open(&place->device, 0, &error))
        fail_msg("%s", error.text);
    place->values = host_floats(place, FLOATS);
    place->found = host_floats(place, FLOATS);
    place->on_cpu = host_floats(place, FLOATS);
    place->on_gpu = gpu_floats(place, FLOATS);
    for (size_t i = 0; i < FLOATS; i++)
        place->values[i] = any_value(&draws);
    for (size_t i = 0; i < ROOM; i++)
        place->values[MEAN_SQUARE * ROOM + i] = fabsf(place->values[MEAN_SQUARE * ROOM + i]);
    memcpy(place->on_cpu, place->values, FLOATS * sizeof(float));
    place->gpu->copy(place->device, place->on_gpu, place->values, FLOATS);
}

static void place_close(struct place *place)
{
    struct error error = { 0 };
    if (place->gpu->check(place->device, &error))
        fail_msg("%s", error.text);
    place->gpu->release(place->device, place->on_gpu);
    place->gpu->release_host(place->values);
    place->gpu->release_host(place->found);
    place->gpu->release_host(place->on_cpu);
    place->gpu->device_close(place->device);
}

static void start_anew(struct place *place)
{
    memcpy(place->on_cpu, place->values, WRITTEN * ROOM * sizeof(float));
    place->gpu->copy(place->device, place->on_gpu, place->values, WRITTEN * ROOM);
}

/* A NaN is a NaN: which one it is, CUDA and x86 decide differently. */
static bool same_bits(float a, float b) { return (isnan(a) && isnan(b)) || memcmp(&a, &b, sizeof a) == 0; }

static void expect_same(struct place *place, unsigned flags, int k, size_t n)
{
    struct error error = { 0 };
    place->gpu->copy(place->device, place->found, place->on_gpu, WRITTEN * ROOM);
    if (place->gpu->sync(place->device, &error))
        fail_msg("%s", error.text);
    for (size_t i = 0; i < WRITTEN * ROOM; i++)
        if (!same_bits(place->on_cpu[i], place->found[i]))
            fail_msg("flags %u, %d gradients, length %zu: vector %zu, element %zu is %a, want %a", flags, k, n, i / ROOM, i % ROOM, (double)place->found[i], (double)place->on_cpu[i]);
}

/* Where each vector begins in its room: all at a multiple of four, all the same way beside one, each as it likes. */
struct shifts { int of[VECTORS]; };

static struct shifts draw_shifts(struct draws *draws)
{
    struct shifts shifts;
    int kind = draw_below(draws, 3), all = kind ? 1 + draw_below(draws, 3) : 0;
    for (int i = 0; i < VECTORS; i++)
        shifts.of[i] = kind == 2 ? draw_below(draws, 8) : all + 4 * draw_below(draws, 3);
    return shifts;
}

static float *vector(float *base, const struct shifts *shifts, int i) { return base + (size_t)i * ROOM + shifts->of[i]; }

/* What a flag word says: two bits of compensation, then one bit each. */
enum { NESTEROV = 4, WITH_P = 8, IN_PLACE = 16, LAMBDA_ZERO = 32, AVERAGED = 64, FLAGS = 128 };

static struct compensation compensation_of(float *base, const struct shifts *shifts, unsigned flags)
{
    struct compensation c = { .now = vector(base, shifts, W), .lambda = flags & LAMBDA_ZERO ? 0 : 0.7f, .decay = 0.95f };
    c.backup = flags & 3 ? vector(base, shifts, BACKUP) : NULL;
    c.mean_square = (flags & 3) == 2 ? vector(base, shifts, MEAN_SQUARE) : NULL;
    return c;
}

static struct sgd_pass sgd_of(float *base, const struct shifts *shifts, const float **gradients, unsigned flags, int k)
{
    for (int i = 0; i < k; i++)
        gradients[i] = vector(base, shifts, GRADIENTS + i);
    return (struct sgd_pass){
        .n = LONGEST, .k = k, .gradients = gradients, .inv_k = 1 / (float)k, .scale = 0.3f, .rate = 0.1f, .momentum = 0.9f, .weight_decay = 5e-4f, .next_rate = 0.07f,
        .nesterov = flags & NESTEROV, .compensation = compensation_of(base, shifts, flags), .w = vector(base, shifts, W), .v = vector(base, shifts, V),
        .w_out = vector(base, shifts, flags & IN_PLACE ? W : W_OUT), .p = flags & WITH_P ? vector(base, shifts, P) : NULL,
        .average = flags & AVERAGED ? vector(base, shifts, AVERAGE) : NULL, .average_rate = 0.013f,
    };
}

static struct local_pass local_of(float *base, const struct shifts *shifts, unsigned flags)
{
    return (struct local_pass){ .n = LONGEST, .w = vector(base, shifts, W), .g = vector(base, shifts, GRADIENTS), .m = flags & NESTEROV ? vector(base, shifts, V) : NULL,
                                .l = vector(base, shifts, flags & IN_PLACE ? W : W_OUT), .factor = flags & WITH_P ? 0.37f : 1, .rate = 0.1f, .momentum = flags & NESTEROV ? 0.9f : 0,
                                .weight_decay = 5e-4f, .compensation = compensation_of(base, shifts, flags) };
}

static const size_t lengths[] = { 0, 1, 2, 5, 15, 64, 1023, 1024, 1025, LONGEST };
static const int counts[] = { 1, 2, 3, 8, MOST_K };
enum { N_LENGTHS = sizeof lengths / sizeof *lengths, N_COUNTS = sizeof counts / sizeof *counts };

static void test_sgd(void **state)
{
    struct place place;
    struct draws draws = { 2, 0 };
    const float *gradients[2][MOST_K];
    (void)state;
    place_open(&place);
    for (unsigned flags = 0; flags < FLAGS; flags++)
        for (int round = 0; round < 3 && (flags & 3) < 3; round++) {
            int k = draw_one(&draws, counts, N_COUNTS);
            struct shifts shifts = draw_shifts(&draws);
            struct sgd_pass cpu = sgd_of(place.on_cpu, &shifts, gradients[0], flags, k), gpu = sgd_of(place.on_gpu, &shifts, gradients[1], flags, k);
            cpu.n = gpu.n = lengths[draw_below(&draws, N_LENGTHS)];
            start_anew(&place);
            backend_reference.sgd(NULL, &cpu);
            place.gpu->sgd(place.device, &gpu);
            expect_same(&place, flags, k, cpu.n);
        }
    place_close(&place);
}

static void test_local(void **state)
{
    struct place place;
    struct draws draws = { 3, 0 };
    (void)state;
    place_open(&place);
    for (unsigned flags = 0; flags < AVERAGED; flags++)
        for (int round = 0; round < 4 && (flags & 3) < 3; round++) {
            struct shifts shifts = draw_shifts(&draws);
            struct local_pass cpu = local_of(place.on_cpu, &shifts, flags), gpu = local_of(place.on_gpu, &shifts, flags);
            cpu.n = gpu.n = lengths[draw_below(&draws, N_LENGTHS)];
            start_anew(&place);
            backend_reference.local(NULL, &cpu);
            place.gpu->local(place.device, &gpu);
            expect_same(&place, flags, 1, cpu.n);
        }
    place_close(&place);
}

static void test_forecast_predict_average(void **state)
{
    struct place place;
    struct draws draws = { 4, 0 };
    const float *gradients[2][MOST_K];
    (void)state;
    place_open(&place);
    for (unsigned round = 0; round < 60; round++) {
        unsigned flags = WITH_P | (round % 2 ? NESTEROV : 0);
        struct shifts shifts = draw_shifts(&draws);
        struct sgd_pass cpu = sgd_of(place.on_cpu, &shifts, gradients[0], flags, 1), gpu = sgd_of(place.on_gpu, &shifts, gradients[1], flags, 1);
        size_t n = cpu.n = gpu.n = lengths[draw_below(&draws, N_LENGTHS)];
        start_anew(&place);
        backend_reference.forecast(NULL, &cpu);
        place.gpu->forecast(place.device, &gpu);
        backend_reference.predict(NULL, cpu.w_out, cpu.p, cpu.gradients[0], 0.19f, n);
        place.gpu->predict(place.device, gpu.w_out, gpu.p, gpu.gradients[0], 0.19f, n);
        backend_reference.average(NULL, vector(place.on_cpu, &shifts, AVERAGE), cpu.w, 0.013f, n);
        place.gpu->average(place.device, vector(place.on_gpu, &shifts, AVERAGE), gpu.w, 0.013f, n);
        expect_same(&place, flags, 1, n);
    }
    place_close(&place);
}

static void advance(struct sgd_pass *part, const struct sgd_pass *whole, const float **gradients, size_t begin, size_t end)
{
    *part = *whole;
    for (int k = 0; k < whole->k; k++)
        gradients[k] = whole->gradients[k] + begin;
    part->n = end - begin;
    part->gradients = gradients;
    part->w += begin, part->v += begin, part->w_out += begin, part->p += begin, part->average += begin;
    part->compensation.now += begin, part->compensation.backup += begin, part->compensation.mean_square += begin;
}

/* Cut anywhere, also where no vector begins. */
static void test_split(void **state)
{
    struct place place;
    struct draws draws = { 5, 0 };
    struct shifts shifts = { { 0 } };
    const float *gradients[3][MOST_K];
    unsigned flags = 2 | NESTEROV | WITH_P | AVERAGED;
    (void)state;
    place_open(&place);
    for (int round = 0; round < 20; round++) {
        struct sgd_pass cpu = sgd_of(place.on_cpu, &shifts, gradients[0], flags, 5), gpu = sgd_of(place.on_gpu, &shifts, gradients[1], flags, 5), part;
        start_anew(&place);
        backend_reference.sgd(NULL, &cpu);
        for (size_t at = 0, end; at < LONGEST; at = end) {
            end = at + 1 + (size_t)draw_below(&draws, 700);
            end = end < LONGEST ? end : LONGEST;
            advance(&part, &gpu, gradients[2], at, end);
            place.gpu->sgd(place.device, &part);
        }
        expect_same(&place, flags, 5, LONGEST);
    }
    place_close(&place);
}

/* More elements than the GPU has threads at once. */
static void test_long(void **state)
{
    enum { LONG = 3000003 };
    struct place place;
    struct error error = { 0 };
    (void)state;
    place_open(&place);
    float *p = host_floats(&place, LONG), *l = host_floats(&place, LONG), *on_gpu = gpu_floats(&place, LONG);
    for (int i = 0; i < LONG; i++)
        p[i] = place.values[i % FLOATS];
    place.gpu->copy(place.device, on_gpu, p, LONG);
    place.gpu->predict(place.device, on_gpu, on_gpu, on_gpu, 0.3f, LONG);
    place.gpu->copy(place.device, l, on_gpu, LONG);
    assert_int_equal(place.gpu->sync(place.device, &error), 0);
    backend_reference.predict(NULL, p, p, p, 0.3f, LONG);
    for (int i = 0; i < LONG; i++)
        if (!same_bits(l[i], p[i]))
            fail_msg("element %d is %a, want %a", i, (double)l[i], (double)p[i]);
    place.gpu->release(place.device, on_gpu);
    place.gpu->release_host(p);
    place.gpu->release_host(l);
    place_close(&place);
}

static void expect_same_sum(struct place *place, const float *const *on_cpu, const float *const *on_gpu, int k, size_t n)
{
    float inv_k = 1 / (float)k;
    double want = backend_reference.square_sum(NULL, on_cpu, k, inv_k, n), got = place->gpu->square_sum(place->device, on_gpu, k, inv_k, n);
    if (isnan(want) ? !isnan(got) : memcmp(&want, &got, sizeof want))
        fail_msg("%d gradients, length %zu: the sum of squares is %a, want %a", k, n, got, want);
}

static void test_square_sum(void **state)
{
    struct place place;
    struct draws draws = { 6, 0 };
    const float *on_cpu[MOST_K], *on_gpu[MOST_K];
    (void)state;
    place_open(&place);
    for (int i = 0; i < FLOATS; i++)
        place.on_cpu[i] = isfinite(place.values[i]) && fabsf(place.values[i]) < 1e30f ? place.values[i] : 1;
    place.gpu->copy(place.device, place.on_gpu, place.on_cpu, FLOATS);
    for (int round = 0; round < 100; round++) {
        struct shifts shifts = draw_shifts(&draws);
        int k = draw_one(&draws, counts, N_COUNTS);
        for (int i = 0; i < k; i++) {
            on_cpu[i] = vector(place.on_cpu, &shifts, i);
            on_gpu[i] = vector(place.on_gpu, &shifts, i);
        }
        expect_same_sum(&place, on_cpu, on_gpu, k, lengths[round % N_LENGTHS]);
    }
    place_close(&place);
}

/* More blocks than the GPU hands over at once. */
static void test_long_square_sum(void **state)
{
    enum { LONG = (16384 + 3) * 1024 + 77 };
    struct place place;
    (void)state;
    place_open(&place);
    float *values = host_floats(&place, LONG), *on_gpu = gpu_floats(&place, LONG);
    for (int i = 0; i < LONG; i++)
        values[i] = (float)(i % 1013) / 1024;
    place.gpu->copy(place.device, on_gpu, values, LONG);
    expect_same_sum(&place, (const float *const[]){ values }, (const float *const[]){ on_gpu }, 1, LONG);
    place.gpu->release(place.device, on_gpu);
    place.gpu->release_host(values);
    place_close(&place);
}

int test_cuda_flat(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_sgd), cmocka_unit_test(test_local), cmocka_unit_test(test_forecast_predict_average), cmocka_unit_test(test_split),
                                        cmocka_unit_test(test_long), cmocka_unit_test(test_square_sum), cmocka_unit_test(test_long_square_sum) };
    return cmocka_run_group_tests_name("cuda_flat", tests, NULL, NULL);
}
