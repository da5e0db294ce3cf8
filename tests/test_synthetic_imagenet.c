/* data/synthetic_imagenet: a sample depends on seed, split, index and size alone; images of a class have its colours and its pattern, somewhere. */
#include "base/error.h"
#include "data/dataset.h"
#include "tests/tests.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLASSES = 1000, PLANES = 3, MOST_SIDE = 1024 };

static void open_images(struct dataset *dataset, enum split split, uint64_t seed, int side)
{
    struct error error = { 0 };
    const struct dataset_request request = { .name = "synthetic-imagenet", .split = split, .seed = seed, .side = side };
    if (dataset_open(dataset, &request, &error))
        fail_msg("%s", error.text);
}

static int32_t read_image(const struct dataset *dataset, int64_t index, uint8_t *pixels)
{
    struct error error = { 0 };
    size_t bytes = 0;
    int32_t label = -1;
    assert_int_equal(dataset->format->read(dataset, index, pixels, &bytes, &label, &error), 0);
    assert_int_equal(bytes, dataset->sample_bytes);
    assert_in_range(label, 0, CLASSES - 1);
    return label;
}

static void has_imagenets_shape_or_another_size(void **state)
{
    (void)state;
    static const struct { int asked, side; } sizes[] = { { 0, 224 }, { 16, 16 }, { 61, 61 }, { MOST_SIDE, MOST_SIDE } };
    struct dataset dataset;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        open_images(&dataset, i % 2 ? SPLIT_TEST : SPLIT_TRAIN, 1, sizes[i].asked);
        assert_int_equal(dataset.n, i % 2 ? 50000 : 1281167);
        assert_int_equal(dataset.classes, CLASSES);
        assert_true(dataset.channels == PLANES && dataset.height == sizes[i].side && dataset.width == sizes[i].side);
        assert_int_equal(dataset.sample_bytes, PLANES * sizes[i].side * sizes[i].side);
        /* of that length exactly, with some of everything in it: the sanitizer would see one byte more */
        uint8_t *pixels = calloc(1, dataset.sample_bytes);
        int darkest = 255, brightest = 0;
        read_image(&dataset, dataset.n - 1, pixels);
        for (size_t p = 0; p < dataset.sample_bytes; p++) {
            darkest = pixels[p] < darkest ? pixels[p] : darkest;
            brightest = pixels[p] > brightest ? pixels[p] : brightest;
        }
        assert_true(brightest - darkest > 100);
        free(pixels);
        dataset_close(&dataset);
    }
}

static void refuses_sizes(void **state)
{
    (void)state;
    static const int sizes[] = { 15, MOST_SIDE + 1, -1 };
    for (int i = 0; i < 3; i++) {
        struct dataset dataset;
        struct error error = { 0 };
        char want[120];
        assert_int_equal(dataset_open(&dataset, &(struct dataset_request){ .name = "synthetic-imagenet", .side = sizes[i] }, &error), -1);
        assert_int_equal(error.code, EXIT_USAGE);
        snprintf(want, sizeof want, "dataset synthetic-imagenet: want images of 16 to 1024 pixels a side (data.size), found %d", sizes[i]);
        assert_string_equal(error.text, want);
    }
}

static void a_sample_follows_from_seed_split_and_index(void **state)
{
    (void)state;
    enum { SIDE = 64, PIXELS = PLANES * SIDE * SIDE };
    struct dataset one, again, other_seed, other_split;
    uint8_t a[PIXELS], b[PIXELS];
    open_images(&one, SPLIT_TRAIN, 7, SIDE);
    open_images(&again, SPLIT_TRAIN, 7, SIDE);
    open_images(&other_seed, SPLIT_TRAIN, 8, SIDE);
    open_images(&other_split, SPLIT_TEST, 7, SIDE);
    for (int64_t i = 0; i < 50; i++) {
        int32_t label = read_image(&one, i, a);
        read_image(&again, 99 - i, b);
        assert_int_equal(read_image(&again, i, b), label);
        assert_memory_equal(a, b, PIXELS);
        read_image(&other_seed, i, b);
        assert_memory_not_equal(a, b, PIXELS);
        read_image(&other_split, i, b);
        assert_memory_not_equal(a, b, PIXELS);
        read_image(&one, i + 1, b);
        assert_memory_not_equal(a, b, PIXELS);
    }
    dataset_close(&one);
    dataset_close(&again);
    dataset_close(&other_seed);
    dataset_close(&other_split);
}

enum { SMALL = 28, SMALL_PLANE = SMALL * SMALL };

static void mean_colours(const uint8_t *pixels, double *means)
{
    memset(means, 0, PLANES * sizeof *means);
    for (int p = 0; p < PLANES * SMALL_PLANE; p++)
        means[p / SMALL_PLANE] += (double)pixels[p] / SMALL_PLANE;
}

/* A class's mean colour tells it from most others, not from all: twenty images of each are enough to know some. */
static void classes_are_even_and_some_are_known_by_their_colour(void **state)
{
    (void)state;
    enum { TRAIN = 20 * CLASSES, TEST = 1000 };
    static double sums[CLASSES][PLANES];
    int counts[CLASSES] = { 0 }, right = 0;
    struct dataset train, test;
    uint8_t pixels[PLANES * SMALL_PLANE];
    double means[PLANES];
    memset(sums, 0, sizeof sums);
    open_images(&train, SPLIT_TRAIN, 1, SMALL);
    open_images(&test, SPLIT_TEST, 1, SMALL);
    for (int64_t i = 0; i < TRAIN; i++) {
        int32_t label = read_image(&train, i, pixels);
        mean_colours(pixels, means);
        counts[label]++;
        for (int c = 0; c < PLANES; c++)
            sums[label][c] += means[c];
    }
    for (int label = 0; label < CLASSES; label++)
        assert_in_range(counts[label], 1, 50); /* 20, within seven standard deviations or almost five */
    for (int64_t i = 0; i < TEST; i++) {
        int32_t label = read_image(&test, i, pixels);
        double least = INFINITY;
        int nearest = 0;
        mean_colours(pixels, means);
        for (int k = 0; k < CLASSES; k++) {
            double distance = 0;
            for (int c = 0; c < PLANES; c++)
                distance += pow(means[c] - sums[k][c] / counts[k], 2);
            nearest = distance < least ? k : nearest;
            least = fmin(least, distance);
        }
        right += nearest == label;
    }
    print_message("# mean colours know %.1f %% of synthetic-imagenet\n", 100.0 * right / TEST);
    assert_in_range(right, 5 * TEST / CLASSES, TEST / 4);
    dataset_close(&train);
    dataset_close(&test);
}

/* The best correlation of a's first plane with b's, over all the places to which b can be moved. */
static double best_correlation(const uint8_t *a, const uint8_t *b)
{
    double best = -1, mean_a = 0, mean_b = 0, square_a = 0, square_b = 0;
    for (int p = 0; p < SMALL_PLANE; p++) {
        mean_a += (double)a[p] / SMALL_PLANE;
        mean_b += (double)b[p] / SMALL_PLANE;
    }
    for (int p = 0; p < SMALL_PLANE; p++) {
        square_a += (a[p] - mean_a) * (a[p] - mean_a);
        square_b += (b[p] - mean_b) * (b[p] - mean_b);
    }
    for (int shift = 0; shift < SMALL_PLANE; shift++) {
        double sum = 0;
        for (int p = 0; p < SMALL_PLANE; p++)
            sum += (a[p] - mean_a) * (b[(p / SMALL + shift / SMALL) % SMALL * SMALL + (p + shift) % SMALL] - mean_b);
        best = fmax(best, sum / sqrt(square_a * square_b));
    }
    return best;
}

/* Two images of one class look alike when one is moved, of two classes they do not. */
static void a_class_is_a_pattern_somewhere(void **state)
{
    (void)state;
    enum { WANTED = 12 };
    static uint8_t seen[CLASSES][PLANES * SMALL_PLANE];
    bool known[CLASSES] = { false };
    int32_t last = -1;
    int pairs = 0;
    double same = 0, different = 0;
    uint8_t pixels[PLANES * SMALL_PLANE];
    struct dataset dataset;
    open_images(&dataset, SPLIT_TRAIN, 3, SMALL);
    for (int64_t i = 0; pairs < WANTED; i++) {
        int32_t label = read_image(&dataset, i, pixels);
        if (known[label] && last >= 0 && last != label) {
            assert_memory_not_equal(pixels, seen[label], sizeof pixels);
            same += best_correlation(pixels, seen[label]) / WANTED;
            different += best_correlation(pixels, seen[last]) / WANTED;
            pairs++;
        }
        memcpy(seen[label], pixels, sizeof pixels);
        known[label] = true;
        last = label;
    }
    print_message("# correlations of patterns: %.2f in a class, %.2f between classes\n", same, different);
    assert_true(same > different + 0.15);
    dataset_close(&dataset);
}

int test_synthetic_imagenet(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_imagenets_shape_or_another_size), cmocka_unit_test(refuses_sizes), cmocka_unit_test(a_sample_follows_from_seed_split_and_index),
        cmocka_unit_test(classes_are_even_and_some_are_known_by_their_colour), cmocka_unit_test(a_class_is_a_pattern_somewhere),
    };
    return cmocka_run_group_tests_name("synthetic_imagenet", tests, NULL, NULL);
}
