/* Elementary functions with the same bits everywhere. The C library's own choose a variant by the processor when the
 * program starts, and differ from one library to the next; these use sums, products and quotients of doubles, which
 * IEEE 754 defines to the last bit, and no contraction (-ffp-contract=off). Everything that
 * reaches weights, losses or checkpoints calls these. Any thread may call them.
 *
 * A NaN gives a NaN, and infinities, zeros and subnormal numbers give what the C library's functions give. The bounds
 * are of the error in units in the last place of the result, and are tested; half a unit is the best that there can be.
 */
#ifndef BASE_ELEMENTARY_H
#define BASE_ELEMENTARY_H

double elementary_exp(double x); /* 0.53; 0.77 where the result is subnormal */
double elementary_log(double x); /* 0.51 */
/* 0.54; 0.76 near the ends of what a double holds. x >= 0: a negative x gives a NaN, unless y is 0. */
double elementary_pow(double x, double y);
double elementary_cosine(double turns); /* cos(2 pi turns), 0.8 */
float elementary_expf(float x);         /* 0.5001 */

#endif
