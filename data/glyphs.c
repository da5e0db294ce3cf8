/* See glyphs.h. Points jump a little, then the glyph is scaled, slanted, turned and shifted, so that no pixel stands for a class. Only +, -, *
 * and / touch the distances, so every machine draws the same. */
#include "data/glyphs.h"

#include "data/draws.h"

#include <stdbool.h>

enum { MOST_POINTS = 18, LIFT = 127 /* in place of x: the pen is lifted here */ };

/* Strokes in a box of -6..6 by -10..10, y downwards; the first n points count. */
static const struct glyph { int n; signed char points[MOST_POINTS][2]; } glyphs[GLYPHS] = {
    { 13, {{ 0, -10 }, { 3, -9 }, { 5, -6 }, { 6, 0 }, { 5, 6 }, { 3, 9 }, { 0, 10 }, { -3, 9 }, { -5, 6 }, { -6, 0 }, { -5, -6 }, { -3, -9 }, { 0, -10 }} },
    { 3, {{ -4, -6 }, { 0, -10 }, { 0, 10 }} },
    { 9, {{ -6, -6 }, { -4, -9 }, { 0, -10 }, { 4, -9 }, { 6, -6 }, { 5, -2 }, { 0, 4 }, { -6, 10 }, { 6, 10 }} },
    { 13, {{ -5, -8 }, { -2, -10 }, { 2, -10 }, { 5, -8 }, { 5, -4 }, { 3, -1 }, { -1, 0 }, { 3, 1 }, { 6, 4 }, { 5, 8 }, { 2, 10 }, { -2, 10 }, { -6, 8 }} },
    { 6, {{ 1, -10 }, { -6, 4 }, { 6, 4 }, { LIFT, 0 }, { 3, -4 }, { 3, 10 }} },
    { 10, {{ 5, -10 }, { -4, -10 }, { -5, -1 }, { -1, -3 }, { 3, -2 }, { 6, 2 }, { 5, 7 }, { 2, 10 }, { -2, 10 }, { -6, 8 }} },
    { 12, {{ 4, -10 }, { -1, -7 }, { -4, -2 }, { -5, 4 }, { -4, 8 }, { 0, 10 }, { 4, 8 }, { 5, 4 }, { 3, 0 }, { 0, -1 }, { -3, 1 }, { -5, 4 }} },
    { 4, {{ -6, -10 }, { 6, -10 }, { 1, 0 }, { -2, 10 }} },
    { 17, {{ 0, -1 }, { -4, -3 }, { -5, -6 }, { -3, -9 }, { 0, -10 }, { 3, -9 }, { 5, -6 }, { 4, -3 }, { 0, -1 },
           { -4, 2 }, { -6, 6 }, { -4, 9 }, { 0, 10 }, { 4, 9 }, { 6, 6 }, { 4, 2 }, { 0, -1 }} },
    { 12, {{ -4, 10 }, { 1, 7 }, { 4, 2 }, { 5, -4 }, { 4, -8 }, { 0, -10 }, { -4, -8 }, { -5, -4 }, { -3, 0 }, { 0, 1 }, { 3, -1 }, { 5, -4 }} },
};

struct point { float x, y; };

/* x' = xx x + xy y + x0, y' = yx x + yy y + y0: from the glyph's box to pixels. */
struct affine { float xx, xy, x0, yx, yy, y0; };

static struct affine draw_affine(struct draws *draws, int side)
{
    const float size = (float)side / 28, centre = 0.5f * (float)(side - 1);
    float height = size * draw_between(draws, 0.62f, 0.95f), width = height * draw_between(draws, 0.75f, 1.2f);
    float slant = draw_between(draws, -0.35f, 0.35f);
    float half_tangent = draw_between(draws, -0.14f, 0.14f); /* turns of up to 16 degrees, without a sine */
    float scale = 1 / (1 + half_tangent * half_tangent);
    float cosine = (1 - half_tangent * half_tangent) * scale, sine = 2 * half_tangent * scale;
    struct affine a = { .xx = cosine * width, .xy = cosine * slant * height - sine * height, .yx = sine * width, .yy = sine * slant * height + cosine * height };
    a.x0 = centre + draw_between(draws, -3, 3);
    a.y0 = centre + draw_between(draws, -3, 3);
    return a;
}

/* Lower each pixel's squared distance to the strokes by one straight piece, in the rows that lie within `reach` of it. */
static void add_piece(float nearest[][GLYPH_ROW], int side, const struct point ends[2], float reach)
{
    const struct point a = ends[0], b = ends[1];
    float dx = b.x - a.x, dy = b.y - a.y, per_length = 1 / (dx * dx + dy * dy + 1e-6f);
    float top = (a.y < b.y ? a.y : b.y) - reach, bottom = (a.y > b.y ? a.y : b.y) + reach;
    for (int y = top > 0 ? (int)top : 0; y < side && (float)y <= bottom; y++) {
        float py = (float)y - a.y;
        for (int x = 0; x < GLYPH_ROW; x++) {
            float px = (float)x - a.x;
            float along = (px * dx + py * dy) * per_length;
            along = along < 0 ? 0 : along;
            along = along > 1 ? 1 : along;
            float ex = px - along * dx, ey = py - along * dy, squared = ex * ex + ey * ey;
            nearest[y][x] = squared < nearest[y][x] ? squared : nearest[y][x];
        }
    }
}

void glyph_draw(struct draws *draws, int glyph, int side, float reach, float nearest[][GLYPH_ROW])
{
    const struct glyph *strokes = &glyphs[glyph];
    struct affine a = draw_affine(draws, side);
    struct point ends[2] = { { 0, 0 }, { 0, 0 } };
    bool pen_down = false;
    for (int y = 0; y < side; y++)
        for (int x = 0; x < GLYPH_ROW; x++)
            nearest[y][x] = (float)(side * side);
    for (int i = 0; i < strokes->n; i++) {
        if (strokes->points[i][0] == LIFT) {
            pen_down = false;
            continue;
        }
        float x = (float)strokes->points[i][0] + draw_between(draws, -2, 2), y = (float)strokes->points[i][1] + draw_between(draws, -2, 2);
        ends[1] = (struct point){ a.xx * x + a.xy * y + a.x0, a.yx * x + a.yy * y + a.y0 };
        if (pen_down)
            add_piece(nearest, side, ends, reach);
        ends[0] = ends[1];
        pen_down = true;
    }
}
