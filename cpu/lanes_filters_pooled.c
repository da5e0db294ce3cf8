/* Gradients of filters whose outputs were pooled 2 x 2: of every four places of the map, one has a gradient, a different one in every lane. So
 * the four inputs under a tap are merged first, lane by lane the one whose place won, and one multiply-add does for four. Going along a row,
 * the choice between upper and lower serves two taps. */
#include "cpu/lanes_filters.h"

#include "cpu/lanes_strip.h"

enum { TILE_FILTERS = 3, TILE_TAPS = 5 };

struct place { int filter, channel, ky, kx; };

VECTOR_INLINE void place_sum(const float *upper, const float *lower, const float *dout, const uint16_t *masks, ptrdiff_t plane, v16 *acc, int filters, int taps)
{
    v16 above[TILE_TAPS + 1], below[TILE_TAPS + 1];
#pragma GCC unroll 6
    for (int t = 0; t <= taps; t++) {
        above[t] = v16_load(upper + t * LANES);
        below[t] = v16_load(lower + t * LANES);
    }
#pragma GCC unroll 3
    for (int f = 0; f < filters; f++) {
        const uint16_t *mask = masks + f * plane * POOLED_MASKS;
        const uint16_t right = mask[POOLED_RIGHT], low = mask[POOLED_LOWER];
        const v16 d = v16_keep(mask[POOLED_LIVE], v16_load(dout + f * plane * LANES));
        v16 here = v16_select(low, below[0], above[0]);
#pragma GCC unroll 5
        for (int t = 0; t < taps; t++) {
            v16 next = v16_select(low, below[t + 1], above[t + 1]);
            acc[f * taps + t] = v16_fma(v16_select(right, next, here), d, acc[f * taps + t]);
            here = next;
        }
    }
}

VECTOR_INLINE void tile(const struct filters_pass *p, struct place at, int filters, int taps)
{
    const struct shape in = p->in_shape, out = p->out_shape;
    const ptrdiff_t plane = (ptrdiff_t)out.h * out.w, line = in.w * LANES;
    const float *row = p->in + ((ptrdiff_t)(at.channel * in.h + at.ky) * in.w + at.kx) * LANES;
    const float *dout = p->dout + at.filter * plane * LANES;
    const uint16_t *masks = p->masks + at.filter * plane * POOLED_MASKS;
    v16 acc[LANES] = { 0 };
    for (int y = 0; y < out.h; y++, row += 2 * line)
        for (int x = 0; x < out.w; x++, dout += LANES, masks += POOLED_MASKS)
            place_sum(row + 2 * x * LANES, row + line + 2 * x * LANES, dout, masks, plane, acc, filters, taps);
    float sums[LANES], *gradient = p->gradient + (((ptrdiff_t)at.filter * in.c + at.channel) * p->size + at.ky) * p->size + at.kx;
    const ptrdiff_t stride = (ptrdiff_t)in.c * p->size * p->size;
    v16_store_anywhere(sums, v16_sums(acc));
    for (int f = 0; f < filters; f++)
        for (int t = 0; t < taps; t++)
            gradient[f * stride + t] = sums[f * taps + t] + (p->add ? gradient[f * stride + t] : 0);
}

VECTOR_INLINE void tile_filters(const struct filters_pass *p, struct place at, int filters, int taps)
{
    switch (filters) {
    case 1: tile(p, at, 1, taps); break;
    case 2: tile(p, at, 2, taps); break;
    case 3: tile(p, at, 3, taps); break;
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

void filters_gradient_pooled(const struct filters_pass *p)
{
    const int parts = part_count(p->out_shape.c, TILE_FILTERS), tap_parts = part_count(p->size, TILE_TAPS);
    for (int part = 0; part < parts; part++) {
        const int filter = part_begin(p->out_shape.c, parts, part), filters = part_begin(p->out_shape.c, parts, part + 1) - filter;
        for (int c = 0; c < p->in_shape.c; c++)
            for (int ky = 0; ky < p->size; ky++)
                for (int i = 0; i < tap_parts; i++) {
                    const int kx = part_begin(p->size, tap_parts, i);
                    tile_taps(p, (struct place){ filter, c, ky, kx }, filters, part_begin(p->size, tap_parts, i + 1) - kx);
                }
    }
}
