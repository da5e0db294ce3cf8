/* A picture made of rectangles and text, written as PNG. What lies outside is not drawn. */
#ifndef TRAINER_PICTURE_H
#define TRAINER_PICTURE_H

#include <stdbool.h>
#include <stdint.h>

struct error;

struct colour { uint8_t r, g, b; };

struct picture {
    int width, height;
    struct colour *pixels; /* [height][width] */
};

/* All white. EXIT_MEMORY. */
int picture_open(struct picture *picture, int width, int height, struct error *error);
void picture_release(struct picture *picture);

void picture_fill(struct picture *picture, int x, int y, int width, int height, struct colour colour);

/* Pixels that the text takes at scale 1: so many along its line, and LETTER_HEIGHT across. One letter for each character of the UTF-8 text. */
enum { LETTER_WIDTH = 6, LETTER_HEIGHT = 8 };
int picture_text_width(const char *text);

/* (x, y): the corner where the text begins, at its top. `upward`: turned to the left by 90 degrees, its line runs up from (x, y). */
struct text_style { int scale; bool upward; struct colour colour; };
void picture_text(struct picture *picture, int x, int y, const struct text_style *style, const char *text);

/* Replaces the file `path` whole. EXIT_OUTPUT, EXIT_MEMORY. */
int picture_save(const struct picture *picture, const char *path, struct error *error);

#endif
