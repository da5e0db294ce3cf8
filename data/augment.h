/* Augmentation of training images: crop after padding, flip, cutout, in this order, on 8-bit pixels.
 *
 * What happens to a sample is a pure function of (seed, epoch, sample number), so it depends neither on the worker nor on the number of
 * threads, and switching one of the three on or off changes nothing about the other two. */
#ifndef DATA_AUGMENT_H
#define DATA_AUGMENT_H

#include "base/augmentation.h"

#include <stdbool.h>
#include <stdint.h>

struct dataset;
struct error;

enum { AUGMENT_CHANNELS = 4 };

/* All zero: nothing is done. */
struct augment_plan {
    int crop_pad; /* black pixels added on each side before a crop of the image's own size; less than the shorter side */
    bool flip;    /* left and right change places in half of the images */
    int cutout;   /* side of a square whose centre lies anywhere in the image, so that a part of it may lie outside; up to the longer side.
                   * DeVries and Taylor, arXiv 1708.04552 */
    uint8_t fill[AUGMENT_CHANNELS]; /* the square's value in each channel: their mean, which normalization turns into 0 */
};

bool augment_wanted(const struct augment_plan *plan);

/* EXIT_USAGE when images of the dataset's size cannot be augmented so. */
int augment_check(const struct augment_plan *plan, const struct dataset *dataset, struct error *error);

/* The byte that normalization with this mean brings nearest to 0. */
uint8_t augment_fill(double mean);

struct augmentation augment_draw(const struct augment_plan *plan, const struct dataset *dataset, uint64_t seed, int64_t epoch, int64_t sample);

/* One image of the dataset's shape, from one place to another. */
void augment_apply(const struct augment_plan *plan, const struct augmentation *drawn, const struct dataset *dataset, const uint8_t *restrict from, uint8_t *restrict to);

#endif
