/* Built-in images, for a machine with neither data nor network: digits, gray ones in MNIST's shape and coloured ones in CIFAR-10's, drawn when they
 * are asked for. Sample i of a split is a pure function of (seed, split, i), so nothing is stored and any thread may draw.
 *
 * No pixel stands for a class, so a linear model stays well under what a convolution learns. Only +, -, *, / and square roots touch the
 * pixels, so every machine draws the same. */
#include "data/formats.h"

#include "base/door.h"
#include "base/error.h"
#include "base/philox.h"
#include "data/dataset.h"
#include "data/draws.h"
#include "data/glyphs.h"

#include <math.h>

enum { GRAY_SIDE = 28, COLOUR_SIDE = 32, COLOURS = 3 };
static const uint64_t purpose_digits = 0x6469676974, purpose_coloured = 0x636f6c6f7572;

static float limited(float value, float least, float most)
{
    value = value < least ? least : value;
    return value > most ? most : value;
}

/* One channel: ink where a pixel is nearer than half a stroke's width, with a soft edge one pixel wide, over a ground that slopes, and grain everywhere. */
struct channel { float half_width, ink, grain, ground, slope_x, slope_y; };

static void develop(struct draws *draws, float nearest[][GLYPH_ROW], int side, const struct channel *channel, uint8_t *pixels)
{
    uint8_t noise[GLYPH_ROW][GLYPH_ROW], row[GLYPH_ROW];
    draw_bytes(draws, noise[0], (size_t)side * GLYPH_ROW);
    for (int y = 0; y < side; y++) {
        for (int x = 0; x < GLYPH_ROW; x++) {
            float cover = limited(channel->half_width + 0.5f - sqrtf(nearest[y][x]), 0, 1);
            float ground = channel->ground + channel->slope_x * (float)x + channel->slope_y * (float)y;
            row[x] = (uint8_t)(int)limited(ground + cover * channel->ink + channel->grain * ((float)noise[y][x] - 127.5f), 0, 255);
        }
        memcpy(pixels + y * side, row, (size_t)side);
    }
}

static struct draws begin(const struct dataset *dataset, int64_t index, size_t *bytes, int32_t *label)
{
    struct draws draws = { .key = *(const uint64_t *)dataset->state, .sample = (uint64_t)index };
    *label = (int32_t)(draw(&draws) % GLYPHS);
    *bytes = dataset->sample_bytes;
    return draws;
}

static int read_gray(const struct dataset *dataset, int64_t index, void *raw, size_t *bytes, int32_t *label, struct error *error)
{
    float nearest[GRAY_SIDE][GLYPH_ROW];
    struct draws draws = begin(dataset, index, bytes, label);
    (void)error;
    struct channel channel = { .half_width = draw_between(&draws, 0.7f, 1.6f) };
    glyph_draw(&draws, *label, GRAY_SIDE, channel.half_width + 1, nearest);
    channel.ink = draw_between(&draws, 150, 235);
    channel.grain = draw_between(&draws, 5, 80) / 255;
    develop(&draws, nearest, GRAY_SIDE, &channel, raw);
    return 0;
}

/* Ink is much brighter than its ground in one channel, and somewhat brighter or darker in the others. */
static int read_coloured(const struct dataset *dataset, int64_t index, void *raw, size_t *bytes, int32_t *label, struct error *error)
{
    float nearest[COLOUR_SIDE][GLYPH_ROW];
    struct draws draws = begin(dataset, index, bytes, label);
    (void)error;
    float half_width = draw_between(&draws, 0.9f, 2.0f);
    glyph_draw(&draws, *label, COLOUR_SIDE, half_width + 1, nearest);
    int brightest = (int)(draw(&draws) % COLOURS);
    for (int c = 0; c < COLOURS; c++) {
        struct channel channel = { .half_width = half_width };
        channel.ink = draw_between(&draws, c == brightest ? 60 : -40, 140);
        channel.grain = draw_between(&draws, 5, 60) / 255;
        channel.ground = draw_between(&draws, 40, 140);
        channel.slope_x = draw_between(&draws, -2, 2);
        channel.slope_y = draw_between(&draws, -2, 2);
        develop(&draws, nearest, COLOUR_SIDE, &channel, (uint8_t *)raw + c * COLOUR_SIDE * COLOUR_SIDE);
    }
    return 0;
}

static int open_drawn(struct dataset *dataset, const struct dataset_request *request, uint64_t purpose, struct error *error)
{
    if (door_allocate(&dataset->state, sizeof(uint64_t), "synthetic", error))
        return -1;
    *(uint64_t *)dataset->state = philox_key(request->seed, purpose + (uint64_t)request->split);
    dataset->classes = GLYPHS;
    dataset->class_names = digit_names;
    dataset->sample_bytes = (size_t)(dataset->channels * dataset->height * dataset->width);
    return 0;
}

static int open_gray(struct dataset *dataset, const struct dataset_request *request, struct error *error)
{
    dataset->n = request->split == SPLIT_TRAIN ? 60000 : 10000;
    dataset->channels = 1;
    dataset->height = dataset->width = GRAY_SIDE;
    return open_drawn(dataset, request, purpose_digits, error);
}

static int open_coloured(struct dataset *dataset, const struct dataset_request *request, struct error *error)
{
    dataset->n = request->split == SPLIT_TRAIN ? 50000 : 10000;
    dataset->channels = COLOURS;
    dataset->height = dataset->width = COLOUR_SIDE;
    return open_drawn(dataset, request, purpose_coloured, error);
}

static void synthetic_close(struct dataset *dataset) { door_free(dataset->state); }

const struct dataset_format dataset_synthetic = {
    .name = "synthetic",
    .help = "built-in drawn digits, 28x28, 60000 for training and 10000 for testing; needs no files",
    .open = open_gray,
    .read = read_gray,
    .close = synthetic_close,
};

const struct dataset_format dataset_synthetic_cifar10 = {
    .name = "synthetic-cifar10",
    .help = "the same in CIFAR-10's shape: coloured, 3x32x32, 50000 and 10000",
    .open = open_coloured,
    .read = read_coloured,
    .close = synthetic_close,
};
