/* What eval and predict stand on: what a weights file says of itself, a pass over a test set on any number of threads, the confusion matrix and its picture. */
#include "base/door.h"
#include "cpu/cpu.h"
#include "data/image.h"
#include "nets/network.h"
#include "tests/tests.h"
#include "trainer/confusion.h"
#include "trainer/picture.h"
#include "trainer/test_pass.h"
#include "trainer/weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- what a file says of itself ---- */

static const char config_text[] = "[data]\\ndataset = synthetic\\n[net]\\nname = mlp\\n[train]\\nepochs = 3\\n";

/* A safetensors file with that header and no tensors. */
static void write_header(const char *path, const char *header)
{
    uint64_t n = strlen(header);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_true(fwrite(&n, sizeof n, 1, file) == 1 && fwrite(header, 1, n, file) == n);
    assert_int_equal(fclose(file), 0);
}

static void a_file_tells_about_itself(void **state)
{
    char path[] = "/tmp/onestep-about-XXXXXX", header[1024];
    struct weights_about about;
    struct error error = { 0 };
    (void)state;
    assert_true(close(mkstemp(path)) == 0);
    for (int average = 0; average < 2; average++) {
        snprintf(header, sizeof header, "{\"__metadata__\":{\"config\":\"%s\",\"iteration\":\"12\",\"input\":\"[3, 32, 16]\",\"classes\":\"[\\\"cat\\\", \\\"dog\\\"]\"}%s}", config_text,
                 average ? ",\"onestep.ema/fc1.bias\":{}" : "");
        write_header(path, header);
        if (weights_about_read(&about, path, &error))
            fail_msg("%s", error.text);
        assert_true(about.iteration == 12 && about.input.c == 3 && about.input.h == 32 && about.input.w == 16 && about.classes == 2 && about.average == average);
        assert_string_equal(about.class_names[1], "dog");
        assert_string_equal(about.config.net.name, "mlp");
        assert_int_equal(about.config.train.epochs, 3);
        weights_about_release(&about);
    }
    unlink(path);
}

#define ABOUT(config, rest) "{\"__metadata__\":{\"config\":\"" config "\"," rest "}}"
#define CONFIG "[data]\\ndataset = synthetic\\n[net]\\nname = mlp\\n[train]\\nepochs = 3\\n"

static void what_a_file_says_is_checked(void **state)
{
    static const struct { const char *header, *want; } cases[] = {
        { "[]", "want a safetensors file: its header is no JSON object" },
        { "{\"__metadata__\":", "want a safetensors file: its header is no JSON object" },
        { "{}", "want a file that onestep train wrote: its metadata has no \"config\"" },
        { "{\"__metadata__\":{\"config\":7}}", "want a file that onestep train wrote: its metadata has no \"config\"" },
        { "{\"__metadata__\":{\"config\":\"\",\"iteration\":\"1\"}}", "want a file that onestep train wrote: its metadata has no \"input\"" },
        { ABOUT(CONFIG, "\"iteration\":\"x\",\"input\":\"\",\"classes\":\"\""), "metadata \"iteration\": want a number, found x" },
        { ABOUT(CONFIG, "\"iteration\":\"-1\",\"input\":\"\",\"classes\":\"\""), "metadata \"iteration\": want a number, found -1" },
        { ABOUT("[dat]\\nx = 1\\n", "\"iteration\":\"1\",\"input\":\"[1,2,3]\",\"classes\":\"[]\""), "its config:2: unknown section [dat], the nearest is [data]" },
        { ABOUT("", "\"iteration\":\"1\",\"input\":\"[1,2,3]\",\"classes\":\"[]\""), "its config: [data] dataset: not set, and it has no default" },
        { ABOUT(CONFIG, "\"iteration\":\"1\",\"input\":\"[1,2]\",\"classes\":\"[]\""), "metadata \"input\": want [channels, rows, columns], found [1,2]" },
        { ABOUT(CONFIG, "\"iteration\":\"1\",\"input\":\"[1,2,3000000]\",\"classes\":\"[]\""), "metadata \"input\": want [channels, rows, columns], found [1,2,3000000]" },
        { ABOUT(CONFIG, "\"iteration\":\"1\",\"input\":\"[5,2,3]\",\"classes\":\"[]\""), "metadata \"input\": want [channels, rows, columns], found [5,2,3]" },
        { ABOUT(CONFIG, "\"iteration\":\"1\",\"input\":\"[1,2,3]\",\"classes\":\"[]\""), "metadata \"classes\": want a list of names, found []" },
        { ABOUT(CONFIG, "\"iteration\":\"1\",\"input\":\"[1,2,3]\",\"classes\":\"[1]\""), "metadata \"classes\": want a list of names, found [1]" },
        { ABOUT(CONFIG, "\"iteration\":\"1\",\"input\":\"[1,2,3]\",\"classes\":\"cat\""), "metadata \"classes\": want a list of names, found cat" },
    };
    char path[] = "/tmp/onestep-about-XXXXXX";
    (void)state;
    assert_true(close(mkstemp(path)) == 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct weights_about about;
        struct error error = { 0 };
        char want[256];
        write_header(path, cases[i].header);
        assert_int_equal(weights_about_read(&about, path, &error), -1);
        snprintf(want, sizeof want, "%s: %s", path, cases[i].want);
        assert_string_equal(error.text, want);
        assert_int_equal(error.code, EXIT_INPUT);
        weights_about_release(&about);
    }
    unlink(path);
}

/* ---- a pass ---- */

static const char *const digits[] = { "0", "1", "2", "3", "4", "5", "6", "7", "8", "9" };

struct scene { struct model model; struct dataset dataset; };

static int open_scene(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    struct model *model = &scene->model;
    struct error error = { 0 };
    void *weights;
    *state = scene;
    const struct dataset_request data = { .name = "synthetic", .split = SPLIT_TEST, .limit = 333, .seed = 1 };
    const struct network_request net = { .input = { .c = 1, .h = 28, .w = 28, .std = { 1, 1, 1, 1 } }, .classes = 10 };
    config_defaults(&model->about.config);
    model->about.config.data.eval_batch = 32;
    model->about.classes = 10;
    model->about.class_names = (const char **)digits;
    model->path = "m";
    model->backend = &backend_lanes;
    if (dataset_open(&scene->dataset, &data, &error) || network_build(&model->graph, "mlp", &net, &error) ||
        door_allocate(&weights, model->graph.params.total * sizeof(float), "weights", &error))
        return -1;
    model->weights = weights;
    graph_init_weights(&model->graph, 3, model->weights);
    return 0;
}

static int close_scene(void **state)
{
    struct scene *scene = *state;
    dataset_close(&scene->dataset);
    graph_release(&scene->model.graph);
    door_free(scene->model.weights);
    free(scene);
    return 0;
}

static void totals_do_not_depend_on_threads(void **state)
{
    struct scene *scene = *state;
    struct evaluation_total total[3];
    struct confusion confusion[3];
    static const int threads[] = { 1, 3, 20 }; /* 20 are more than there are batches */
    int processors[20], good = 0;
    struct error error = { 0 };
    for (int i = 0; i < 20; i++)
        processors[i] = -1;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(confusion_open(&confusion[i], 10, digits, &error), 0);
        if (test_pass(&scene->model, &scene->dataset, threads[i], processors, &total[i], &confusion[i], &error))
            fail_msg("%s", error.text);
        assert_memory_equal(&total[i], &total[0], sizeof total[0]);
        assert_memory_equal(confusion[i].counts, confusion[0].counts, 100 * sizeof(int64_t));
    }
    int64_t images = 0;
    for (int c = 0; c < 10; c++) {
        good += (int)confusion_row(&confusion[0], c)[c];
        images += confusion_row_sum(&confusion[0], c);
    }
    assert_true(images == 333 && total[0].samples == 333 && total[0].correct == good && total[0].correct5 > good);
    for (int i = 0; i < 3; i++)
        confusion_release(&confusion[i]);
}

/* Weights that are finite, and a loss that is not; whoever finds it, the others end too. */
static void a_loss_that_is_not_finite_is_told(void **state)
{
    struct scene *scene = *state;
    struct evaluation_total total;
    struct confusion confusion;
    struct error error = { 0 };
    assert_int_equal(confusion_open(&confusion, 10, digits, &error), 0);
    for (size_t i = 0; i < scene->model.graph.params.total; i++)
        scene->model.weights[i] = 1e30f;
    assert_int_equal(test_pass(&scene->model, &scene->dataset, 2, (const int[]){ -1, -1 }, &total, &confusion, &error), -1);
    assert_int_equal(error.code, EXIT_NOT_FINITE);
    assert_non_null(strstr(error.text, "is not finite"));
    confusion_release(&confusion);
}

/* ---- the matrix and its picture ---- */

static void rivals_are_the_first_of_equals(void **state)
{
    struct confusion confusion;
    struct error error = { 0 };
    (void)state;
    assert_int_equal(confusion_open(&confusion, 3, digits, &error), 0);
    memcpy(confusion.counts, (const int64_t[]){ 9, 2, 2, 0, 5, 0, 1, 3, 0 }, 9 * sizeof(int64_t));
    assert_true(confusion_rival(&confusion, 0) == 1 && confusion_rival(&confusion, 1) == -1 && confusion_rival(&confusion, 2) == 1);
    assert_true(confusion_row_sum(&confusion, 0) == 13 && confusion_row_sum(&confusion, 1) == 5);
    confusion_release(&confusion);
}

static int dark_pixels(const struct image *image)
{
    int n = 0;
    for (int i = 0; i < image->height * image->width; i++)
        n += image->pixels[3 * i] < 64 && image->pixels[3 * i + 1] < 64 && image->pixels[3 * i + 2] < 64;
    return n;
}

static int reddish_pixels(const struct image *image)
{
    int n = 0;
    for (int i = 0; i < image->height * image->width; i++)
        n += image->pixels[3 * i] > image->pixels[3 * i + 2] + 40;
    return n;
}

/* From two classes to a thousand; names longer than any room, and not in ASCII. */
static void every_matrix_is_drawn(void **state)
{
    static const int classes[] = { 1, 2, 10, 20, 21, 100, 1000 };
    char path[] = "/tmp/onestep-picture-XXXXXX";
    (void)state;
    assert_true(close(mkstemp(path)) == 0);
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        struct confusion confusion;
        struct image image;
        struct error error = { 0 };
        int n = classes[i];
        const char **names = calloc((size_t)n, sizeof *names);
        for (int c = 0; c < n; c++)
            names[c] = c % 2 ? "a name that is much longer than any room" : "\xc3\xa9l\xc3\xa9phant";
        assert_int_equal(confusion_open(&confusion, n, names, &error), 0);
        for (int wrong = 0; wrong < 2; wrong++) { /* nobody is taken for another, then all are */
            for (int c = 0; c < n; c++) {
                confusion_row(&confusion, c)[c] = wrong ? 0 : 1234567;
                confusion_row(&confusion, c)[(c + 1) % n] += wrong;
            }
            assert_int_equal(confusion_picture(&confusion, "a title", path, &error), 0);
            assert_int_equal(image_open(&image, path, 0, &error), 0);
            assert_true(image.channels == 3 && image.width >= n && image.height >= n && image.width < 4000 && dark_pixels(&image) > 200);
            assert_int_equal(reddish_pixels(&image) > n, wrong && n > 1);
            image_release(&image);
        }
        confusion_release(&confusion);
        free(names);
    }
    unlink(path);
}

static void letters_stay_inside(void **state)
{
    struct picture picture;
    struct error error = { 0 };
    const struct colour black = { 0, 0, 0 };
    int dark = 0;
    (void)state;
    assert_int_equal(picture_open(&picture, 20, 20, &error), 0);
    for (int upward = 0; upward < 2; upward++)
        for (int x = -30; x < 40; x += 7)
            picture_text(&picture, x, 40 - x, &(struct text_style){ 3, upward, black }, "W\x7f\xff~");
    picture_fill(&picture, -5, -5, 1000, 6, black);
    for (int x = 0; x < 20; x++)
        dark += picture.pixels[x].r == 0;
    assert_int_equal(dark, 20);
    assert_int_equal(picture_text_width("\xc3\xa9t\xc3\xa9"), 3 * LETTER_WIDTH - 1);
    picture_release(&picture);
}

int test_eval(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_tells_about_itself),
        cmocka_unit_test(what_a_file_says_is_checked),
        cmocka_unit_test_setup_teardown(totals_do_not_depend_on_threads, open_scene, close_scene),
        cmocka_unit_test_setup_teardown(a_loss_that_is_not_finite_is_told, open_scene, close_scene),
        cmocka_unit_test(rivals_are_the_first_of_equals),
        cmocka_unit_test(every_matrix_is_drawn),
        cmocka_unit_test(letters_stay_inside),
    };
    return cmocka_run_group_tests_name("eval", tests, NULL, NULL);
}
