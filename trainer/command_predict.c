/* onestep predict: what is on pictures. The dataset is not needed: shape, normalization and names come with the weights. */
#include "trainer/command.h"

#include "base/door.h"
#include "base/elementary.h"
#include "base/sizes.h"
#include "base/text.h"
#include "data/image.h"
#include "trainer/model.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

static const char help[] =
    "usage: onestep predict CHECKPOINT IMAGE... [--top N]\n"
    "                       [--weights best|raw|average] [--json]\n\n"
    "Tells of each image (PNG or JPEG) the class that the network sees, and how\n"
    "probable it thinks that. The middle of the image is brought to the network's\n"
    "size; color and gray are turned into what the network takes. Nothing is\n"
    "inverted: to a network trained on MNIST a digit is white on black. Transparent\n"
    "parts become black for a network that takes gray, else white. A camera's note\n"
    "that a picture was taken on its side (EXIF) is not followed.\n"
    "An image that cannot be read is told in one line on stderr, the others are still\n"
    "done; the exit code is that of the first failure.\n"
    "  --top N    the N most probable classes (default 1)\n"
    "  --weights  best (default): the moving average where the file has one, else the\n"
    "             weights themselves (raw)\n"
    "  --json     as JSON, failures with it\n";

enum { GROUP = 16 }; /* images computed together: always as many, so that an image's result depends on it alone */

struct predicting {
    struct model model;
    struct model_runner runner;
    enum weights_choice weights;
    const char *checkpoint;
    char **images;   /* n_images paths, moved to the front of the command's words */
    int n_images;
    int64_t top;
    int column;      /* of the longest path's end */
    cJSON *list;     /* of the images' results; NULL: as text */
    int code;        /* of the first failure, or 0 */
    uint8_t *planes; /* [GROUP][C][H][W] */
};

static int read_option(struct predicting *p, const char *word, const char *value, bool *json, int *taken, struct error *error)
{
    *taken = 2;
    if (strcmp(word, "--json") == 0) {
        *json = true;
        *taken = 1;
        return 0;
    }
    bool top = strcmp(word, "--top") == 0;
    if (!top && strcmp(word, "--weights") != 0)
        return fail(error, EXIT_USAGE, "predict: want images, --top, --weights or --json, got \"%s\"; onestep predict --help", word);
    if (!value)
        return fail(error, EXIT_USAGE, "predict: %s: want %s after it, got nothing", word, top ? "a number" : "best, raw or average");
    if (!top)
        return model_weights_word("predict", value, &p->weights, error);
    if (!parse_int64(value, &p->top) || p->top < 1)
        return fail(error, EXIT_USAGE, "predict: --top: want a number from 1, got \"%s\"", value);
    return 0;
}

static int read_words(struct predicting *p, int n, char **words, bool *json, struct error *error)
{
    if (n < 1 || words[0][0] == '-')
        return fail(error, EXIT_USAGE, "predict: want a checkpoint first, got %s; onestep predict --help", n ? words[0] : "nothing");
    p->checkpoint = words[0];
    p->images = words + 1;
    p->top = 1;
    for (int i = 1, taken = 1; i < n; i += taken) {
        taken = 1;
        if (words[i][0] != '-')
            p->images[p->n_images++] = words[i];
        else if (read_option(p, words[i], i + 1 < n ? words[i + 1] : NULL, json, &taken, error))
            return -1;
    }
    return p->n_images ? 0 : fail(error, EXIT_USAGE, "predict: want at least one image, got none; onestep predict --help");
}

static int open_model(struct predicting *p, struct error *error)
{
    const struct model *model = &p->model;
    void *planes;
    if (model_read(&p->model, p->checkpoint, error) || model_load(&p->model, p->weights, error) || model_runner_open(&p->runner, model, GROUP, -1, error) ||
        door_allocate(&planes, GROUP * shape_count(model->about.input), "images", error))
        return -1;
    p->planes = planes;
    if (p->top > model->about.classes)
        p->top = model->about.classes;
    for (int i = 0; i < p->n_images; i++)
        p->column = text_columns(p->images[i]) > p->column ? text_columns(p->images[i]) : p->column;
    return 0;
}

/* One class that an image may show. */
struct guess { int label; double probability; };

/* The next most probable class behind `before`; the first of equals first. */
static struct guess next_guess(const float *logits, int classes, const struct guess *before)
{
    int next = -1;
    double norm = 0;
    for (int c = 0; c < classes; c++) {
        bool open = !before || logits[c] < logits[before->label] || (logits[c] == logits[before->label] && c > before->label);
        if (open && (next < 0 || logits[c] > logits[next]))
            next = c;
    }
    for (int c = 0; c < classes; c++)
        norm += elementary_exp((double)logits[c] - (double)logits[next]);
    return (struct guess){ next, 1 / norm };
}

static bool tell_json(const struct predicting *p, const char *path, const float *logits)
{
    cJSON *item = cJSON_CreateObject(), *classes = NULL;
    bool whole = cJSON_AddItemToArray(p->list, item) && cJSON_AddStringToObject(item, "image", path) && (classes = cJSON_AddArrayToObject(item, "classes"));
    struct guess guess = { 0 };
    for (int64_t i = 0; i < p->top && whole; i++) {
        cJSON *row = cJSON_CreateObject();
        guess = next_guess(logits, p->model.about.classes, i ? &guess : NULL);
        whole = cJSON_AddItemToArray(classes, row) && cJSON_AddStringToObject(row, "class", p->model.about.class_names[guess.label]) && cJSON_AddNumberToObject(row, "index", guess.label) &&
                cJSON_AddNumberToObject(row, "probability", guess.probability);
    }
    return whole;
}

static void tell_text(const struct predicting *p, const char *path, const float *logits)
{
    struct guess guess = { 0 };
    for (int64_t i = 0; i < p->top; i++) {
        const char *shown = i ? "" : path;
        guess = next_guess(logits, p->model.about.classes, i ? &guess : NULL);
        printf("%s%*s  %6.2f %%  %s\n", shown, p->column - text_columns(shown), "", 100 * guess.probability, p->model.about.class_names[guess.label]);
    }
}

static bool tell_failure(struct predicting *p, const char *path, const struct error *failure)
{
    fflush(stdout);
    fprintf(stderr, "onestep: %s\n", failure->text);
    p->code = p->code ? p->code : failure->code;
    cJSON *item = p->list ? cJSON_CreateObject() : NULL;
    return !p->list || (cJSON_AddItemToArray(p->list, item) && cJSON_AddStringToObject(item, "image", path) && cJSON_AddStringToObject(item, "error", failure->text));
}

/* Reads n images, computes those that could be read, and tells of all in their order. */
static int predict_group(struct predicting *p, char *const *paths, int n, struct error *error)
{
    static const int32_t labels[GROUP];
    static const int64_t index[GROUP];
    const struct shape input = p->model.about.input;
    struct error failures[GROUP] = { 0 };
    struct step_result result;
    int good = 0;
    bool told = true;
    for (int i = 0; i < n; i++) {
        struct image image;
        if (image_open(&image, paths[i], input.c == 1 ? 0 : 255, &failures[i]))
            continue;
        image_fit(&image, input.c, input.h, input.w, p->planes + (size_t)good++ * shape_count(input));
        image_release(&image);
    }
    if (good && model_run(&p->runner, p->planes, labels, index, good, &result, error))
        return -1;
    const float *logits = p->runner.logits;
    for (int i = 0; i < n && told; i++) {
        if (failures[i].code) {
            told = tell_failure(p, paths[i], &failures[i]);
            continue;
        }
        if (p->list)
            told = tell_json(p, paths[i], logits);
        else
            tell_text(p, paths[i], logits);
        logits += p->model.about.classes;
    }
    return told ? 0 : fail(error, EXIT_MEMORY, "out of memory for the JSON text");
}

/* The JSON text to be: *root is the caller's. */
static int open_json(struct predicting *p, cJSON **root, struct error *error)
{
    cJSON *made = *root = cJSON_CreateObject();
    bool whole = made && cJSON_AddStringToObject(made, "checkpoint", p->checkpoint) && cJSON_AddNumberToObject(made, "iteration", (double)p->model.about.iteration) &&
                 cJSON_AddStringToObject(made, "weights", p->model.average ? "average" : "raw") && (p->list = cJSON_AddArrayToObject(made, "images"));
    return whole ? 0 : fail(error, EXIT_MEMORY, "out of memory for the JSON text");
}

static void print_model(const struct predicting *p)
{
    char about[128], computed[64];
    model_describe(&p->model, about, sizeof about);
    model_describe_computing(&p->model, computed, sizeof computed);
    text_print(stdout, 9, "weights", "%s: %s", p->checkpoint, about);
    text_print(stdout, 9, "net", "%s in %s", p->model.graph.name, computed);
    putchar('\n');
}

static int predict(struct predicting *p, const cJSON *root, struct error *error)
{
    if (!root)
        print_model(p);
    for (int i = 0; i < p->n_images; i += GROUP)
        if (predict_group(p, p->images + i, p->n_images - i < GROUP ? p->n_images - i : GROUP, error))
            return -1;
    if (!root)
        return 0;
    char *text = cJSON_Print(root);
    if (!text)
        return fail(error, EXIT_MEMORY, "out of memory for the JSON text");
    puts(text);
    cJSON_free(text);
    return 0;
}

int command_predict(int n, char **words, struct error *error)
{
    struct predicting p = { 0 };
    bool json = false;
    cJSON *root = NULL;
    if (n && strcmp(words[0], "--help") == 0) {
        fputs(help, stdout);
        return 0;
    }
    int failed = read_words(&p, n, words, &json, error) || open_model(&p, error) || (json && open_json(&p, &root, error)) || predict(&p, root, error);
    cJSON_Delete(root);
    model_runner_close(&p.runner);
    model_release(&p.model);
    door_free(p.planes);
    return failed ? -1 : p.code;
}
