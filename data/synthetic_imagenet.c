/* Built-in images in ImageNet's shape, of any size, cheap enough to measure the speed of training and not that of the disk: a class is a colour and a pattern of seven by
 * seven patches around it. An image is that pattern, moved to anywhere (what leaves on one side comes back on the other), with its own contrast and brightness and grain.
 *
 * Sample i of a split is a pure function of (seed, split, i), a class one of (seed, class), so nothing is stored but some grain, and any thread may draw. Only integers touch
 * the pixels, so every machine draws the same; the inner loop is one that compilers vectorize. */
#include "data/formats.h"

#include "base/door.h"
#include "base/error.h"
#include "base/philox.h"
#include "data/dataset.h"
#include "data/draws.h"

enum {
    CLASSES = 1000, PLANES = 3, PATCHES = 7,
    PLACES = PATCHES * 256,                             /* along one side: patches and their fractions */
    LEAST_SIDE = 16, MOST_SIDE = 1024,
    GRAIN_MOST = 31, BRIGHTEST = 255 - GRAIN_MOST,      /* grain is added without a check */
    GRAINS = 1 << 16, CLASS_BYTES = 160,                /* a multiple of what draw_bytes makes at a time; a class takes 3 + 3 * 7 * 7 of them */
};
static const uint64_t purpose_class = 0x636c617373, purpose_image = 0x696d616765, purpose_grain = 0x677261696e;

struct synthetic_imagenet {
    uint64_t class_key, image_key;
    uint8_t grain[GRAINS + MOST_SIDE]; /* a row takes some of them, from anywhere */
};

/* Where a pixel lies between the middles of two patches, which weigh 256 - part and part. */
struct place { uint8_t patch, next; uint16_t part; };

static void find_places(struct place *places, int side, uint32_t shift)
{
    for (int i = 0; i < side; i++) {
        unsigned at = ((unsigned)i * PLACES / (unsigned)side + shift) % PLACES;
        places[i] = (struct place){ (uint8_t)(at / 256), (uint8_t)((at / 256 + 1) % PATCHES), (uint16_t)(at % 256) };
    }
}

static uint8_t between(uint8_t a, uint8_t b, uint16_t part) { return (uint8_t)((a * (256 - part) + b * part) >> 8); }

static void draw_row(uint8_t *restrict row, const uint8_t *restrict above, const uint8_t *restrict below, uint16_t part, const uint8_t *restrict grain, int side)
{
    for (int x = 0; x < side; x++)
        row[x] = (uint8_t)(between(above[x], below[x], part) + grain[x]);
}

/* A class's plane under the image's own contrast (128..255, in 256ths) and brightness. The pattern is as strong as the colour. */
static void tint(uint8_t patches[PATCHES][PATCHES], uint8_t colour, const uint8_t *pattern, uint32_t contrast, uint32_t brightness)
{
    for (int i = 0; i < PATCHES * PATCHES; i++) {
        uint32_t level = ((uint32_t)colour + pattern[i]) / 2 * BRIGHTEST / 255;
        patches[i / PATCHES][i % PATCHES] = (uint8_t)((level * contrast + brightness * (256 - contrast)) >> 8);
    }
}

static void draw_plane(struct draws *draws, const struct synthetic_imagenet *state, uint8_t patches[PATCHES][PATCHES], const struct place *columns, const struct place *rows, int side,
                       uint8_t *pixels)
{
    uint8_t wide[PATCHES][MOST_SIDE]; /* the rows of patches, as wide as the image */
    for (int r = 0; r < PATCHES; r++)
        for (int x = 0; x < side; x++)
            wide[r][x] = between(patches[r][columns[x].patch], patches[r][columns[x].next], columns[x].part);
    for (int y = 0; y < side; y++)
        draw_row(pixels + y * side, wide[rows[y].patch], wide[rows[y].next], rows[y].part, state->grain + draw(draws) % GRAINS, side);
}

static int read_image(const struct dataset *dataset, int64_t index, void *raw, size_t *bytes, int32_t *label, struct error *error)
{
    const struct synthetic_imagenet *state = dataset->state;
    const int side = dataset->height;
    struct place columns[MOST_SIDE], rows[MOST_SIDE];
    uint8_t class_bytes[CLASS_BYTES], patches[PATCHES][PATCHES];
    struct draws draws = { .key = state->image_key, .sample = (uint64_t)index };
    (void)error;
    *label = (int32_t)(draw(&draws) % CLASSES);
    *bytes = dataset->sample_bytes;
    draw_bytes(&(struct draws){ .key = state->class_key, .sample = (uint64_t)*label }, class_bytes, CLASS_BYTES);
    find_places(columns, side, draw(&draws) % PLACES);
    find_places(rows, side, draw(&draws) % PLACES);
    for (int c = 0; c < PLANES; c++) {
        uint32_t contrast = 128 + draw(&draws) % 128, brightness = draw(&draws) % BRIGHTEST;
        tint(patches, class_bytes[c], class_bytes + PLANES + c * PATCHES * PATCHES, contrast, brightness);
        draw_plane(&draws, state, patches, columns, rows, side, (uint8_t *)raw + c * side * side);
    }
    return 0;
}

static int open_images(struct dataset *dataset, const struct dataset_request *request, struct error *error)
{
    const int side = request->side ? request->side : dataset_synthetic_imagenet.side;
    if (side < LEAST_SIDE || side > MOST_SIDE)
        return fail(error, EXIT_USAGE, "dataset synthetic-imagenet: want images of %d to %d pixels a side (data.size), found %d", LEAST_SIDE, MOST_SIDE, side);
    if (door_allocate(&dataset->state, sizeof(struct synthetic_imagenet), "synthetic-imagenet", error))
        return -1;
    struct synthetic_imagenet *state = dataset->state;
    state->class_key = philox_key(request->seed, purpose_class);
    state->image_key = philox_key(request->seed, purpose_image + (uint64_t)request->split);
    draw_bytes(&(struct draws){ .key = philox_key(request->seed, purpose_grain) }, state->grain, sizeof state->grain);
    for (size_t i = 0; i < sizeof state->grain; i++)
        state->grain[i] %= GRAIN_MOST + 1;
    dataset->n = request->split == SPLIT_TRAIN ? 1281167 : 50000;
    dataset->classes = CLASSES;
    dataset->channels = PLANES;
    dataset->height = dataset->width = side;
    dataset->sample_bytes = (size_t)(PLANES * side * side);
    return 0;
}

static void close_images(struct dataset *dataset) { door_free(dataset->state); }

const struct dataset_format dataset_synthetic_imagenet = {
    .name = "synthetic-imagenet",
    .help = "coloured patterns in ImageNet's shape, 3x224x224 or any size (data.size), 1000 classes, 1281167 and 50000; needs no files",
    .side = 224,
    .open = open_images,
    .read = read_image,
    .close = close_images,
};
