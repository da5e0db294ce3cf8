/* The formats that image.c tells apart, one file each. Inside data/image*.c only. */
#ifndef DATA_IMAGE_FORMATS_H
#define DATA_IMAGE_FORMATS_H

#include "data/image.h"

int image_png(struct image *image, const char *name, const uint8_t *bytes, size_t n, uint8_t background, struct error *error);
int image_jpeg(struct image *image, const char *name, const uint8_t *bytes, size_t n, struct error *error);

/* Checks the size that a header promises, and allocates the pixels. Deflate and entropy codes have a best case: `most` pixels in a byte of the file. */
int image_allocate(struct image *image, const char *name, size_t n, size_t most, struct error *error);

#endif
