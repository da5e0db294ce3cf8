/* See augment.h. */
#include "data/augment.h"

#include "base/error.h"
#include "data/dataset.h"

#include <stdlib.h>
#include <string.h>

bool augment_wanted(const struct augment_plan *plan) { return plan->crop_pad || plan->flip || plan->cutout; }

int augment_check(const struct augment_plan *plan, const struct dataset *dataset, struct error *error)
{
    int height = dataset->height, width = dataset->width, shorter = height < width ? height : width, longer = height < width ? width : height;
    if (plan->crop_pad < 0 || plan->crop_pad >= shorter)
        return fail(error, EXIT_USAGE, "crop_pad: want 0..%d pixels for images of %dx%d, found %d", shorter - 1, height, width, plan->crop_pad);
    if (plan->cutout < 0 || plan->cutout > longer)
        return fail(error, EXIT_USAGE, "cutout: want 0..%d pixels for images of %dx%d, found %d", longer, height, width, plan->cutout);
    if (plan->cutout && dataset->channels > AUGMENT_CHANNELS)
        return fail(error, EXIT_USAGE, "cutout: want images of up to %d channels, found %d", AUGMENT_CHANNELS, dataset->channels);
    return 0;
}

uint8_t augment_fill(double mean)
{
    double byte = mean * 255 + 0.5;
    return byte <= 0 ? 0 : byte >= 255 ? 255 : (uint8_t)byte;
}

struct augmentation augment_draw(const struct augment_plan *plan, const struct dataset *dataset, uint64_t seed, int64_t epoch, int64_t sample)
{
    const struct augmentation_space space = { dataset->height, dataset->width, plan->crop_pad, plan->flip };
    return augmentation_draw(&space, seed, epoch, sample);
}

/* to[y][x] = from[y + down][x + right], and 0 where that is outside: the whole plane moves as one piece, then the columns that came round
 * from the rows' other ends, and the rows that have no source, are cleared. */
static void shift(uint8_t *restrict to, const uint8_t *restrict from, int height, int width, const struct augmentation *drawn)
{
    int bytes = height * width, by = drawn->down * width + drawn->right, forward = by < 0 ? -by : 0, back = by > 0 ? by : 0;
    memcpy(to + forward, from + back, (size_t)(bytes - forward - back));
    if (drawn->down < 0)
        memset(to, 0, (size_t)(-drawn->down * width));
    else
        memset(to + bytes - drawn->down * width, 0, (size_t)(drawn->down * width));
    int first = drawn->right > 0 ? width - drawn->right : 0;
    for (int x = first; x < first + abs(drawn->right); x++)
        for (int y = 0; y < height; y++)
            to[y * width + x] = 0;
}

static inline uint64_t reversed(const uint8_t *at)
{
    uint64_t eight;
    memcpy(&eight, at, sizeof eight);
    return __builtin_bswap64(eight);
}

/* Eight pixels of either end change places at a time, then one by one what is left in the middle. */
static void mirror(uint8_t *row, int width)
{
    uint8_t *left = row, *right = row + width;
    for (; right - left >= 16; left += 8) {
        right -= 8;
        uint64_t first = reversed(left), last = reversed(right);
        memcpy(left, &last, sizeof last);
        memcpy(right, &first, sizeof first);
    }
    for (; right - left >= 2; left++) {
        uint8_t first = *left;
        *left = *--right;
        *right = first;
    }
}

static void cut(uint8_t *plane, int height, int width, const struct augment_plan *plan, const struct augmentation *drawn, uint8_t fill)
{
    int top = drawn->row - plan->cutout / 2, left = drawn->column - plan->cutout / 2, bottom = top + plan->cutout, right = left + plan->cutout;
    top = top < 0 ? 0 : top;
    left = left < 0 ? 0 : left;
    bottom = bottom > height ? height : bottom;
    right = right > width ? width : right;
    for (int y = top; y < bottom; y++)
        memset(plane + y * width + left, fill, (size_t)(right - left));
}

void augment_apply(const struct augment_plan *plan, const struct augmentation *drawn, const struct dataset *dataset, const uint8_t *restrict from, uint8_t *restrict to)
{
    int height = dataset->height, width = dataset->width, plane = height * width;
    for (int c = 0; c < dataset->channels; c++, from += plane, to += plane) {
        shift(to, from, height, width, drawn);
        for (int y = 0; drawn->flipped && y < height; y++)
            mirror(to + y * width, width);
        if (plan->cutout)
            cut(to, height, width, plan, drawn, plan->fill[c]);
    }
}
