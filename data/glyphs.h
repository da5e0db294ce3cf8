/* Ten glyphs of straight strokes, bent and placed at random: what the built-in datasets draw. */
#ifndef DATA_GLYPHS_H
#define DATA_GLYPHS_H

struct draws;

enum { GLYPHS = 10, GLYPH_ROW = 32 /* a row of distances is padded to whole vectors */ };

/* nearest[y][x]: the squared distance of a pixel to glyph number `glyph` on a square of side `side`, up to GLYPH_ROW; only what is less than `reach` away counts. */
void glyph_draw(struct draws *draws, int glyph, int side, float reach, float nearest[][GLYPH_ROW]);

#endif
