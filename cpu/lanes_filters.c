/* Gradients of filters. An accumulator holds one weight's sum, apart for each lane, over all places of the map; a
 * tile of filters x taps of them (neighbours in a row of the kernel, or input channels where the kernel is 1 x 1)
 * stays in registers meanwhile. The parts of the group and the lanes are added up at the very end. */
#include "cpu/lanes_filters.h"

#include "cpu/lanes_strip.h"

enum {
    TILE_ACCUMULATORS = REGISTERS == 32 ? 25 : 12, TILE_TAPS = 5, TILE_FILTERS = REGISTERS == 32 ? 8 : 6,
    TILE_SUMS = (TILE_ACCUMULATORS + LANES - 1) / LANES * LANES,
};

/* Where a tile stands: its first filter, channel and tap. */
struct place { int filter, channel, ky, kx; };

static inline int most_filters(int taps)
{
    int n = TILE_ACCUMULATORS / taps;
    return n < TILE_FILTERS ? n : TILE_FILTERS;
}

/* Output columns ox in [*begin, *end) have column ox * stride + k inside the input. */
static void reach(int k, int stride, int in, int out, int *begin, int *end)
{
    int lowest = k < 0 ? (-k + stride - 1) / stride : 0;
    int highest = in - 1 - k < 0 ? 0 : (in - 1 - k) / stride + 1;
    *begin = lowest < out ? lowest : out;
    *end = highest < out ? highest : out;
    if (*end < *begin)
        *end = *begin;
}

struct row { const float *in, *dout; ptrdiff_t plane, tap, step; }; /* strides in floats */

/* Taps are loaded first where they are fewer than the filters, so that what stays in registers beside the sums is
 * least. */
VECTOR_INLINE void row_sum(vec *acc, const struct row *row, int from, int to, unsigned skip, int filters, int taps)
{
    const bool taps_first = taps < filters;
    const float *in = row->in + from * row->step, *dout = row->dout + from * LANES;
    const int outer = taps_first ? filters : taps, inner = taps_first ? taps : filters;
    for (int x = from; x < to; x++, in += row->step, dout += LANES) {
        vec held[TILE_FILTERS];
#pragma GCC unroll 8
        for (int i = 0; i < inner; i++) {
            held[i] = !taps_first ? vec_load(dout + i * row->plane) : skip >> i & 1 ? vec_zero() : vec_load(in + i * row->tap);
            VEC_HELD(held[i]);
        }
#pragma GCC unroll 8
        for (int o = 0; o < outer; o++) {
            if (!taps_first && skip >> o & 1)
                continue;
            vec a = taps_first ? vec_load(dout + o * row->plane) : vec_load(in + o * row->tap);
            VEC_HELD(a);
#pragma GCC unroll 8
            for (int i = 0; i < inner; i++) {
                const int at = taps_first ? o * taps + i : i * taps + o;
                if (!taps_first || !(skip >> i & 1))
                    acc[at] = vec_fma(held[i], a, acc[at]);
            }
        }
    }
}

/* Columns where not every tap is inside, one at a time. */
VECTOR_INLINE void edge_sum(vec *acc, const struct filters_pass *p, const struct row *row, int kx, int from, int to, int filters, int taps)
{
    for (int x = from; x < to; x++) {
        unsigned skip = 0;
        for (int t = 0; t < taps; t++) {
            int column = x * p->stride + kx + (row->tap == LANES ? t : 0);
            skip |= (unsigned)(column < 0 || column >= p->in_shape.w) << t;
        }
        row_sum(acc, row, x, x + 1, skip, filters, taps);
    }
}

/* What a part of the group adds. */
VECTOR_INLINE void part_sum(const struct filters_pass *p, vec *acc, int part, struct place at, int filters, int taps)
{
    const struct shape in = p->in_shape, out = p->out_shape;
    const bool across = p->size == 1; /* the taps are channels */
    int y0, y1, begin, end, unused;
    reach(at.ky - p->pad, p->stride, in.h, out.h, &y0, &y1);
    reach(at.kx - p->pad, p->stride, in.w, out.w, &begin, &unused);
    reach(at.kx - p->pad + (across ? 0 : taps - 1), p->stride, in.w, out.w, &unused, &end);
    if (end < begin)
        begin = end = out.w;
    for (int y = y0; y < y1; y++) {
        const ptrdiff_t line = ((ptrdiff_t)part * in.c + at.channel) * in.h + y * p->stride + at.ky - p->pad;
        const struct row row = {
            .in = p->in + (line * in.w + at.kx - p->pad) * LANES,
            .dout = p->dout + (((ptrdiff_t)part * out.c + at.filter) * out.h + y) * out.w * LANES,
            .plane = (ptrdiff_t)out.h * out.w * LANES,
            .tap = across ? (ptrdiff_t)in.h * in.w * LANES : LANES,
            .step = p->stride * LANES,
        };
        edge_sum(acc, p, &row, at.kx - p->pad, 0, begin, filters, taps);
        row_sum(acc, &row, begin, end, 0, filters, taps);
        edge_sum(acc, p, &row, at.kx - p->pad, end, out.w, filters, taps);
    }
}

VECTOR_INLINE void tile(const struct filters_pass *p, struct place at, int filters, int taps)
{
    vec sums[PARTS * TILE_SUMS];
    for (int part = 0; part < PARTS; part++) {
        vec acc[TILE_ACCUMULATORS];
#pragma GCC unroll 25
        for (int i = 0; i < filters * taps; i++)
            acc[i] = vec_zero();
        part_sum(p, acc, part, at, filters, taps);
#pragma GCC unroll 25
        for (int i = 0; i < filters * taps; i++)
            sums[part * TILE_SUMS + i] = acc[i];
    }
    const ptrdiff_t kernel = (ptrdiff_t)at.filter * p->in_shape.c + at.channel;
    filters_write(p, sums, TILE_SUMS, p->gradient + (kernel * p->size + at.ky) * p->size + at.kx, filters, taps);
}

VECTOR_INLINE void tile_filters(const struct filters_pass *p, struct place at, int filters, int taps)
{
    switch (filters) {
    case 1: tile(p, at, 1, taps); break;
    case 2: if (2 * taps <= TILE_ACCUMULATORS) tile(p, at, 2, taps); break;
    case 3: if (3 * taps <= TILE_ACCUMULATORS) tile(p, at, 3, taps); break;
    case 4: if (4 * taps <= TILE_ACCUMULATORS) tile(p, at, 4, taps); break;
    case 5: if (5 * taps <= TILE_ACCUMULATORS) tile(p, at, 5, taps); break;
    case 6: if (6 * taps <= TILE_ACCUMULATORS) tile(p, at, 6, taps); break;
    case 7: if (7 <= TILE_FILTERS && 7 * taps <= TILE_ACCUMULATORS) tile(p, at, 7, taps); break;
    case 8: if (8 <= TILE_FILTERS && 8 * taps <= TILE_ACCUMULATORS) tile(p, at, 8, taps); break;
    }
}

static void tile_taps(const struct filters_pass *p, struct place at, int filters, int taps)
{
    switch (taps) {
    case 1: tile_filters(p, at, filters, 1); break;
    case 2: tile_filters(p, at, filters, 2); break;
    case 3: tile_filters(p, at, filters, 3); break;
    case 4: tile_filters(p, at, filters, 4); break;
    case 5: tile_filters(p, at, filters, 5); break;
    }
}

/* All kernels' rows of a few filters, so that these filters' part of dout stays in the first cache. */
static void filters_rows(const struct filters_pass *p, int filter, int filters, int tap_parts)
{
    const bool across = p->size == 1;
    const int n = across ? p->in_shape.c : p->size;
    for (int c = 0; c < (across ? 1 : p->in_shape.c); c++)
        for (int ky = 0; ky < p->size; ky++)
            for (int i = 0; i < tap_parts; i++) {
                int begin = part_begin(n, tap_parts, i), taps = part_begin(n, tap_parts, i + 1) - begin;
                struct place at = { filter, across ? begin : c, ky, across ? 0 : begin };
                tile_taps(p, at, filters, taps);
            }
}

void filters_gradient(const struct filters_pass *p)
{
    const int n = p->size == 1 ? p->in_shape.c : p->size;
    const int tap_parts = part_count(n, TILE_TAPS), filters = p->out_shape.c;
    const int parts = part_count(filters, most_filters(part_count(n, tap_parts)));
    for (int i = 0; i < parts; i++) {
        int begin = part_begin(filters, parts, i);
        filters_rows(p, begin, part_begin(filters, parts, i + 1) - begin, tap_parts);
    }
}
