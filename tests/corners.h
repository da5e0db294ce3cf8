/* Where a chain's gradient hangs on a comparison: a maximum between two values that are nearly the same, a ReLU near 0. What is equal but
 * for rounding may fall on either side there, and whole elements of the gradient with it, so such places are given no gradient. */
#ifndef TESTS_CORNERS_H
#define TESTS_CORNERS_H

#include "tests/segment.h"

/* Zeroes the elements of dy whose way back through the chain passes a comparison that `margin` times the largest value compared can turn.
 * The segment is the reference's, in training, right after its forward pass. What compares values from in front of the segment
 * does not count: all sides get the same bits of them. */
void corners_mute(const struct segment *segment, double margin, float *dy);

#endif
