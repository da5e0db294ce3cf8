/* data/synthetic: a sample depends on seed, split and index alone, and the tasks are ones that a linear model does not solve. */
#include "base/error.h"
#include "data/dataset.h"
#include "tests/tests.h"

#include <math.h>
#include <string.h>

enum { MOST_PIXELS = 3 * 32 * 32, CLASSES = 10 };

/* The two datasets, in their test's state. */
static struct kind { const char *name; int channels, side; int64_t n; float paper; } gray = { "synthetic", 1, 28, 60000, 0 }, coloured = { "synthetic-cifar10", 3, 32, 50000, 0.35f };

static void open_digits(const struct kind *kind, struct dataset *dataset, enum split split, uint64_t seed)
{
    struct error error = { 0 };
    struct dataset_request request = { .name = kind->name, .split = split, .seed = seed };
    assert_int_equal(dataset_open(dataset, &request, &error), 0);
    assert_true(dataset->channels == kind->channels && dataset->height == kind->side && dataset->width == kind->side && dataset->classes == CLASSES);
    assert_int_equal(dataset->sample_bytes, kind->channels * kind->side * kind->side);
    assert_null(dataset->format->decode);
}

static int32_t read_digit(const struct dataset *dataset, int64_t index, uint8_t *pixels)
{
    struct error error = { 0 };
    size_t bytes = 0;
    int32_t label = -1;
    assert_int_equal(dataset->format->read(dataset, index, pixels, &bytes, &label, &error), 0);
    assert_int_equal(bytes, dataset->sample_bytes);
    return label;
}

static void a_sample_follows_from_seed_split_and_index(void **state)
{
    const struct kind *kind = *state;
    struct dataset one, again, other_seed, other_split;
    uint8_t a[MOST_PIXELS], b[MOST_PIXELS];
    open_digits(kind, &one, SPLIT_TRAIN, 7);
    open_digits(kind, &again, SPLIT_TRAIN, 7);
    open_digits(kind, &other_seed, SPLIT_TRAIN, 8);
    open_digits(kind, &other_split, SPLIT_TEST, 7);
    const size_t pixels = one.sample_bytes;
    assert_int_equal(one.n, kind->n);
    assert_int_equal(other_split.n, 10000);
    for (int64_t i = 0; i < 100; i++) {
        int32_t label = read_digit(&one, i, a);
        assert_int_equal(read_digit(&again, 99 - i, b) >= 0, 1);
        assert_int_equal(read_digit(&again, i, b), label);
        assert_memory_equal(a, b, pixels);
        read_digit(&other_seed, i, b);
        assert_memory_not_equal(a, b, pixels);
        read_digit(&other_split, i, b);
        assert_memory_not_equal(a, b, pixels);
        read_digit(&one, i + 1, b);
        assert_memory_not_equal(a, b, pixels);
    }
    dataset_close(&one);
    dataset_close(&again);
    dataset_close(&other_seed);
    dataset_close(&other_split);
}

/* Each class is a tenth, within five standard deviations. */
static void classes_are_even(void **state)
{
    enum { N = 10000 };
    struct dataset dataset;
    uint8_t pixels[MOST_PIXELS];
    int counts[CLASSES] = { 0 };
    open_digits(*state, &dataset, SPLIT_TEST, 1);
    for (int64_t i = 0; i < N; i++) {
        int32_t label = read_digit(&dataset, i, pixels);
        assert_in_range(label, 0, CLASSES - 1);
        counts[label]++;
    }
    for (int c = 0; c < CLASSES; c++)
        assert_in_range(counts[c], 850, 1150);
    dataset_close(&dataset);
}

/* There is ink, but mostly paper. */
static void gray_images_are_drawings(void **state)
{
    enum { N = 2000 };
    struct dataset dataset;
    uint8_t pixels[MOST_PIXELS];
    int ink = 0, n = gray.side * gray.side;
    open_digits(*state, &dataset, SPLIT_TEST, 1);
    for (int64_t i = 0; i < N; i++) {
        read_digit(&dataset, i, pixels);
        int dark = 0;
        for (int p = 0; p < n; p++)
            dark += pixels[p] > 100;
        assert_in_range(dark, 1, n / 2);
        ink += dark;
    }
    assert_in_range(ink / N, n / 20, n / 5);
    dataset_close(&dataset);
}

/* Grounds differ from image to image and from channel to channel, by more than grain would make them. */
static void coloured_images_have_many_colours(void **state)
{
    enum { N = 500, PLANE = 32 * 32 };
    struct dataset dataset;
    uint8_t pixels[MOST_PIXELS];
    int different = 0;
    double before = 0;
    open_digits(*state, &dataset, SPLIT_TEST, 1);
    for (int64_t i = 0; i < N; i++) {
        double means[3] = { 0 };
        read_digit(&dataset, i, pixels);
        for (int p = 0; p < 3 * PLANE; p++)
            means[p / PLANE] += (double)pixels[p] / PLANE;
        different += fabs(means[0] - means[1]) > 10 && fabs(means[1] - means[2]) > 10 && fabs(means[0] - before) > 10;
        before = means[0];
    }
    assert_in_range(different, N / 3, N);
    dataset_close(&dataset);
}

struct linear { int pixels; float weight[CLASSES][MOST_PIXELS], bias[CLASSES]; };

static void scores(const struct linear *model, const float *x, float *score)
{
    for (int c = 0; c < CLASSES; c++) {
        score[c] = model->bias[c];
        for (int p = 0; p < model->pixels; p++)
            score[c] += model->weight[c][p] * x[p];
    }
}

/* Sample `index` as the model sees it; returns its label. */
static int32_t read_floats(const struct kind *kind, const struct dataset *dataset, int64_t index, float *x)
{
    uint8_t pixels[MOST_PIXELS];
    int32_t label = read_digit(dataset, index, pixels);
    for (size_t p = 0; p < dataset->sample_bytes; p++)
        x[p] = (float)pixels[p] / 255 - kind->paper;
    return label;
}

/* One step of softmax regression on one sample. */
static void learn(struct linear *model, const float *x, int32_t label, float rate)
{
    float score[CLASSES], sum = 0, most = -INFINITY;
    scores(model, x, score);
    for (int c = 0; c < CLASSES; c++)
        most = fmaxf(most, score[c]);
    for (int c = 0; c < CLASSES; c++)
        sum += score[c] = expf(score[c] - most);
    for (int c = 0; c < CLASSES; c++) {
        float step = rate * (score[c] / sum - (c == label));
        model->bias[c] -= step;
        for (int p = 0; p < model->pixels; p++)
            model->weight[c][p] -= step * x[p];
    }
}

static int best(const float *score)
{
    int label = 0;
    for (int c = 1; c < CLASSES; c++)
        label = score[c] > score[label] ? c : label;
    return label;
}

static void a_linear_model_learns_some_and_not_all(void **state)
{
    enum { TRAIN = 10000, TEST = 2000, EPOCHS = 4 };
    const struct kind *kind = *state;
    static struct linear model;
    struct dataset train, test;
    float x[MOST_PIXELS], score[CLASSES];
    int right = 0;
    memset(&model, 0, sizeof model);
    model.pixels = kind->channels * kind->side * kind->side;
    open_digits(kind, &train, SPLIT_TRAIN, 1);
    open_digits(kind, &test, SPLIT_TEST, 1);
    for (int epoch = 0; epoch < EPOCHS; epoch++)
        for (int64_t i = 0; i < TRAIN; i++) {
            int32_t label = read_floats(kind, &train, i, x);
            learn(&model, x, label, 0.02f / (float)(1 + epoch));
        }
    for (int64_t i = 0; i < TEST; i++) {
        int32_t label = read_floats(kind, &test, i, x);
        scores(&model, x, score);
        right += best(score) == label;
    }
    print_message("# a linear model gets %.1f %% of %s\n", 100.0 * right / TEST, kind->name);
    assert_in_range(right, TEST / 5, TEST * 80 / 100);
    dataset_close(&train);
    dataset_close(&test);
}

int test_synthetic(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(a_sample_follows_from_seed_split_and_index, &gray),
        cmocka_unit_test_prestate(a_sample_follows_from_seed_split_and_index, &coloured),
        cmocka_unit_test_prestate(classes_are_even, &gray),
        cmocka_unit_test_prestate(classes_are_even, &coloured),
        cmocka_unit_test_prestate(gray_images_are_drawings, &gray),
        cmocka_unit_test_prestate(coloured_images_have_many_colours, &coloured),
        cmocka_unit_test_prestate(a_linear_model_learns_some_and_not_all, &gray),
        cmocka_unit_test_prestate(a_linear_model_learns_some_and_not_all, &coloured),
    };
    return cmocka_run_group_tests_name("synthetic", tests, NULL, NULL);
}
