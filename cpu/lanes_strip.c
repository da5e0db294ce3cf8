/* The convolution kernel. A tile of filters x columns accumulators stays in registers over the whole reduction: each tap loads one vector
 * of sixteen samples per column and broadcasts one weight per filter, so that 6 x 4 accumulators cost ten loads for 24 multiply-adds,
 * which two load ports hide. With a tile this large the number of taps may stay a variable; only the tile's shape is a constant. */
#include "cpu/lanes_strip.h"

enum { TILE_FILTERS = 6, TILE_COLUMNS = 4 };

VECTOR_INLINE bool inside(int i, int n) { return (unsigned)i < (unsigned)n; }

/* acc[filter][line][column] += the sum over channels and taps, for columns from x on. `filters`, `lines`, `columns` and `guard` are
 * constants wherever this is called; guard skips what falls outside the plane. */
VECTOR_INLINE void tile(const struct strip *s, const float *w0, int x, v16 *acc, int filters, int lines, int columns, bool guard)
{
    const ptrdiff_t step = s->in_step * LANES, line_step = s->in_step * s->in_row * LANES;
    const ptrdiff_t in_channel = s->in_channel * LANES, in_row = s->in_row * LANES, w_filter = s->w_filter, w_column = s->w_column;
    const float *channel = s->in + x * step;
    int first = s->in_column + x * (int)s->in_step;
    for (int c = 0; c < s->channels; c++, channel += in_channel, w0 += s->w_channel) {
        const float *row = channel, *w_row = w0;
        for (int ky = 0; ky < s->rows; ky++, row += in_row, w_row += s->w_row) {
            const float *in = row, *weight = w_row;
            for (int kx = 0; kx < s->columns; kx++, in += LANES, weight += w_column) {
                v16 w[TILE_FILTERS];
#pragma GCC unroll 6
                for (int f = 0; f < filters; f++)
                    w[f] = v16_all(weight[f * w_filter]);
#pragma GCC unroll 4
                for (int p = 0; p < lines * columns; p++) {
                    const int line = p / columns, column = p % columns;
                    if (guard && !inside(first + kx + column * (int)s->in_step, s->in_width))
                        continue;
                    if (guard && lines > 1 && !inside(s->in_line + ky + line * (int)s->in_step, s->in_height))
                        continue;
                    v16 a = v16_load(in + line * line_step + column * step);
#pragma GCC unroll 6
                    for (int f = 0; f < filters; f++)
                        acc[f * lines * columns + p] = v16_fma(a, w[f], acc[f * lines * columns + p]);
                }
            }
        }
    }
}

/* Whether every tap of columns x..x+n-1 falls into the plane. */
static bool within(const struct strip *s, int x, int n, int lines)
{
    const int step = (int)s->in_step, first = s->in_column + x * step, last = first + (n - 1) * step + s->columns - 1;
    return first >= 0 && last < s->in_width && (lines == 1 || (s->in_line >= 0 && s->in_line + step + s->rows <= s->in_height));
}

VECTOR_INLINE void start(const struct strip *s, int filter, v16 *acc, int filters, int places)
{
#pragma GCC unroll 6
    for (int f = 0; f < filters; f++) {
        v16 bias = s->bias ? v16_all(s->bias[filter + f]) : v16_zero();
#pragma GCC unroll 4
        for (int p = 0; p < places; p++)
            acc[f * places + p] = bias;
    }
}

VECTOR_INLINE void plain_tile(const struct strip *s, int filter, int x, int filters, int columns)
{
    v16 acc[TILE_FILTERS * TILE_COLUMNS];
    start(s, filter, acc, filters, columns);
    const float *w = s->w + filter * s->w_filter;
    if (within(s, x, columns, 1))
        tile(s, w, x, acc, filters, 1, columns, false);
    else
        tile(s, w, x, acc, filters, 1, columns, true);
#pragma GCC unroll 6
    for (int f = 0; f < filters; f++) {
#pragma GCC unroll 4
        for (int p = 0; p < columns; p++) {
            ptrdiff_t at = (filter + f) * s->out_channel + (x + p) * s->out_step;
            v16 a = acc[f * columns + p];
            if (s->relu) {
                uint16_t mask;
                a = v16_relu(a, &mask);
                if (s->masks)
                    s->masks[at] = mask;
            }
            v16_store(s->out + at * LANES, a);
        }
    }
}

/* The last tile is moved back to end where the row ends: some columns are computed twice rather than one at a time. */
VECTOR_INLINE void plain_columns(const struct strip *s, int filter, int filters, int columns)
{
    for (int x = 0; x < s->n; x += columns)
        plain_tile(s, filter, x + columns <= s->n ? x : s->n - columns, filters, columns);
}

VECTOR_INLINE void plain_filters(const struct strip *s, int filter, int filters)
{
    if (s->n >= TILE_COLUMNS)
        plain_columns(s, filter, filters, TILE_COLUMNS);
    else if (s->n >= 2)
        plain_columns(s, filter, filters, 2);
    else
        plain_columns(s, filter, filters, 1);
}

void strip_plain(const struct strip *s)
{
    const int parts = part_count(s->filters, TILE_FILTERS);
    for (int i = 0; i < parts; i++) {
        int filter = part_begin(s->filters, parts, i);
        switch (part_begin(s->filters, parts, i + 1) - filter) {
        case 1: plain_filters(s, filter, 1); break;
        case 2: plain_filters(s, filter, 2); break;
        case 3: plain_filters(s, filter, 3); break;
        case 4: plain_filters(s, filter, 4); break;
        case 5: plain_filters(s, filter, 5); break;
        case 6: plain_filters(s, filter, 6); break;
        }
    }
}

/* Where `new` replaces `old` as a maximum; a NaN always does. */
VECTOR_INLINE uint16_t wins(v16 new, v16 old) { return v16_greater(new, old) | v16_is_nan(new); }

VECTOR_INLINE v16 maximum_of_four(const v16 *a, uint16_t masks[POOLED_MASKS])
{
    uint16_t right0 = wins(a[1], a[0]), right1 = wins(a[3], a[2]);
    v16 row0 = v16_select(right0, a[1], a[0]), row1 = v16_select(right1, a[3], a[2]);
    uint16_t lower = wins(row1, row0);
    masks[POOLED_RIGHT] = (uint16_t)((lower & right1) | (~lower & right0));
    masks[POOLED_LOWER] = lower;
    masks[POOLED_LIVE] = 0xffff;
    return v16_select(lower, row1, row0);
}

VECTOR_INLINE void pooled_tile(const struct strip *s, int filter, int x, int filters)
{
    v16 acc[TILE_FILTERS * 4];
    start(s, filter, acc, filters, 4);
    const float *w = s->w + filter * s->w_filter;
    if (within(s, 2 * x, 2, 2))
        tile(s, w, 2 * x, acc, filters, 2, 2, false);
    else
        tile(s, w, 2 * x, acc, filters, 2, 2, true);
#pragma GCC unroll 6
    for (int f = 0; f < filters; f++) {
        uint16_t masks[POOLED_MASKS];
        ptrdiff_t at = (filter + f) * s->out_channel + x * s->out_step;
        v16 a = maximum_of_four(acc + f * 4, masks);
        if (s->relu)
            a = v16_relu(a, &masks[POOLED_LIVE]);
        v16_store(s->out + at * LANES, a);
        if (s->masks)
            memcpy(s->masks + POOLED_MASKS * at, masks, sizeof masks);
    }
}

VECTOR_INLINE void pooled_filters(const struct strip *s, int filter, int filters)
{
    for (int x = 0; x < s->n; x++)
        pooled_tile(s, filter, x, filters);
}

void strip_pooled(const struct strip *s)
{
    const int parts = part_count(s->filters, TILE_FILTERS);
    for (int i = 0; i < parts; i++) {
        int filter = part_begin(s->filters, parts, i);
        switch (part_begin(s->filters, parts, i + 1) - filter) {
        case 1: pooled_filters(s, filter, 1); break;
        case 2: pooled_filters(s, filter, 2); break;
        case 3: pooled_filters(s, filter, 3); break;
        case 4: pooled_filters(s, filter, 4); break;
        case 5: pooled_filters(s, filter, 5); break;
        case 6: pooled_filters(s, filter, 6); break;
        }
    }
}
