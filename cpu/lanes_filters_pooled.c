/* Gradients of filters whose outputs were pooled 2 x 2: of every four places of the map, one has a gradient, a
 * different one in every lane. So the four inputs under a tap are merged first, lane by lane the one whose place
 * won, and one multiply-add does for four. Going along a row, the choice between upper and lower serves two taps.
 * Masks are made from the stored bits once for all channels and taps of a filter. */
#include "cpu/lanes_filters.h"

#include "cpu/lanes_strip.h"

enum {
    TILE_FILTERS = REGISTERS == 32 ? 3 : 1, TILE_TAPS = 5,
    TILE_SUMS = (TILE_FILTERS * TILE_TAPS + LANES - 1) / LANES * LANES,
};

struct place { int filter, channel, ky, kx; };

/* Of a tile's filters, [filter][part][place]. */
struct pooled { vec *d; lane_mask (*place)[2]; size_t filter; };
enum { RIGHT, LOWER };

size_t filters_pooled_floats(struct shape out)
{
    const size_t places = (size_t)TILE_FILTERS * PARTS * (size_t)out.h * (size_t)out.w;
    return places * LANES + (places * 2 * sizeof(lane_mask) + sizeof(vec) - 1) / sizeof(vec) * LANES;
}

static struct pooled pooled(const struct filters_pass *p, int filter, int filters)
{
    const size_t plane = (size_t)p->out_shape.h * (size_t)p->out_shape.w;
    struct pooled all = { .d = (vec *)p->room, .filter = PARTS * plane };
    all.place = (lane_mask (*)[2])(all.d + TILE_FILTERS * all.filter);
    vec *d = all.d;
    lane_mask (*place)[2] = all.place;
    for (int f = filter; f < filter + filters; f++)
        for (size_t part = 0; part < PARTS; part++) {
            const size_t first = (part * (size_t)p->out_shape.c + (size_t)f) * plane;
            const float *dout = p->dout + first * LANES;
            const lane_bits *bits = p->bits + first * POOLED_BITS;
            for (size_t i = 0; i < plane; i++, dout += LANES, bits += POOLED_BITS, d++, place++) {
                *d = vec_keep(mask_of(bits[POOLED_LIVE]), vec_load(dout));
                (*place)[RIGHT] = mask_of(bits[POOLED_RIGHT]);
                (*place)[LOWER] = mask_of(bits[POOLED_LOWER]);
            }
        }
    return all;
}

VECTOR_INLINE void place_sum(const float *upper, const float *lower, const struct pooled *all, size_t i, vec *acc,
                             int filters, int taps)
{
    vec above[TILE_TAPS + 1], below[TILE_TAPS + 1];
#pragma GCC unroll 6
    for (int t = 0; t <= taps; t++) {
        above[t] = vec_load(upper + t * LANES);
        below[t] = vec_load(lower + t * LANES);
    }
#pragma GCC unroll 3
    for (int f = 0; f < filters; f++, i += all->filter) {
        const lane_mask right = all->place[i][RIGHT], low = all->place[i][LOWER];
        const vec d = all->d[i];
        vec here = vec_select(low, below[0], above[0]);
#pragma GCC unroll 5
        for (int t = 0; t < taps; t++) {
            vec next = vec_select(low, below[t + 1], above[t + 1]);
            acc[f * taps + t] = vec_fma(vec_select(right, next, here), d, acc[f * taps + t]);
            here = next;
        }
    }
}

VECTOR_INLINE void tile(const struct filters_pass *p, const struct pooled *all, struct place at, int filters, int taps)
{
    const struct shape in = p->in_shape, out = p->out_shape;
    const ptrdiff_t line = in.w * LANES;
    vec sums[PARTS * TILE_SUMS];
    size_t i = 0;
    for (int part = 0; part < PARTS; part++) {
        const float *row = p->in + (((ptrdiff_t)part * in.c + at.channel) * in.h + at.ky) * line + at.kx * LANES;
        vec acc[TILE_FILTERS * TILE_TAPS];
#pragma GCC unroll 15
        for (int k = 0; k < filters * taps; k++)
            acc[k] = vec_zero();
        for (int y = 0; y < out.h; y++, row += 2 * line)
            for (int x = 0; x < out.w; x++, i++)
                place_sum(row + 2 * x * LANES, row + line + 2 * x * LANES, all, i, acc, filters, taps);
#pragma GCC unroll 15
        for (int k = 0; k < filters * taps; k++)
            sums[part * TILE_SUMS + k] = acc[k];
    }
    const ptrdiff_t kernel = (ptrdiff_t)at.filter * in.c + at.channel;
    filters_write(p, sums, TILE_SUMS, p->gradient + (kernel * p->size + at.ky) * p->size + at.kx, filters, taps);
}

VECTOR_INLINE void tile_filters(const struct filters_pass *p, const struct pooled *all, struct place at, int filters,
                                int taps)
{
    switch (filters) {
    case 1: tile(p, all, at, 1, taps); break;
    case 2: if (TILE_FILTERS >= 2) tile(p, all, at, 2, taps); break;
    case 3: if (TILE_FILTERS >= 3) tile(p, all, at, 3, taps); break;
    }
}

static void tile_taps(const struct filters_pass *p, const struct pooled *all, struct place at, int filters, int taps)
{
    switch (taps) {
    case 1: tile_filters(p, all, at, filters, 1); break;
    case 2: tile_filters(p, all, at, filters, 2); break;
    case 3: tile_filters(p, all, at, filters, 3); break;
    case 4: tile_filters(p, all, at, filters, 4); break;
    case 5: tile_filters(p, all, at, filters, 5); break;
    }
}

void filters_gradient_pooled(const struct filters_pass *p)
{
    const int parts = part_count(p->out_shape.c, TILE_FILTERS), tap_parts = part_count(p->size, TILE_TAPS);
    for (int part = 0; part < parts; part++) {
        const int filter = part_begin(p->out_shape.c, parts, part);
        const int filters = part_begin(p->out_shape.c, parts, part + 1) - filter;
        const struct pooled all = pooled(p, filter, filters);
        for (int c = 0; c < p->in_shape.c; c++)
            for (int ky = 0; ky < p->size; ky++)
                for (int i = 0; i < tap_parts; i++) {
                    const int kx = part_begin(p->size, tap_parts, i), taps = part_begin(p->size, tap_parts, i + 1) - kx;
                    tile_taps(p, &all, (struct place){ filter, c, ky, kx }, filters, taps);
                }
    }
}
