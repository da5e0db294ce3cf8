/* PNG by libpng's simplified interface: whatever the file stores (1 to 16 bits, palette, alpha, interlaced), 8 bits of gray or of three colors in sRGB come out. */
#include "data/image_formats.h"

#include "base/error.h"

#include <png.h>
#include <stdbool.h>
#include <string.h>

/* A byte of deflated data holds at most 1032 bytes, a byte of those 8 pixels. */
enum { PIXELS_IN_A_BYTE = 1032 * 8, END_BYTES = 12 };

static int damaged(const char *name, const png_image *png, struct error *error)
{
    return fail(error, EXIT_INPUT, "%s: damaged PNG image: %s", name, png->message);
}

/* libpng is content when the last row is there; a cut after it shows here. */
static bool ends(const uint8_t *bytes, size_t n)
{
    static const uint8_t end[END_BYTES] = { 0, 0, 0, 0, 'I', 'E', 'N', 'D', 0xae, 0x42, 0x60, 0x82 };
    return memmem(bytes, n, end, sizeof end) != NULL;
}

int image_png(struct image *image, const char *name, const uint8_t *bytes, size_t n, uint8_t background, struct error *error)
{
    png_image png = { .version = PNG_IMAGE_VERSION };
    if (!png_image_begin_read_from_memory(&png, bytes, n))
        return damaged(name, &png, error);
    bool color = png.format & PNG_FORMAT_FLAG_COLOR;
    png.flags |= PNG_IMAGE_FLAG_16BIT_sRGB; /* 16 bits are not linear unless the file says so */
    png.format = color ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY;
    *image = (struct image){ .channels = color ? 3 : 1, .height = png.height > INT32_MAX ? 0 : (int)png.height, .width = png.width > INT32_MAX ? 0 : (int)png.width };
    int result = image_allocate(image, name, n, PIXELS_IN_A_BYTE, error);
    if (result == 0 && !png_image_finish_read(&png, &(png_color){ background, background, background }, image->pixels, 0, NULL))
        result = damaged(name, &png, error);
    if (result == 0 && !ends(bytes, n))
        result = fail(error, EXIT_INPUT, "%s: damaged PNG image: it has no end", name);
    png_image_free(&png);
    return result;
}
