/* Gradients of filters by Winograd: per place the sum over tiles and samples of transformed inputs times transformed
 * gradients of outputs.
 *
 * Here samples are summed over, so the gradients are turned once, and a vector then holds filters: the samples of
 * the inputs are broadcast and nothing is added up across a vector. The sums stay transformed until the last strip. */
#include "cpu/lanes_winograd_transform.h"

enum { FILTERS = 16, TILE = WINOGRAD_TILE, POINTS = WINOGRAD_POINTS, SAMPLES = WINOGRAD_STRIP * GROUP, VECTORS = REGISTERS == 32 ? 4 : 2, TILE_SUMS = REGISTERS == 32 ? 16 : 12 };

static size_t padded(int filters) { return (size_t)(filters + FILTERS - 1) / FILTERS * FILTERS; }

/* A strip's turned gradients: [36][tiles x samples][padded filters], places apart as the inputs' are. */
static size_t turned_place(int filters) { return SAMPLES * padded(filters) + 2 * SAMPLES; }

static size_t sums_floats(int filters, int channels) { return WINOGRAD_PLACES * (size_t)channels * padded(filters); }

size_t winograd_gradient_floats(int filters, int channels)
{
    return WINOGRAD_PLACES * (winograd_place_floats(channels, GROUP) + turned_place(filters)) + sums_floats(filters, channels);
}

/* ---- the outputs' gradients ---- */

/* pixels[y][x][sample]: LANES filters of one tile; zeros beyond the map. */
static void turn_tile(vec pixels[TILE][TILE][LANES], const float *dout, size_t plane, int width, int filters, int columns, int lines)
{
    for (int y = 0; y < TILE; y++)
        for (int x = 0; x < TILE; x++) {
            vec *rows = pixels[y][x];
            if (y >= lines || x >= columns) {
                memset(rows, 0, LANES * sizeof *rows);
                continue;
            }
            for (int f = 0; f < LANES; f++)
                rows[f] = f < filters ? vec_load(dout + (size_t)f * plane + (size_t)(y * width + x) * LANES) : vec_zero();
            vec_transpose(rows);
        }
}

static void transform_sample(float *e, size_t place, vec pixels[TILE][TILE][LANES], int sample)
{
    vec down[TILE][POINTS];
#pragma GCC unroll 4
    for (int x = 0; x < TILE; x++)
        winograd_output_gradient((vec[TILE]){ pixels[0][x][sample], pixels[1][x][sample], pixels[2][x][sample], pixels[3][x][sample] }, down[x]);
#pragma GCC unroll 6
    for (int i = 0; i < POINTS; i++) {
        vec points[POINTS];
        winograd_output_gradient((vec[TILE]){ down[0][i], down[1][i], down[2][i], down[3][i] }, points);
#pragma GCC unroll 6
        for (int j = 0; j < POINTS; j++)
            vec_store(e + (size_t)(i * POINTS + j) * place, points[j]);
    }
}

/* Tiles [tile, end); missing ones as zeros. */
static void turned_strip(float *e, const struct winograd_gradient *p, const struct winograd_tiles *tiles, int tile, int end)
{
    const struct shape map = p->out_shape;
    const size_t place = turned_place(map.c), plane = (size_t)map.h * (size_t)map.w * LANES, row = padded(map.c);
    if (end - tile < WINOGRAD_STRIP)
        memset(e, 0, WINOGRAD_PLACES * place * sizeof *e);
    for (; tile < end; tile++, e += GROUP * row) {
        const struct winograd_run run = winograd_run(tiles, tile, tile + 1);
        for (int part = 0; part < PARTS; part++)
            for (int f = 0; f < (int)row; f += LANES) {
                vec pixels[TILE][TILE][LANES];
                const size_t block = (size_t)(run.block * PARTS + part), at = (size_t)run.y * (size_t)map.w + (size_t)run.x;
                const float *from = p->dout + (block * (size_t)map.c + (size_t)f) * plane + at * LANES;
                turn_tile(pixels, from, plane, map.w, map.c - f, map.w - run.x, map.h - run.y);
                for (int sample = 0; sample < LANES; sample++)
                    transform_sample(e + (size_t)(part * LANES + sample) * row + f, place, pixels, sample);
            }
    }
}

/* ---- sums of products ---- */

/* sums[channel][filter] += e[n][filter] v[channel][n] over a strip, for `vectors` vectors of filters. */
VECTOR_INLINE void product(float *sums, const float *e, const float *v, size_t row, int channels, int vectors)
{
    vec acc[TILE_SUMS];
#pragma GCC unroll 16
    for (int i = 0; i < channels * vectors; i++)
        acc[i] = vec_zero();
    for (int n = 0; n < SAMPLES; n++, e += row, v++) {
        vec d[VECTORS];
#pragma GCC unroll 4
        for (int k = 0; k < vectors; k++) {
            d[k] = vec_load(e + k * LANES);
            VEC_HELD(d[k]);
        }
#pragma GCC unroll 16
        for (int c = 0; c < channels; c++) {
            vec a = vec_all(v[c * SAMPLES]);
#pragma GCC unroll 4
            for (int k = 0; k < vectors; k++)
                acc[c * vectors + k] = vec_fma(a, d[k], acc[c * vectors + k]);
        }
    }
#pragma GCC unroll 16
    for (int c = 0; c < channels; c++)
#pragma GCC unroll 4
        for (int k = 0; k < vectors; k++) {
            float *sum = sums + (size_t)c * row + k * LANES;
            vec_store(sum, vec_load(sum) + acc[c * vectors + k]);
        }
}

/* All channels, `most` at a time. */
VECTOR_INLINE void product_channels(float *sums, const float *e, const float *v, size_t row, int channels, int vectors, int most)
{
    int c = 0;
    for (; c + most <= channels; c += most)
        product(sums + (size_t)c * row, e, v + c * SAMPLES, row, most, vectors);
    for (; c + 4 <= channels; c += 4)
        product(sums + (size_t)c * row, e, v + c * SAMPLES, row, 4, vectors);
    for (; c < channels; c++)
        product(sums + (size_t)c * row, e, v + c * SAMPLES, row, 1, vectors);
}

static void products(float *sums, const float *e, const float *v, size_t row, int channels)
{
    for (size_t f = 0; f < row; f += VECTORS * LANES)
        switch (row - f < VECTORS * LANES ? (row - f) / LANES : VECTORS) {
        case 1: product_channels(sums + f, e + f, v, row, channels, 1, TILE_SUMS); break;
        case 2: product_channels(sums + f, e + f, v, row, channels, 2, TILE_SUMS / 2); break;
        case 3: if (VECTORS >= 3) product_channels(sums + f, e + f, v, row, channels, 3, 4); break;
        case 4: if (VECTORS >= 4) product_channels(sums + f, e + f, v, row, channels, 4, 4); break;
        }
}

/* ---- back to taps ---- */

enum { TAPS = 3 };

static void taps(vec w[TAPS][TAPS], const float *sums, size_t place)
{
    vec down[TAPS][POINTS]; /* [row of taps][column of points] */
    for (int j = 0; j < POINTS; j++) {
        vec m[POINTS], column[TAPS];
        for (int i = 0; i < POINTS; i++)
            m[i] = vec_load(sums + (size_t)(i * POINTS + j) * place);
        winograd_taps(m, column);
        for (int y = 0; y < TAPS; y++)
            down[y][j] = column[y];
    }
    for (int y = 0; y < TAPS; y++)
        winograd_taps(down[y], w[y]);
}

static void write_gradient(const struct winograd_gradient *p, const float *sums)
{
    const int filters = p->out_shape.c, channels = p->in_shape.c;
    const size_t row = padded(filters), place = (size_t)channels * row;
    for (int c = 0; c < channels; c++)
        for (int f = 0; f < filters; f += LANES) {
            vec w[TAPS][TAPS];
            taps(w, sums + (size_t)c * row + f, place);
            const float *values = (const float *)w; /* [tap][filter] */
            for (int k = 0; k < LANES && f + k < filters; k++) {
                float *gradient = p->gradient + ((size_t)(f + k) * (size_t)channels + (size_t)c) * TAPS * TAPS;
                for (int t = 0; t < TAPS * TAPS; t++)
                    gradient[t] = values[t * LANES + k];
            }
        }
}

void winograd_filters_gradient(const struct winograd_gradient *p)
{
    const struct winograd_tiles tiles = winograd_tiles(p->out_shape, p->groups);
    const int filters = p->out_shape.c, channels = p->in_shape.c;
    const size_t row = padded(filters), place = winograd_place_floats(channels, GROUP), e_place = turned_place(filters);
    const struct winograd_source source = { p->in, p->in_shape, PARTS * lanes_count(p->in_shape), p->pad, GROUP };
    float *v = p->room, *e = v + WINOGRAD_PLACES * place, *sums = e + WINOGRAD_PLACES * e_place;
    memset(sums, 0, sums_floats(filters, channels) * sizeof *sums);
    for (int tile = 0; tile < tiles.all; tile += WINOGRAD_STRIP) {
        const int end = tile + WINOGRAD_STRIP < tiles.all ? tile + WINOGRAD_STRIP : tiles.all;
        winograd_input_strip(v, &source, &tiles, tile, end);
        turned_strip(e, p, &tiles, tile, end);
        for (size_t i = 0; i < WINOGRAD_PLACES; i++)
            products(sums + i * (size_t)channels * row, e + i * e_place, v + i * place, row, channels);
    }
    write_gradient(p, sums);
}
