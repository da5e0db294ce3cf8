/* Winograd's convolution, a strip of tiles at a time: inputs transformed, one matrix product per place, outputs
 * transformed back. The places of one row are summed over channels and transformed along the row while they are in
 * the first cache; columns follow when all rows are there. */
#include "cpu/lanes_winograd_transform.h"

enum { FILTERS = 16, TILE_FILTERS = 6, TILE_TILES = REGISTERS == 32 ? 4 : 2 };

static int filter_blocks(int filters) { return (filters + FILTERS - 1) / FILTERS; }

bool winograd_pays(struct shape in, struct shape map)
{
    enum { CHANNELS = 8 };
    const struct winograd_tiles tiles = winograd_tiles(map, 1);
    const double plain = 9.0 * map.h * map.w, products = (double)WINOGRAD_PLACES * tiles.all;
    return in.c >= CHANNELS && map.c >= CHANNELS && products < 0.7 * plain;
}

size_t winograd_filters_floats(int filters, int channels)
{
    return (size_t)WINOGRAD_PLACES * (size_t)filter_blocks(filters) * FILTERS * (size_t)channels;
}

/* A row of places for 16 filters: [6][16][strip] vectors. */
enum { SUMS_FLOATS = WINOGRAD_POINTS * FILTERS * WINOGRAD_STRIP * LANES };

/* All rows, transformed along the row: [6][filters][strip][4] vectors. */
static size_t rows_floats(int filters) { return (size_t)WINOGRAD_POINTS * (size_t)filters * WINOGRAD_STRIP * WINOGRAD_TILE * LANES; }

size_t winograd_room_floats(int filters, int channels)
{
    return WINOGRAD_PLACES * winograd_place_floats(channels, LANES) + SUMS_FLOATS + rows_floats(filter_blocks(filters) * FILTERS);
}

/* sums[filter][tile] of `filters` filters and TILE_TILES tiles: u[channel][16] broadcast, v[channel][tile]. */
VECTOR_INLINE void product_tile(float *sums, const float *u, const float *v, int channels, int filters)
{
    vec acc[TILE_FILTERS * TILE_TILES];
#pragma GCC unroll 24
    for (int i = 0; i < filters * TILE_TILES; i++)
        acc[i] = vec_zero();
    for (int c = 0; c < channels; c++, u += FILTERS, v += WINOGRAD_STRIP * LANES) {
        vec d[TILE_TILES];
#pragma GCC unroll 4
        for (int t = 0; t < TILE_TILES; t++) {
            d[t] = vec_load(v + t * LANES);
            VEC_HELD(d[t]);
        }
#pragma GCC unroll 6
        for (int f = 0; f < filters; f++) {
            vec w = vec_all(u[f]);
#pragma GCC unroll 4
            for (int t = 0; t < TILE_TILES; t++)
                acc[f * TILE_TILES + t] = vec_fma(d[t], w, acc[f * TILE_TILES + t]);
        }
    }
#pragma GCC unroll 6
    for (int f = 0; f < filters; f++)
#pragma GCC unroll 4
        for (int t = 0; t < TILE_TILES; t++)
            vec_store(sums + (f * WINOGRAD_STRIP + t) * LANES, acc[f * TILE_TILES + t]);
}

VECTOR_INLINE void product(float *sums, const float *u, const float *v, int channels, int filters)
{
    for (int t = 0; t < WINOGRAD_STRIP; t += TILE_TILES)
        product_tile(sums + t * LANES, u, v + t * LANES, channels, filters);
}

/* Sixteen filters as 6, 5 and 5; fewer in steps of that size. */
static void products(float *sums, const float *u, const float *v, int channels, int filters)
{
    enum { FILTER = WINOGRAD_STRIP * LANES };
    product(sums, u, v, channels, 6);
    if (filters > 6)
        product(sums + 6 * FILTER, u + 6, v, channels, 5);
    if (filters > 11)
        product(sums + 11 * FILTER, u + 11, v, channels, 5);
}

static void along_row(float *rows, const float *sums, int filters)
{
    enum { PLACE = FILTERS * WINOGRAD_STRIP * LANES };
    for (int i = 0; i < filters * WINOGRAD_STRIP; i++, sums += LANES, rows += WINOGRAD_TILE * LANES) {
        vec m[WINOGRAD_POINTS], y[WINOGRAD_TILE];
#pragma GCC unroll 6
        for (int j = 0; j < WINOGRAD_POINTS; j++)
            m[j] = vec_load(sums + j * PLACE);
        winograd_output(m, y);
#pragma GCC unroll 4
        for (int x = 0; x < WINOGRAD_TILE; x++)
            vec_store(rows + x * LANES, y[x]);
    }
}

struct target { float *out; size_t plane; int columns, lines, width; };

/* Down the columns of one filter's tiles. */
VECTOR_INLINE void column(const struct target *to, const float *rows, size_t row, int x, vec bias)
{
    vec m[WINOGRAD_POINTS], y[WINOGRAD_TILE];
#pragma GCC unroll 6
    for (int i = 0; i < WINOGRAD_POINTS; i++)
        m[i] = vec_load(rows + (size_t)i * row + x * LANES);
    winograd_output(m, y);
#pragma GCC unroll 4
    for (int i = 0; i < WINOGRAD_TILE; i++)
        if (i < to->lines) {
            float *out = to->out + ((ptrdiff_t)i * to->width + x) * LANES;
            vec_store(out, y[i] + bias);
            __builtin_prefetch(out + to->plane, 1); /* the next filter's */
        }
}

static void output_strip(const struct winograd_pass *p, const float *rows, const struct winograd_tiles *tiles, int tile, int end)
{
    const size_t row = rows_floats(p->out_shape.c) / WINOGRAD_POINTS;
    const int h = p->out_shape.h, w = p->out_shape.w;
    for (int first = tile; tile < end;) {
        const struct winograd_run run = winograd_run(tiles, tile, end);
        const int n = run.n * WINOGRAD_TILE, left_x = w - run.x, left_y = h - run.y;
        for (int f = 0; f < p->out_shape.c; f++) {
            const size_t at = (((size_t)run.block * (size_t)p->out_shape.c + (size_t)f) * (size_t)h + (size_t)run.y) * (size_t)w + (size_t)run.x;
            const struct target to = { p->out + at * LANES, (size_t)h * (size_t)w * LANES, n < left_x ? n : left_x, left_y < WINOGRAD_TILE ? left_y : WINOGRAD_TILE, w };
            const float *from = rows + (size_t)(f * WINOGRAD_STRIP + tile - first) * WINOGRAD_TILE * LANES;
            const vec bias = p->bias ? vec_all(p->bias[f]) : vec_zero();
            for (int x = 0; x < to.columns; x++)
                column(&to, from, row, x, bias);
        }
        tile += run.n;
    }
}

void winograd_convolve(const struct winograd_pass *p)
{
    const struct winograd_tiles tiles = winograd_tiles(p->out_shape, p->blocks);
    const int channels = p->in_shape.c, filters = p->out_shape.c, blocks = filter_blocks(filters);
    const size_t place = winograd_place_floats(channels, LANES), u_place = winograd_filters_floats(filters, channels) / WINOGRAD_PLACES;
    const struct winograd_source source = { p->in, p->in_shape, lanes_count(p->in_shape), p->pad, LANES };
    float *v = p->room, *sums = v + WINOGRAD_PLACES * place, *rows = sums + SUMS_FLOATS;
    const size_t row = rows_floats(filters) / WINOGRAD_POINTS;
    for (int tile = 0; tile < tiles.all; tile += WINOGRAD_STRIP) {
        const int end = tile + WINOGRAD_STRIP < tiles.all ? tile + WINOGRAD_STRIP : tiles.all;
        winograd_input_strip(v, &source, &tiles, tile, end);
        for (int i = 0; i < WINOGRAD_POINTS; i++)
            for (int b = 0; b < blocks; b++) {
                const int n = filters - b * FILTERS < FILTERS ? filters - b * FILTERS : FILTERS;
                for (int j = 0; j < WINOGRAD_POINTS; j++) {
                    const size_t at = (size_t)(i * WINOGRAD_POINTS + j);
                    products(sums + j * FILTERS * WINOGRAD_STRIP * LANES, p->filters + at * u_place + (size_t)(b * channels * FILTERS), v + at * place, channels, n);
                }
                along_row(rows + (size_t)i * row + (size_t)b * FILTERS * WINOGRAD_STRIP * WINOGRAD_TILE * LANES, sums, n);
            }
        output_strip(p, rows, &tiles, tile, end);
    }
}
