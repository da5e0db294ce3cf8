/* Winograd's input transform: down the columns of a run first, so that columns which two tiles share are done once, then along the rows. */
#include "cpu/lanes_winograd_transform.h"

enum { COLUMNS = WINOGRAD_STRIP * WINOGRAD_TILE + 2 };

static const vec zeros[COLUMNS];

/* lines[i][x]: row i of the points, columns from `left` on; outside the plane there are zeros. */
static void columns(vec lines[WINOGRAD_POINTS][COLUMNS], const float *plane, struct shape shape, int top, int left, int n)
{
    const ptrdiff_t next = (ptrdiff_t)shape.h * shape.w * LANES;
    const int begin = left < 0 ? -left : 0, end = left + n > shape.w ? shape.w - left : n;
    const float *rows[WINOGRAD_POINTS];
    for (int i = 0; i < WINOGRAD_POINTS; i++) {
        bool inside = top + i >= 0 && top + i < shape.h;
        rows[i] = inside ? plane + ((ptrdiff_t)(top + i) * shape.w + left) * LANES : (const float *)zeros;
        for (int x = 0; x < begin; x++)
            lines[i][x] = vec_zero();
        for (int x = end > begin ? end : begin; x < n; x++)
            lines[i][x] = vec_zero();
    }
    for (int x = begin; x < end; x++) {
        vec d[WINOGRAD_POINTS], v[WINOGRAD_POINTS];
#pragma GCC unroll 6
        for (int i = 0; i < WINOGRAD_POINTS; i++) {
            d[i] = vec_load(rows[i] + x * LANES);
            __builtin_prefetch(rows[i] + next + x * LANES);
        }
        winograd_input(d, v);
#pragma GCC unroll 6
        for (int i = 0; i < WINOGRAD_POINTS; i++)
            lines[i][x] = v[i];
    }
}

VECTOR_INLINE void run_channel(float *v, size_t place, const float *plane, const struct winograd_source *from, const struct winograd_run *run, int samples)
{
    vec lines[WINOGRAD_POINTS][COLUMNS];
    columns(lines, plane, from->shape, run->y - from->pad, run->x - from->pad, run->n * WINOGRAD_TILE + 2);
    for (int i = 0; i < WINOGRAD_POINTS; i++)
        for (int t = 0; t < run->n; t++) {
            vec points[WINOGRAD_POINTS];
            winograd_input(&lines[i][t * WINOGRAD_TILE], points);
#pragma GCC unroll 6
            for (int j = 0; j < WINOGRAD_POINTS; j++)
                vec_store(v + (size_t)(i * WINOGRAD_POINTS + j) * place + (size_t)(t * samples), points[j]);
        }
}

VECTOR_INLINE void strip(float *v, const struct winograd_source *from, const struct winograd_tiles *tiles, int tile, int end, int samples)
{
    const struct shape shape = from->shape;
    const size_t place = winograd_place_floats(shape.c, samples), plane = (size_t)shape.h * (size_t)shape.w * LANES;
    for (int first = tile; tile < end;) {
        const struct winograd_run run = winograd_run(tiles, tile, end);
        const float *in = from->in + (size_t)run.block * from->block;
        for (int c = 0; c < shape.c; c++)
            run_channel(v + (size_t)((c * WINOGRAD_STRIP + tile - first) * samples), place, in + (size_t)c * plane, from, &run, samples);
        tile += run.n;
    }
}

void winograd_input_strip(float *v, const struct winograd_source *from, const struct winograd_tiles *tiles, int tile, int end)
{
    if (end - tile < WINOGRAD_STRIP)
        memset(v, 0, WINOGRAD_PLACES * winograd_place_floats(from->shape.c, from->samples) * sizeof *v);
    if (from->samples == LANES) {
        strip(v, from, tiles, tile, end, LANES);
        return;
    }
    struct winograd_source part = *from;
    for (int i = 0; i < PARTS; i++, v += LANES, part.in += lanes_count(from->shape))
        strip(v, &part, tiles, tile, end, GROUP);
}
