/* Pictures out of PNG and JPEG files, and into the shape that a network takes.
 *
 * What a file is follows from its first bytes, not from its name. Sizes are checked against the file's length before anything is allocated. A damaged file is
 * an error even where a viewer would show a part of it. Thread-safe. */
#ifndef DATA_IMAGE_H
#define DATA_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;

enum { IMAGE_MOST_PIXELS = 1 << 26, IMAGE_MOST_BYTES = 1 << 28 };

struct image {
    int channels;      /* 1: gray, 3: red, green, blue */
    int height, width;
    uint8_t *pixels;   /* [height][width][channels]; owned */
};

/* Reads a file. Where it is transparent, `background` (0 black, 255 white) shows. EXIT_INPUT, EXIT_MEMORY. */
int image_open(struct image *image, const char *path, uint8_t background, struct error *error);

/* The same from memory; `name` is for messages. */
int image_parse(struct image *image, const char *name, const uint8_t *bytes, size_t n, uint8_t background, struct error *error);

void image_release(struct image *image);

/* The middle of the image, as large as it can be in the shape of height x width, brought to that size, to planes[channels][height][width].
 * Smaller and larger by the triangle filter, as wide as a pixel of the coarser grid: bilinear interpolation where it grows, and what PyTorch calls bilinear with
 * antialiasing where it shrinks. The same size is a copy. Color becomes gray as 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601), gray becomes three equal planes. */
void image_fit(const struct image *image, int channels, int height, int width, uint8_t *planes);

#endif
