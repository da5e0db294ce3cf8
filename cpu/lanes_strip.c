/* The convolution kernel. A tile of filters x columns accumulators stays in registers over the whole reduction: each
 * tap loads one vector of samples per column and broadcasts one weight per filter. With 32 registers, 6 x 4
 * accumulators cost ten loads for 24 multiply-adds, with 16 registers 3 x 4 cost seven for 12, which two load ports
 * hide. With a tile this large the number of taps may stay a variable; only the tile's shape is a constant.
 *
 * Columns that some tap misses are done one by one, many filters side by side, with the taps that meet the plane. */
#include "cpu/lanes_strip.h"

#include "cpu/lanes_pointwise.h"

#include <limits.h>

enum { TILE_FILTERS = REGISTERS == 32 ? 6 : 3, TILE_COLUMNS = 4, EDGE_FILTERS = 12 };

VECTOR_INLINE bool inside(int i, int n) { return (unsigned)i < (unsigned)n; }

/* acc[filter][line][column] += the sum over channels and taps, for columns from x on. `filters`, `lines`, `columns`
 * and `guard` are constants wherever this is called; guard skips what falls outside the plane. */
VECTOR_INLINE void tile(const struct strip *s, const float *w0, int x, vec *acc, int filters, int lines, int columns,
                        bool guard)
{
    const ptrdiff_t step = s->in_step * LANES, line_step = s->in_step * s->in_row * LANES;
    const ptrdiff_t in_channel = s->in_channel * LANES, in_row = s->in_row * LANES;
    const ptrdiff_t w_filter = s->w_filter, w_column = s->w_column;
    const float *channel = s->in + x * step;
    int first = s->in_column + x * (int)s->in_step;
    for (int c = 0; c < s->channels; c++, channel += in_channel, w0 += s->w_channel) {
        const float *row = channel, *w_row = w0;
        for (int ky = 0; ky < s->rows; ky++, row += in_row, w_row += s->w_row) {
            const float *in = row, *weight = w_row;
            for (int kx = 0; kx < s->columns; kx++, in += LANES, weight += w_column) {
                vec w[TILE_FILTERS];
#pragma GCC unroll 6
                for (int f = 0; f < filters; f++)
                    w[f] = vec_all(weight[f * w_filter]);
#pragma GCC unroll 4
                for (int p = 0; p < lines * columns; p++) {
                    const int line = p / columns, column = p % columns;
                    if (guard && !inside(first + kx + column * (int)s->in_step, s->in_width))
                        continue;
                    if (guard && lines > 1 && !inside(s->in_line + ky + line * (int)s->in_step, s->in_height))
                        continue;
                    vec a = vec_load(in + line * line_step + column * step);
                    VEC_HELD(a);
#pragma GCC unroll 6
                    for (int f = 0; f < filters; f++)
                        acc[f * lines * columns + p] = vec_fma(a, w[f], acc[f * lines * columns + p]);
                }
            }
        }
    }
}

VECTOR_INLINE void start(const struct strip *s, int filter, vec *acc, int filters, int places)
{
#pragma GCC unroll 12
    for (int f = 0; f < filters; f++) {
        vec bias = s->bias ? vec_all(s->bias[filter + f]) : vec_zero();
#pragma GCC unroll 4
        for (int p = 0; p < places; p++)
            acc[f * places + p] = bias;
    }
}

/* ---- columns that all taps meet ---- */

VECTOR_INLINE void plain_tile(const struct strip *s, int filter, int x, int filters, int columns)
{
    vec acc[TILE_FILTERS * TILE_COLUMNS];
    start(s, filter, acc, filters, columns);
    tile(s, s->w + filter * s->w_filter, x, acc, filters, 1, columns, false);
#pragma GCC unroll 6
    for (int f = 0; f < filters; f++) {
#pragma GCC unroll 4
        for (int p = 0; p < columns; p++)
            strip_finish(s, filter + f, x + p, acc[f * columns + p]);
    }
}

/* The last tile is moved back to end where the row ends: some columns are computed twice rather than one at a time. */
VECTOR_INLINE void plain_columns(const struct strip *s, int filter, int begin, int end, int filters, int columns)
{
    for (int x = begin; x < end; x += columns)
        plain_tile(s, filter, x + columns <= end ? x : end - columns, filters, columns);
}

VECTOR_INLINE void plain_filters(const struct strip *s, int filter, int begin, int end, int filters)
{
    if (end - begin >= TILE_COLUMNS)
        plain_columns(s, filter, begin, end, filters, TILE_COLUMNS);
    else if (end - begin >= 2)
        plain_columns(s, filter, begin, end, filters, 2);
    else
        plain_columns(s, filter, begin, end, filters, 1);
}

static void columns_inside(const struct strip *s, int begin, int end)
{
    const int parts = part_count(s->filters, TILE_FILTERS);
    for (int i = 0; i < parts; i++) {
        int filter = part_begin(s->filters, parts, i);
        switch (part_begin(s->filters, parts, i + 1) - filter) {
        case 1: plain_filters(s, filter, begin, end, 1); break;
        case 2: plain_filters(s, filter, begin, end, 2); break;
        case 3: plain_filters(s, filter, begin, end, 3); break;
        case 4: if (TILE_FILTERS >= 4) plain_filters(s, filter, begin, end, 4); break;
        case 5: if (TILE_FILTERS >= 5) plain_filters(s, filter, begin, end, 5); break;
        case 6: if (TILE_FILTERS >= 6) plain_filters(s, filter, begin, end, 6); break;
        }
    }
}

/* ---- columns at an edge ---- */

VECTOR_INLINE void edge_tile(const struct strip *s, int filter, int x, int filters)
{
    const int first = s->in_column + x * (int)s->in_step;
    const int k0 = first < 0 ? -first : 0, k1 = first + s->columns <= s->in_width ? s->columns : s->in_width - first;
    const ptrdiff_t w_filter = s->w_filter, w_column = s->w_column;
    const float *channel = s->in + (x * s->in_step + k0) * LANES, *w0 = s->w + filter * w_filter + k0 * w_column;
    vec acc[EDGE_FILTERS];
    start(s, filter, acc, filters, 1);
    for (int c = 0; c < s->channels; c++, channel += s->in_channel * LANES, w0 += s->w_channel) {
        const float *row = channel, *w_row = w0;
        for (int ky = 0; ky < s->rows; ky++, row += s->in_row * LANES, w_row += s->w_row) {
            const float *in = row, *w = w_row;
            for (int kx = k0; kx < k1; kx++, in += LANES, w += w_column) {
                vec a = vec_load(in);
                VEC_HELD(a);
#pragma GCC unroll 12
                for (int f = 0; f < filters; f++)
                    acc[f] = vec_fma(a, vec_all(w[f * w_filter]), acc[f]);
            }
        }
    }
#pragma GCC unroll 12
    for (int f = 0; f < filters; f++)
        strip_finish(s, filter + f, x, acc[f]);
}

VECTOR_INLINE void edge_columns(const struct strip *s, int filter, int begin, int end, int filters)
{
    for (int x = begin; x < end; x++)
        edge_tile(s, filter, x, filters);
}

static void columns_at_edge(const struct strip *s, int begin, int end)
{
    const int parts = part_count(s->filters, EDGE_FILTERS);
    for (int i = 0; begin < end && i < parts; i++) {
        int filter = part_begin(s->filters, parts, i);
        switch (part_begin(s->filters, parts, i + 1) - filter) {
        case 1: edge_columns(s, filter, begin, end, 1); break;
        case 2: edge_columns(s, filter, begin, end, 2); break;
        case 3: edge_columns(s, filter, begin, end, 3); break;
        case 4: edge_columns(s, filter, begin, end, 4); break;
        case 5: edge_columns(s, filter, begin, end, 5); break;
        case 6: edge_columns(s, filter, begin, end, 6); break;
        case 7: edge_columns(s, filter, begin, end, 7); break;
        case 8: edge_columns(s, filter, begin, end, 8); break;
        case 9: edge_columns(s, filter, begin, end, 9); break;
        case 10: edge_columns(s, filter, begin, end, 10); break;
        case 11: edge_columns(s, filter, begin, end, 11); break;
        case 12: edge_columns(s, filter, begin, end, 12); break;
        }
    }
}

void strip_plain(const struct strip *s)
{
    if (strip_pointwise_pays(s)) {
        strip_pointwise(s);
        return;
    }
    const int step = (int)s->in_step, room = s->in_width == INT_MAX ? 0 : s->in_width - s->columns - s->in_column;
    int begin = s->in_column < 0 ? (-s->in_column + step - 1) / step : 0;
    int end = s->in_width == INT_MAX ? s->n : room < 0 ? 0 : room / step + 1;
    if (end > s->n)
        end = s->n;
    if (begin > end)
        begin = end = s->n;
    columns_at_edge(s, 0, begin);
    if (begin < end)
        columns_inside(s, begin, end);
    columns_at_edge(s, end, s->n);
}

/* ---- with the maximum of 2 x 2 ---- */

/* Whether every tap of the 2 x 2 outputs from column x on falls into the plane. */
static bool within(const struct strip *s, int x)
{
    const int step = (int)s->in_step, first = s->in_column + x * step, last = first + step + s->columns - 1;
    return first >= 0 && last < s->in_width && s->in_line >= 0 && s->in_line + step + s->rows <= s->in_height;
}

/* Where `new` replaces `old` as a maximum; a NaN always does. */
VECTOR_INLINE lane_mask wins(vec new, vec old) { return vec_greater(new, old) | vec_is_nan(new); }

struct pooled { lane_mask right, lower; };

VECTOR_INLINE vec maximum_of_four(const vec *a, struct pooled *place)
{
    lane_mask right0 = wins(a[1], a[0]), right1 = wins(a[3], a[2]);
    vec row0 = vec_select(right0, a[1], a[0]), row1 = vec_select(right1, a[3], a[2]);
    lane_mask lower = wins(row1, row0);
    place->right = (lower & right1) | (~lower & right0);
    place->lower = lower;
    return vec_select(lower, row1, row0);
}

VECTOR_INLINE void pooled_tile(const struct strip *s, int filter, int x, int filters)
{
    vec acc[TILE_FILTERS * 4];
    start(s, filter, acc, filters, 4);
    const float *w = s->w + filter * s->w_filter;
    if (within(s, 2 * x))
        tile(s, w, 2 * x, acc, filters, 2, 2, false);
    else
        tile(s, w, 2 * x, acc, filters, 2, 2, true);
#pragma GCC unroll 6
    for (int f = 0; f < filters; f++) {
        struct pooled place;
        lane_mask live = mask_of(ALL_BITS);
        const ptrdiff_t at = (filter + f) * s->out_channel + x * s->out_step;
        vec a = maximum_of_four(acc + f * 4, &place);
        if (s->relu)
            a = vec_relu(a, &live);
        vec_store(s->out + at * LANES, a);
        if (s->bits) {
            s->bits[POOLED_BITS * at + POOLED_RIGHT] = mask_bits(place.right);
            s->bits[POOLED_BITS * at + POOLED_LOWER] = mask_bits(place.lower);
            s->bits[POOLED_BITS * at + POOLED_LIVE] = mask_bits(live);
        }
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
        case 4: if (TILE_FILTERS >= 4) pooled_filters(s, filter, 4); break;
        case 5: if (TILE_FILTERS >= 5) pooled_filters(s, filter, 5); break;
        case 6: if (TILE_FILTERS >= 6) pooled_filters(s, filter, 6); break;
        }
    }
}
