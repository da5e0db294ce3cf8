/* data/augment: every pixel against the definition, on shapes of all kinds; what is drawn is even, independent, and a function of seed, epoch and
 * sample; the loader's batches hold just that, whatever the number of its threads. */
#include "base/error.h"
#include "data/augment.h"
#include "data/loader.h"
#include "data/order.h"
#include "nets/layers.h"
#include "tests/gpu.h"
#include "tests/segment.h"
#include "tests/tests.h"

#include <math.h>
#include <string.h>

enum { MOST_PIXELS = 3 * 40 * 40, SIDE = 32 };

static const struct augment_plan usual = { .crop_pad = 4, .flip = true, .cutout = 16, .fill = { 125, 123, 114 } };

/* Pixel (c, y, x) by the definition: the crop out of the padded image, then the flip, then the square. */
static uint8_t defined(const struct augment_plan *plan, const struct augmentation *drawn, const struct dataset *d, const uint8_t *from, int c, int y, int x)
{
    int first_row = drawn->row - plan->cutout / 2, first_column = drawn->column - plan->cutout / 2;
    if (y >= first_row && y < first_row + plan->cutout && x >= first_column && x < first_column + plan->cutout)
        return plan->fill[c];
    int source_y = y + drawn->down, source_x = (drawn->flipped ? d->width - 1 - x : x) + drawn->right;
    bool inside = source_y >= 0 && source_y < d->height && source_x >= 0 && source_x < d->width;
    return inside ? from[(c * d->height + source_y) * d->width + source_x] : 0;
}

static void assert_defined(const struct augment_plan *plan, const struct augmentation *drawn, const struct dataset *d, const uint8_t *from, const uint8_t *to)
{
    for (int c = 0; c < d->channels; c++)
        for (int y = 0; y < d->height; y++)
            for (int x = 0; x < d->width; x++)
                if (to[(c * d->height + y) * d->width + x] != defined(plan, drawn, d, from, c, y, x))
                    fail_msg("%dx%dx%d down %d right %d %s square at %d,%d: pixel %d,%d,%d is %d, want %d", d->channels, d->height, d->width, drawn->down, drawn->right,
                             drawn->flipped ? "flipped" : "plain", drawn->row, drawn->column, c, y, x, to[(c * d->height + y) * d->width + x],
                             defined(plan, drawn, d, from, c, y, x));
}

/* No two neighbours alike, none 0. */
static void paint(uint8_t *pixels, size_t n)
{
    for (size_t i = 0; i < n; i++)
        pixels[i] = (uint8_t)(1 + i * 37 % 251);
}

static const struct { struct dataset dataset; struct augment_plan plan; } images[] = {
    { { .channels = 3, .height = 32, .width = 32 }, { .crop_pad = 4, .flip = true, .cutout = 16, .fill = { 125, 123, 114 } } },
    { { .channels = 3, .height = 32, .width = 32 }, { .crop_pad = 4, .flip = true } },
    { { .channels = 1, .height = 28, .width = 28 }, { .crop_pad = 2, .flip = true, .cutout = 7, .fill = { 33 } } },
    { { .channels = 2, .height = 5, .width = 7 }, { .crop_pad = 4, .flip = true, .cutout = 3, .fill = { 1, 2 } } },
    { { .channels = 1, .height = 1, .width = 40 }, { .flip = true, .cutout = 40, .fill = { 9 } } },
    { { .channels = 3, .height = 40, .width = 17 }, { .crop_pad = 16, .flip = true } },
    { { .channels = 1, .height = 2, .width = 1 }, { .flip = true, .cutout = 1, .fill = { 5 } } },
};
enum { N_IMAGES = sizeof images / sizeof *images };

static void every_pixel_is_as_defined(void **state)
{
    (void)state;
    uint8_t from[MOST_PIXELS], to[MOST_PIXELS + 1];
    for (size_t i = 0; i < N_IMAGES; i++) {
        const struct dataset *d = &images[i].dataset;
        size_t pixels = (size_t)(d->channels * d->height * d->width);
        paint(from, pixels);
        for (int64_t sample = 0; sample < 2000; sample++) {
            struct augmentation drawn = augment_draw(&images[i].plan, d, 3, 1, sample);
            memset(to, 77, sizeof to);
            augment_apply(&images[i].plan, &drawn, d, from, to);
            assert_defined(&images[i].plan, &drawn, d, from, to);
            assert_int_equal(to[pixels], 77);
        }
    }
}

static const struct dataset square = { .channels = 3, .height = SIDE, .width = SIDE };

static double chi_square(const int *counts, int n_cells, int n)
{
    double sum = 0, want = (double)n / n_cells;
    for (int i = 0; i < n_cells; i++)
        sum += (counts[i] - want) * (counts[i] - want) / want;
    return sum;
}

/* Chi-square of f degrees of freedom has mean f and variance 2f; five standard deviations either way. */
static void assert_even(const char *what, const int *counts, int n_cells, int n)
{
    double found = chi_square(counts, n_cells, n), freedom = n_cells - 1;
    if (fabs(found - freedom) > 5 * sqrt(2 * freedom))
        fail_msg("%s: chi-square %g with %g degrees of freedom", what, found, freedom);
}

/* Each of the 81 places, flipped or not, is as likely as any other, over samples and over epochs. */
static void crops_and_flips_are_even(void **state)
{
    (void)state;
    enum { N = 162 * 200 };
    for (int over_epochs = 0; over_epochs < 2; over_epochs++) {
        int cells[162] = { 0 };
        for (int i = 0; i < N; i++) {
            struct augmentation drawn = over_epochs ? augment_draw(&usual, &square, 1, i, 12345) : augment_draw(&usual, &square, 1, 3, i);
            assert_true(drawn.down >= -4 && drawn.down <= 4 && drawn.right >= -4 && drawn.right <= 4);
            cells[((drawn.down + 4) * 9 + drawn.right + 4) * 2 + drawn.flipped]++;
        }
        assert_even(over_epochs ? "epochs" : "samples", cells, 162, N);
        int flipped = 0;
        for (int i = 1; i < 162; i += 2)
            flipped += cells[i];
        assert_in_range(flipped, N / 2 - 450, N / 2 + 450); /* five standard deviations */
    }
}

static void squares_are_centred_anywhere(void **state)
{
    (void)state;
    enum { N = SIDE * SIDE * 40 };
    static int cells[SIDE * SIDE];
    for (int i = 0; i < N; i++) {
        struct augmentation drawn = augment_draw(&usual, &square, 9, 0, i);
        assert_true(drawn.row >= 0 && drawn.row < SIDE && drawn.column >= 0 && drawn.column < SIDE);
        cells[drawn.row * SIDE + drawn.column]++;
    }
    assert_even("squares", cells, SIDE * SIDE, N);
}

/* A side of 16 is cut to 14 on average where the centre may be any of 32 rows, so a square covers 14 * 14 pixels. */
static void squares_cover_what_is_left_inside(void **state)
{
    (void)state;
    enum { N = 4000, PIXELS = 3 * SIDE * SIDE };
    uint8_t from[PIXELS], to[PIXELS];
    int64_t covered[3] = { 0 };
    int least = SIDE * SIDE, most = 0;
    memset(from, 1, sizeof from);
    for (int i = 0; i < N; i++) {
        struct augmentation drawn = augment_draw(&usual, &square, 2, 0, i);
        augment_apply(&usual, &drawn, &square, from, to);
        int area = 0;
        for (int p = 0; p < PIXELS; p++) {
            covered[p / (SIDE * SIDE)] += to[p] == usual.fill[p / (SIDE * SIDE)];
            area += p < SIDE * SIDE && to[p] == usual.fill[0];
        }
        least = area < least ? area : least;
        most = area > most ? area : most;
    }
    assert_true(covered[0] == covered[1] && covered[1] == covered[2]);
    assert_true(fabs((double)covered[0] / N - 196) < 5); /* one square's area varies by 47 */
    assert_int_equal(least, 8 * 8);
    assert_int_equal(most, 16 * 16);
}

static bool same_place(struct augmentation a, struct augmentation b) { return a.down == b.down && a.right == b.right; }

static bool same(struct augmentation a, struct augmentation b) { return same_place(a, b) && a.flipped == b.flipped && a.row == b.row && a.column == b.column; }

static void draws_follow_from_seed_epoch_and_sample(void **state)
{
    (void)state;
    enum { N = 2000, FEW = 60 }; /* 25 of 2000 fall on the same one of 81 places by chance */
    const struct augment_plan crop = { .crop_pad = 4 }, flip = { .flip = true }, cutout = { .cutout = 16 };
    int other_seed = 0, other_epoch = 0, other_sample = 0;
    for (int i = 0; i < N; i++) {
        struct augmentation drawn = augment_draw(&usual, &square, 5, 7, i), square_alone = augment_draw(&cutout, &square, 5, 7, i);
        assert_true(same(drawn, augment_draw(&usual, &square, 5, 7, i)));
        other_seed += same_place(drawn, augment_draw(&usual, &square, 6, 7, i));
        other_epoch += same_place(drawn, augment_draw(&usual, &square, 5, 8, i));
        other_sample += same_place(drawn, augment_draw(&usual, &square, 5, 7, i + 1));
        /* One alone does what it does among others. */
        assert_true(same_place(drawn, augment_draw(&crop, &square, 5, 7, i)) && !augment_draw(&crop, &square, 5, 7, i).flipped);
        assert_int_equal(drawn.flipped, augment_draw(&flip, &square, 5, 7, i).flipped);
        assert_true(augment_draw(&flip, &square, 5, 7, i).down == 0 && augment_draw(&flip, &square, 5, 7, i).right == 0);
        assert_true(drawn.row == square_alone.row && drawn.column == square_alone.column && !square_alone.flipped && square_alone.down == 0);
    }
    assert_in_range(other_seed, 1, FEW);
    assert_in_range(other_epoch, 1, FEW);
    assert_in_range(other_sample, 1, FEW);
}

/* The same run must be augmented in the same way by any later version: a resume depends on it. */
static void draws_stay_as_they_were(void **state)
{
    (void)state;
    static const struct augmentation want[3] = { { 3, 2, false, 14, 4 }, { -2, 3, false, 7, 24 }, { -1, -1, true, 4, 16 } };
    const struct { uint64_t seed; int64_t epoch, sample; } at[3] = { { 1, 0, 0 }, { 1, 3, 49999 }, { 12345, 299, (int64_t)1 << 40 } };
    for (int i = 0; i < 3; i++) {
        struct augmentation drawn = augment_draw(&usual, &square, at[i].seed, at[i].epoch, at[i].sample);
        if (!same(drawn, want[i]))
            fail_msg("draw %d is { %d, %d, %s, %d, %d }", i, drawn.down, drawn.right, drawn.flipped ? "true" : "false", drawn.row, drawn.column);
    }
}

static void squares_are_filled_with_the_nearest_byte_of_the_mean(void **state)
{
    (void)state;
    static const struct { double mean; int fill; } cases[] = { { 0, 0 }, { 0.4914, 125 }, { 0.4822, 123 }, { 0.4465, 114 }, { 1, 255 }, { -3, 0 }, { 1e6, 255 } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(augment_fill(cases[i].mean), cases[i].fill);
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    static const struct { struct dataset dataset; struct augment_plan plan; const char *text; } cases[] = {
        { { .channels = 1, .height = 28, .width = 30 }, { .crop_pad = 28 }, "crop_pad: want 0..27 pixels for images of 28x30, found 28" },
        { { .channels = 1, .height = 28, .width = 30 }, { .crop_pad = -1 }, "crop_pad: want 0..27 pixels for images of 28x30, found -1" },
        { { .channels = 1, .height = 28, .width = 30 }, { .cutout = 31 }, "cutout: want 0..30 pixels for images of 28x30, found 31" },
        { { .channels = 5, .height = 28, .width = 30 }, { .cutout = 8 }, "cutout: want images of up to 4 channels, found 5" },
        { { .channels = 5, .height = 28, .width = 30 }, { .crop_pad = 27, .flip = true }, NULL },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct error error = { 0 };
        assert_int_equal(augment_check(&cases[i].plan, &cases[i].dataset, &error), cases[i].text ? -1 : 0);
        assert_int_equal(error.code, cases[i].text ? EXIT_USAGE : 0);
        if (cases[i].text)
            assert_string_equal(error.text, cases[i].text);
    }
}

/* ---- in the loader: sample i is an image of 2x6x9 whose pixels follow from i, stored as two bytes that are decoded, or as they are ---- */

enum { CHANNELS = 2, HEIGHT = 6, WIDTH = 9, IMAGE = CHANNELS * HEIGHT * WIDTH };

static void paint_sample(int64_t sample, uint8_t *pixels)
{
    for (int p = 0; p < IMAGE; p++)
        pixels[p] = (uint8_t)(1 + (sample * 131 + p * 7) % 255);
}

static int read_plain(const struct dataset *dataset, int64_t index, void *raw, size_t *bytes, int32_t *label, struct error *error)
{
    (void)dataset;
    (void)error;
    paint_sample(index, raw);
    *bytes = IMAGE;
    *label = (int32_t)index % 10;
    return 0;
}

static int read_packed(const struct dataset *dataset, int64_t index, void *raw, size_t *bytes, int32_t *label, struct error *error)
{
    uint16_t number = (uint16_t)index;
    (void)dataset;
    (void)error;
    memcpy(raw, &number, *bytes = sizeof number);
    *label = (int32_t)index % 10;
    return 0;
}

static int decode_packed(const struct dataset *dataset, const void *raw, size_t bytes, uint8_t *pixels, struct error *error)
{
    uint16_t number;
    (void)dataset;
    (void)error;
    memcpy(&number, raw, bytes);
    paint_sample(number, pixels);
    return 0;
}

static const struct dataset_format plain = { .name = "plain", .read = read_plain }, packed = { .name = "packed", .read = read_packed, .decode = decode_packed };

static void assert_batch(const struct loader_plan *plan, const struct batch *batch)
{
    assert_int_equal(batch->epoch, batch->number / loader_batches_per_epoch(plan));
    for (int i = 0; i < batch->n; i++) {
        uint8_t pixels[IMAGE];
        paint_sample(batch->index[i], pixels);
        struct augmentation drawn = augment_draw(&plan->augment, plan->dataset, plan->seed, batch->epoch, batch->index[i]);
        assert_defined(&plan->augment, &drawn, plan->dataset, pixels, batch->pixels + i * IMAGE);
        assert_int_equal(batch->labels[i], batch->index[i] % 10);
    }
}

static void assert_batches(const struct loader_plan *plan)
{
    struct error error = { 0 };
    struct loader *loader;
    assert_int_equal(loader_open(&loader, plan, &error), 0);
    for (int64_t j = plan->first; j < plan->end; j++) {
        const struct batch *batch;
        assert_int_equal(loader_take(loader, j, &batch, NULL, &error), 0);
        assert_batch(plan, batch);
        loader_give_back(loader, batch);
    }
    loader_close(loader);
}

/* By one thread and by several, for one worker and for three, from the start and from the middle of an epoch. */
static void batches_are_augmented_by_number_alone(void **state)
{
    (void)state;
    for (int variant = 0; variant < 2 * 2 * 2 * 2; variant++) {
        struct dataset dataset = { .format = variant & 1 ? &packed : &plain, .n = 103, .channels = CHANNELS, .height = HEIGHT, .width = WIDTH, .classes = 10,
                                   .sample_bytes = variant & 1 ? 2 : IMAGE };
        struct loader_plan plan = { .dataset = &dataset, .batch = 7, .workers = variant & 2 ? 3 : 1, .drop_last = true, .shuffle = true, .same_for_all = variant & 4,
                                    .augment = { .crop_pad = 3, .flip = true, .cutout = 4, .fill = { 200, 100 } }, .seed = 4, .first = variant & 8 ? 29 : 0,
                                    .end = 60, .depth = 6 };
        for (plan.threads = 1; plan.threads <= 5; plan.threads += 2)
            assert_batches(&plan);
    }
}

static void a_loader_refuses_what_does_not_fit(void **state)
{
    (void)state;
    struct error error = { 0 };
    struct loader *loader;
    struct dataset dataset = { .format = &plain, .n = 103, .channels = CHANNELS, .height = HEIGHT, .width = WIDTH, .classes = 10, .sample_bytes = IMAGE };
    const struct loader_plan plan = { .dataset = &dataset, .batch = 7, .workers = 1, .augment = { .crop_pad = 6 }, .end = 60, .threads = 1, .depth = 6 };
    assert_int_equal(loader_open(&loader, &plan, &error), -1);
    assert_null(loader);
    assert_int_equal(error.code, EXIT_USAGE);
    assert_string_equal(error.text, "crop_pad: want 0..5 pixels for images of 6x9, found 6");
}

enum { BATCH = 9 };

/* What the input operation makes of those pixels, as bytes again: its mean is 0, its deviation one step of a byte. */
static void on_gpu(const struct backend *gpu, const struct dataset *d, const struct augment_plan *plan, bool training, const uint8_t *pixels, const int64_t *index, uint8_t *to)
{
    static float y[BATCH * MOST_PIXELS];
    const int32_t labels[BATCH] = { 0 };
    struct input_args args = { d->channels, d->height, d->width, .augment = { plan->crop_pad, plan->cutout, plan->flip, { 0 } } };
    struct segment segment;
    struct graph graph;
    for (int c = 0; c < AUGMENT_CHANNELS; c++) {
        args.std[c] = 1.0f / 255;
        args.augment.fill[c] = plan->fill[c];
    }
    graph_init(&graph, "augmented", &args);
    loss(&graph, linear(&graph, 0, "out", 2), 0);
    segment_open(&segment, &(struct plan_request){ gpu, NULL, &graph, BATCH, training, PRECISION_FP32 }, 0, 0);
    segment_set_samples(&segment, labels, index);
    segment_set_pixels(&segment, pixels);
    segment_forward(&segment, y);
    for (size_t i = 0; i < segment_output_floats(&segment); i++)
        to[i] = (uint8_t)lrintf(y[i]);
    segment_close(&segment);
    graph_release(&graph);
}

static void a_gpu_augments_alike(void **state)
{
    (void)state;
    const struct backend *gpu = gpu_or_skip();
    static uint8_t from[BATCH * MOST_PIXELS], to[MOST_PIXELS], got[BATCH * MOST_PIXELS];
    for (size_t i = 0; i < N_IMAGES; i++) {
        const struct dataset *d = &images[i].dataset;
        const size_t pixels = (size_t)(d->channels * d->height * d->width);
        int64_t index[BATCH];
        paint(from, BATCH * pixels);
        for (int b = 0; b < BATCH; b++)
            index[b] = (int64_t)i * 1000003 + b * 7919;
        on_gpu(gpu, d, &images[i].plan, true, from, index, got);
        for (size_t b = 0; b < BATCH; b++) {
            struct augmentation drawn = augment_draw(&images[i].plan, d, 7, 2, index[b]); /* a segment's seed and epoch */
            augment_apply(&images[i].plan, &drawn, d, from + b * pixels, to);
            assert_memory_equal(got + b * pixels, to, pixels);
        }
        on_gpu(gpu, d, &images[i].plan, false, from, index, got);
        assert_memory_equal(got, from, BATCH * pixels);
    }
}

int test_augment(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pixel_is_as_defined),
        cmocka_unit_test(crops_and_flips_are_even),
        cmocka_unit_test(squares_are_centred_anywhere),
        cmocka_unit_test(squares_cover_what_is_left_inside),
        cmocka_unit_test(draws_follow_from_seed_epoch_and_sample),
        cmocka_unit_test(draws_stay_as_they_were),
        cmocka_unit_test(squares_are_filled_with_the_nearest_byte_of_the_mean),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(batches_are_augmented_by_number_alone),
        cmocka_unit_test(a_loader_refuses_what_does_not_fit),
        cmocka_unit_test(a_gpu_augments_alike),
    };
    return cmocka_run_group_tests_name("augment", tests, NULL, NULL);
}
