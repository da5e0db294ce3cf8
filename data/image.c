/* See image.h. */
#include "data/image_formats.h"

#include "base/door.h"
#include "base/error.h"
#include "base/file.h"

#include <string.h>

static const uint8_t png_magic[] = { 0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n' }, jpeg_magic[] = { 0xff, 0xd8, 0xff };

int image_allocate(struct image *image, const char *name, size_t n, size_t most, struct error *error)
{
    void *pixels;
    int64_t count = (int64_t)image->height * image->width;
    if (image->height < 1 || image->width < 1)
        return fail(error, EXIT_INPUT, "%s: want at least one pixel, found %d x %d", name, image->width, image->height);
    if (count > IMAGE_MOST_PIXELS)
        return fail(error, EXIT_INPUT, "%s: want at most %d pixels, found %d x %d", name, IMAGE_MOST_PIXELS, image->width, image->height);
    if ((size_t)count / most > n)
        return fail(error, EXIT_INPUT, "%s: the header promises %d x %d pixels, more than %zu bytes can hold", name, image->width, image->height, n);
    if (door_allocate(&pixels, (size_t)count * (size_t)image->channels, name, error))
        return -1;
    image->pixels = pixels;
    return 0;
}

int image_parse(struct image *image, const char *name, const uint8_t *bytes, size_t n, uint8_t background, struct error *error)
{
    int result;
    memset(image, 0, sizeof *image);
    if (n >= sizeof png_magic && memcmp(bytes, png_magic, sizeof png_magic) == 0)
        result = image_png(image, name, bytes, n, background, error);
    else if (n >= sizeof jpeg_magic && memcmp(bytes, jpeg_magic, sizeof jpeg_magic) == 0)
        result = image_jpeg(image, name, bytes, n, error);
    else
        return fail(error, EXIT_INPUT, "%s: want a PNG or JPEG image, found %zu bytes of something else", name, n);
    if (result)
        image_release(image);
    return result;
}

int image_open(struct image *image, const char *path, uint8_t background, struct error *error)
{
    char *bytes;
    size_t n;
    memset(image, 0, sizeof *image);
    if (file_read(path, IMAGE_MOST_BYTES, &bytes, &n, error))
        return -1;
    int result = image_parse(image, path, (const uint8_t *)bytes, n, background, error);
    door_free(bytes);
    return result;
}

void image_release(struct image *image)
{
    door_free(image->pixels);
    memset(image, 0, sizeof *image);
}
