/* Built-in digits, for a machine with neither data nor network: ten glyphs of straight strokes, bent and placed at random, drawn when
 * they are asked for. Sample i of a split is a pure function of (seed, split, i), so nothing is stored and any thread may draw.
 *
 * Points jump a little, then the glyph is scaled, slanted, turned and shifted, so that no pixel stands for a class: a linear model
 * stays well under what a convolution learns. Only +, -, *, / and square roots touch the pixels, so every machine draws the same. */
#include "data/formats.h"

#include "base/door.h"
#include "base/error.h"
#include "base/philox.h"
#include "data/dataset.h"

#include <math.h>
#include <string.h>

enum {
    SIDE = 28, ROW = 32, /* a row of distances is padded to whole vectors */
    CLASSES = 10, TRAIN_SAMPLES = 60000, TEST_SAMPLES = 10000,
    MOST_POINTS = 18, LIFT = 127, /* in place of x: the pen is lifted here */
    PURPOSE_DIGITS = 0x6469676974,
};

/* Strokes in a box of -6..6 by -10..10, y downwards; the first n points count. */
static const struct glyph { int n; signed char points[MOST_POINTS][2]; } glyphs[CLASSES] = {
    { 13, {{ 0, -10 }, { 3, -9 }, { 5, -6 }, { 6, 0 }, { 5, 6 }, { 3, 9 }, { 0, 10 }, { -3, 9 }, { -5, 6 }, { -6, 0 }, { -5, -6 }, { -3, -9 }, { 0, -10 }} },
    { 3, {{ -4, -6 }, { 0, -10 }, { 0, 10 }} },
    { 9, {{ -6, -6 }, { -4, -9 }, { 0, -10 }, { 4, -9 }, { 6, -6 }, { 5, -2 }, { 0, 4 }, { -6, 10 }, { 6, 10 }} },
    { 13, {{ -5, -8 }, { -2, -10 }, { 2, -10 }, { 5, -8 }, { 5, -4 }, { 3, -1 }, { -1, 0 }, { 3, 1 }, { 6, 4 }, { 5, 8 }, { 2, 10 }, { -2, 10 }, { -6, 8 }} },
    { 6, {{ 1, -10 }, { -6, 4 }, { 6, 4 }, { LIFT, 0 }, { 3, -4 }, { 3, 10 }} },
    { 10, {{ 5, -10 }, { -4, -10 }, { -5, -1 }, { -1, -3 }, { 3, -2 }, { 6, 2 }, { 5, 7 }, { 2, 10 }, { -2, 10 }, { -6, 8 }} },
    { 12, {{ 4, -10 }, { -1, -7 }, { -4, -2 }, { -5, 4 }, { -4, 8 }, { 0, 10 }, { 4, 8 }, { 5, 4 }, { 3, 0 }, { 0, -1 }, { -3, 1 }, { -5, 4 }} },
    { 4, {{ -6, -10 }, { 6, -10 }, { 1, 0 }, { -2, 10 }} },
    { 17, {{ 0, -1 }, { -4, -3 }, { -5, -6 }, { -3, -9 }, { 0, -10 }, { 3, -9 }, { 5, -6 }, { 4, -3 }, { 0, -1 },
           { -4, 2 }, { -6, 6 }, { -4, 9 }, { 0, 10 }, { 4, 9 }, { 6, 6 }, { 4, 2 }, { 0, -1 }} },
    { 12, {{ -4, 10 }, { 1, 7 }, { 4, 2 }, { 5, -4 }, { 4, -8 }, { 0, -10 }, { -4, -8 }, { -5, -4 }, { -3, 0 }, { 0, 1 }, { 3, -1 }, { 5, -4 }} },
};

/* One sample's random numbers, in turn. */
struct draws { uint64_t key, sample, block; int left; struct philox_block words; };

static uint32_t draw(struct draws *draws)
{
    if (draws->left == 0) {
        draws->words = philox(draws->key, draws->sample, draws->block++);
        draws->left = 4;
    }
    return draws->words.word[--draws->left];
}

static float draw_between(struct draws *draws, float low, float high) { return low + (high - low) * uniform_float(draw(draws)); }

struct point { float x, y; };

/* x' = xx x + xy y + x0, y' = yx x + yy y + y0: from the glyph's box to pixels. */
struct affine { float xx, xy, x0, yx, yy, y0; };

static struct affine draw_affine(struct draws *draws)
{
    float height = draw_between(draws, 0.62f, 0.95f), width = height * draw_between(draws, 0.75f, 1.2f);
    float slant = draw_between(draws, -0.35f, 0.35f);
    float half_tangent = draw_between(draws, -0.14f, 0.14f); /* turns of up to 16 degrees, without a sine */
    float scale = 1 / (1 + half_tangent * half_tangent);
    float cosine = (1 - half_tangent * half_tangent) * scale, sine = 2 * half_tangent * scale;
    struct affine a = {
        .xx = cosine * width, .xy = cosine * slant * height - sine * height, .x0 = 0.5f * (SIDE - 1) + draw_between(draws, -3, 3),
        .yx = sine * width, .yy = sine * slant * height + cosine * height, .y0 = 0.5f * (SIDE - 1) + draw_between(draws, -3, 3),
    };
    return a;
}

/* Lower each pixel's squared distance to the strokes by one straight piece, in the rows that lie within `reach` of it. */
static void add_piece(float nearest[SIDE][ROW], struct point a, struct point b, float reach)
{
    float dx = b.x - a.x, dy = b.y - a.y, per_length = 1 / (dx * dx + dy * dy + 1e-6f);
    float top = (a.y < b.y ? a.y : b.y) - reach, bottom = (a.y > b.y ? a.y : b.y) + reach;
    for (int y = top > 0 ? (int)top : 0; y < SIDE && (float)y <= bottom; y++) {
        float py = (float)y - a.y;
        for (int x = 0; x < ROW; x++) {
            float px = (float)x - a.x;
            float along = (px * dx + py * dy) * per_length;
            along = along < 0 ? 0 : along;
            along = along > 1 ? 1 : along;
            float ex = px - along * dx, ey = py - along * dy, squared = ex * ex + ey * ey;
            nearest[y][x] = squared < nearest[y][x] ? squared : nearest[y][x];
        }
    }
}

static void draw_strokes(struct draws *draws, const struct glyph *glyph, float nearest[SIDE][ROW], float reach)
{
    struct affine a = draw_affine(draws);
    struct point before = { 0, 0 };
    bool pen_down = false;
    for (int i = 0; i < glyph->n; i++) {
        if (glyph->points[i][0] == LIFT) {
            pen_down = false;
            continue;
        }
        float x = (float)glyph->points[i][0] + draw_between(draws, -2, 2), y = (float)glyph->points[i][1] + draw_between(draws, -2, 2);
        struct point at = { a.xx * x + a.xy * y + a.x0, a.yx * x + a.yy * y + a.y0 };
        if (pen_down)
            add_piece(nearest, before, at, reach);
        before = at;
        pen_down = true;
    }
}

static void draw_bytes(struct draws *draws, uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i += sizeof draws->words) {
        struct philox_block words = philox(draws->key, draws->sample, draws->block++);
        memcpy(bytes + i, &words, sizeof words);
    }
}

/* Ink where a pixel is nearer than half a stroke's width, with a soft edge one pixel wide, and grain everywhere. */
static void develop(struct draws *draws, float nearest[SIDE][ROW], float half_width, uint8_t *pixels)
{
    float ink = draw_between(draws, 150, 235), grain = draw_between(draws, 5, 80) / 255;
    uint8_t noise[SIDE][ROW], row[ROW];
    draw_bytes(draws, noise[0], sizeof noise);
    for (int y = 0; y < SIDE; y++) {
        for (int x = 0; x < ROW; x++) {
            float cover = half_width + 0.5f - sqrtf(nearest[y][x]);
            cover = cover < 0 ? 0 : cover;
            cover = cover > 1 ? 1 : cover;
            float value = cover * ink + grain * ((float)noise[y][x] - 127.5f);
            value = value < 0 ? 0 : value;
            value = value > 255 ? 255 : value;
            row[x] = (uint8_t)(int)value;
        }
        memcpy(pixels + y * SIDE, row, SIDE);
    }
}

static int synthetic_read(const struct dataset *dataset, int64_t index, void *raw, size_t *bytes, int32_t *label, struct error *error)
{
    const uint64_t *key = dataset->state;
    (void)error;
    struct draws draws = { .key = *key, .sample = (uint64_t)index };
    float nearest[SIDE][ROW];
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < ROW; x++)
            nearest[y][x] = SIDE * SIDE;
    *label = (int32_t)(draw(&draws) % CLASSES);
    *bytes = dataset->sample_bytes;
    float half_width = draw_between(&draws, 0.7f, 1.6f);
    draw_strokes(&draws, &glyphs[*label], nearest, half_width + 1);
    develop(&draws, nearest, half_width, raw);
    return 0;
}

static int synthetic_open(struct dataset *dataset, const struct dataset_request *request, struct error *error)
{
    if (door_allocate(&dataset->state, sizeof(uint64_t), "synthetic", error))
        return -1;
    *(uint64_t *)dataset->state = philox_key(request->seed, PURPOSE_DIGITS + (uint64_t)request->split);
    dataset->n = request->split == SPLIT_TRAIN ? TRAIN_SAMPLES : TEST_SAMPLES;
    dataset->channels = 1;
    dataset->height = dataset->width = SIDE;
    dataset->classes = CLASSES;
    dataset->class_names = digit_names;
    dataset->sample_bytes = SIDE * SIDE;
    return 0;
}

static void synthetic_close(struct dataset *dataset) { door_free(dataset->state); }

const struct dataset_format dataset_synthetic = {
    .name = "synthetic",
    .help = "built-in drawn digits, 28x28, 60000 for training and 10000 for testing; needs no files",
    .open = synthetic_open,
    .read = synthetic_read,
    .close = synthetic_close,
};
