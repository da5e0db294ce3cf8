/* Winograd's input transform: down the columns of a run first, so that columns which two tiles share are done once, then along the rows. */
#include "cpu/lanes_winograd_transform.h"

enum { COLUMNS = WINOGRAD_STRIP * WINOGRAD_TILE + 2 };

static const v16 zeros[COLUMNS];

/* lines[i][x]: row i of the points, columns from `left` on; outside the plane there are zeros. */
static void columns(v16 lines[WINOGRAD_POINTS][COLUMNS], const float *plane, struct shape shape, int top, int left, int n)
{
    const ptrdiff_t next = (ptrdiff_t)shape.h * shape.w * LANES;
    const int begin = left < 0 ? -left : 0, end = left + n > shape.w ? shape.w - left : n;
    const float *rows[WINOGRAD_POINTS];
    for (int i = 0; i < WINOGRAD_POINTS; i++) {
        bool inside = top + i >= 0 && top + i < shape.h;
        rows[i] = inside ? plane + ((ptrdiff_t)(top + i) * shape.w + left) * LANES : (const float *)zeros;
        for (int x = 0; x < begin; x++)
            lines[i][x] = v16_zero();
        for (int x = end > begin ? end : begin; x < n; x++)
            lines[i][x] = v16_zero();
    }
    for (int x = begin; x < end; x++) {
        v16 d[WINOGRAD_POINTS], v[WINOGRAD_POINTS];
#pragma GCC unroll 6
        for (int i = 0; i < WINOGRAD_POINTS; i++) {
            d[i] = v16_load(rows[i] + x * LANES);
            __builtin_prefetch(rows[i] + next + x * LANES);
        }
        winograd_input(d, v);
#pragma GCC unroll 6
        for (int i = 0; i < WINOGRAD_POINTS; i++)
            lines[i][x] = v[i];
    }
}

static void run_channel(float *v, size_t place, const float *plane, struct shape shape, const struct winograd_run *run, int pad)
{
    v16 lines[WINOGRAD_POINTS][COLUMNS];
    columns(lines, plane, shape, run->y - pad, run->x - pad, run->n * WINOGRAD_TILE + 2);
    for (int i = 0; i < WINOGRAD_POINTS; i++)
        for (int t = 0; t < run->n; t++) {
            v16 points[WINOGRAD_POINTS];
            winograd_input(&lines[i][t * WINOGRAD_TILE], points);
#pragma GCC unroll 6
            for (int j = 0; j < WINOGRAD_POINTS; j++)
                v16_store(v + (size_t)(i * WINOGRAD_POINTS + j) * place + t * LANES, points[j]);
        }
}

void winograd_input_strip(float *v, const float *in, struct shape shape, int pad, const struct winograd_tiles *tiles, int tile, int end)
{
    const size_t place = winograd_place_floats(shape.c), plane = (size_t)shape.h * (size_t)shape.w * LANES;
    if (end - tile < WINOGRAD_STRIP)
        memset(v, 0, WINOGRAD_PLACES * place * sizeof *v);
    for (int first = tile; tile < end;) {
        const struct winograd_run run = winograd_run(tiles, tile, end);
        for (int c = 0; c < shape.c; c++)
            run_channel(v + (c * WINOGRAD_STRIP + tile - first) * LANES, place, in + ((size_t)run.group * (size_t)shape.c + (size_t)c) * plane, shape, &run, pad);
        tile += run.n;
    }
}
