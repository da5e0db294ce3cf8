/* data/synthetic: a sample depends on seed, split and index alone, and the task is one that a linear model does not solve. */
#include "base/error.h"
#include "data/dataset.h"
#include "tests/tests.h"

#include <math.h>
#include <string.h>

enum { SIDE = 28, PIXELS = SIDE * SIDE, CLASSES = 10 };

static void open_digits(struct dataset *dataset, enum split split, uint64_t seed)
{
    struct error error = { 0 };
    struct dataset_request request = { .name = "synthetic", .split = split, .seed = seed };
    assert_int_equal(dataset_open(dataset, &request, &error), 0);
    assert_int_equal(dataset->sample_bytes, PIXELS);
    assert_null(dataset->format->decode);
}

static int32_t read_digit(const struct dataset *dataset, int64_t index, uint8_t *pixels)
{
    struct error error = { 0 };
    size_t bytes = 0;
    int32_t label = -1;
    assert_int_equal(dataset->format->read(dataset, index, pixels, &bytes, &label, &error), 0);
    assert_int_equal(bytes, PIXELS);
    return label;
}

static void a_sample_follows_from_seed_split_and_index(void **state)
{
    (void)state;
    struct dataset one, again, other_seed, other_split;
    uint8_t a[PIXELS], b[PIXELS];
    open_digits(&one, SPLIT_TRAIN, 7);
    open_digits(&again, SPLIT_TRAIN, 7);
    open_digits(&other_seed, SPLIT_TRAIN, 8);
    open_digits(&other_split, SPLIT_TEST, 7);
    assert_int_equal(one.n, 60000);
    assert_int_equal(other_split.n, 10000);
    for (int64_t i = 0; i < 100; i++) {
        int32_t label = read_digit(&one, i, a);
        assert_int_equal(read_digit(&again, 99 - i, b) >= 0, 1);
        assert_int_equal(read_digit(&again, i, b), label);
        assert_memory_equal(a, b, PIXELS);
        read_digit(&other_seed, i, b);
        assert_memory_not_equal(a, b, PIXELS);
        read_digit(&other_split, i, b);
        assert_memory_not_equal(a, b, PIXELS);
        read_digit(&one, i + 1, b);
        assert_memory_not_equal(a, b, PIXELS);
    }
    dataset_close(&one);
    dataset_close(&again);
    dataset_close(&other_seed);
    dataset_close(&other_split);
}

/* Each class is a tenth, within five standard deviations, and there is ink but mostly paper. */
static void classes_are_even_and_images_are_drawings(void **state)
{
    (void)state;
    enum { N = 10000 };
    struct dataset dataset;
    uint8_t pixels[PIXELS];
    int counts[CLASSES] = { 0 }, ink = 0;
    open_digits(&dataset, SPLIT_TEST, 1);
    for (int64_t i = 0; i < N; i++) {
        int32_t label = read_digit(&dataset, i, pixels);
        assert_in_range(label, 0, CLASSES - 1);
        counts[label]++;
        int dark = 0;
        for (int p = 0; p < PIXELS; p++)
            dark += pixels[p] > 100;
        assert_in_range(dark, 1, PIXELS / 2);
        ink += dark;
    }
    for (int c = 0; c < CLASSES; c++)
        assert_in_range(counts[c], 850, 1150);
    assert_in_range(ink / N, PIXELS / 20, PIXELS / 5);
    dataset_close(&dataset);
}

struct linear { float weight[CLASSES][PIXELS], bias[CLASSES]; };

static void scores(const struct linear *model, const float *x, float *score)
{
    for (int c = 0; c < CLASSES; c++) {
        score[c] = model->bias[c];
        for (int p = 0; p < PIXELS; p++)
            score[c] += model->weight[c][p] * x[p];
    }
}

static void to_floats(const uint8_t *pixels, float *x)
{
    for (int p = 0; p < PIXELS; p++)
        x[p] = (float)pixels[p] / 255;
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
        for (int p = 0; p < PIXELS; p++)
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
    (void)state;
    enum { TRAIN = 10000, TEST = 2000, EPOCHS = 4 };
    struct dataset train, test;
    struct linear model;
    uint8_t pixels[PIXELS];
    float x[PIXELS], score[CLASSES];
    int right = 0;
    memset(&model, 0, sizeof model);
    open_digits(&train, SPLIT_TRAIN, 1);
    open_digits(&test, SPLIT_TEST, 1);
    for (int epoch = 0; epoch < EPOCHS; epoch++)
        for (int64_t i = 0; i < TRAIN; i++) {
            int32_t label = read_digit(&train, i, pixels);
            to_floats(pixels, x);
            learn(&model, x, label, 0.02f / (float)(1 + epoch));
        }
    for (int64_t i = 0; i < TEST; i++) {
        int32_t label = read_digit(&test, i, pixels);
        to_floats(pixels, x);
        scores(&model, x, score);
        right += best(score) == label;
    }
    print_message("# a linear model gets %.1f %% of the drawn digits\n", 100.0 * right / TEST);
    assert_in_range(right, TEST / 2, TEST * 95 / 100);
    dataset_close(&train);
    dataset_close(&test);
}

int test_synthetic(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sample_follows_from_seed_split_and_index),
        cmocka_unit_test(classes_are_even_and_images_are_drawings),
        cmocka_unit_test(a_linear_model_learns_some_and_not_all),
    };
    return cmocka_run_group_tests_name("synthetic", tests, NULL, NULL);
}
