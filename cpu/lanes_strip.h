/* The convolution kernel's interface: one row of outputs, all filters, one block of samples.
 *
 * A gradient of the input is a convolution too, with the taps reversed, the weights' channel strides exchanged and
 * zeros around the plane, so one kernel serves both directions. Strides of `in` and `out` are in vectors, of `w` in
 * floats and of either sign. */
#ifndef CPU_LANES_STRIP_H
#define CPU_LANES_STRIP_H

#include "cpu/vector.h"

#include <stdbool.h>
#include <stddef.h>

struct strip {
    /* what is read */
    const float *in;             /* under tap (0, 0) of output column 0; may point outside the plane where no tap is */
    ptrdiff_t in_channel, in_row, in_step; /* in_step: from one output column to the next */
    int in_column, in_width;     /* the column that `in` points at, and how many there are; taps outside are skipped */
    int in_line, in_height;      /* the same for rows: looked at by strip_pooled only, strip_plain is given rows that exist */
    int channels, rows, columns; /* the reduction: input channels, taps */
    const float *w;              /* tap (0, 0) of filter 0, channel 0 */
    ptrdiff_t w_filter, w_channel, w_row, w_column;
    /* what is written */
    int filters, n;              /* outputs: n columns of each filter */
    float *out;
    ptrdiff_t out_channel, out_step;
    const float *bias;           /* [filters], or NULL */
    bool relu;
    lane_bits *bits;             /* where gradients pass; NULL: not wanted */
};

/* One row. With relu, bits[filter*out_channel + column*out_step] has a bit for every lane that is positive. */
void strip_plain(const struct strip *strip);

/* A sum is done: relu, its bits, and where it goes. */
VECTOR_INLINE void strip_finish(const struct strip *s, int filter, int x, vec a)
{
    const ptrdiff_t at = filter * s->out_channel + x * s->out_step;
    if (s->relu) {
        lane_mask passes;
        a = vec_relu(a, &passes);
        if (s->bits)
            s->bits[at] = mask_bits(passes);
    }
    vec_store(s->out + at * LANES, a);
}

/* What a 2 x 2 maximum keeps of every value, one bit a lane. */
enum { POOLED_RIGHT, POOLED_LOWER, /* which of the four places won; the first of equals */
       POOLED_LIVE,                /* a gradient passes: everywhere, or with relu where the maximum is positive */
       POOLED_BITS };

/* Two rows of the convolution, in_step * in_row apart, and the maximum of every 2 x 2 of them: n columns are pooled
 * ones. The bits of a value begin at POOLED_BITS * (filter*out_channel + column). */
void strip_pooled(const struct strip *strip);

/* Part i of n things in `parts` nearly equal parts begins here. */
static inline int part_begin(int n, int parts, int i) { return (int)((long)n * i / parts); }

/* How many parts it takes for none to have more than `most`. */
static inline int part_count(int n, int most) { return (n + most - 1) / most; }

#endif
