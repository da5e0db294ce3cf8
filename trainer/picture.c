/* See picture.h. */
#include "trainer/picture.h"

#include "base/door.h"
#include "base/error.h"
#include "base/file.h"
#include "base/sizes.h"
#include "trainer/font.h"

#include <png.h>
#include <string.h>

int picture_open(struct picture *picture, int width, int height, struct error *error)
{
    void *pixels;
    size_t bytes;
    *picture = (struct picture){ width, height, NULL };
    if (!size_product((size_t)width, (size_t)height, &bytes) || !size_product(bytes, sizeof(struct colour), &bytes))
        return fail(error, EXIT_MEMORY, "a picture of %d x %d pixels is too large", width, height);
    if (door_allocate(&pixels, bytes, "a picture", error))
        return -1;
    picture->pixels = pixels;
    memset(pixels, 255, bytes);
    return 0;
}

void picture_release(struct picture *picture)
{
    door_free(picture->pixels);
    memset(picture, 0, sizeof *picture);
}

static int within(int x, int end) { return x < 0 ? 0 : x > end ? end : x; }

void picture_fill(struct picture *picture, int x, int y, int width, int height, struct colour colour)
{
    int left = within(x, picture->width), right = within(x + width, picture->width), bottom = within(y + height, picture->height);
    for (int row = within(y, picture->height); row < bottom; row++)
        for (int column = left; column < right; column++)
            picture->pixels[(size_t)row * (size_t)picture->width + (size_t)column] = colour;
}

/* The next character of the text, '?' for what the font lacks; the text moves on by one UTF-8 sequence. */
static char next_letter(const char **text)
{
    unsigned char first = (unsigned char)*(*text)++;
    while (((unsigned char)**text & 0xc0) == 0x80)
        (*text)++;
    return first >= FONT_FIRST && first <= FONT_LAST ? (char)first : '?';
}

int picture_text_width(const char *text)
{
    int n = 0;
    for (; *text; n++)
        next_letter(&text);
    return n ? n * LETTER_WIDTH - 1 : 0;
}

void picture_text(struct picture *picture, int x, int y, const struct text_style *style, const char *text)
{
    int scale = style->scale;
    for (int along = 0; *text; along += LETTER_WIDTH) {
        const uint8_t *columns = font[next_letter(&text) - FONT_FIRST];
        for (int column = 0; column < FONT_COLUMNS; column++)
            for (int row = 0; row < FONT_ROWS; row++)
                if (columns[column] >> row & 1) {
                    int to_x = style->upward ? row : along + column, to_y = style->upward ? -(along + column + 1) : row;
                    picture_fill(picture, x + to_x * scale, y + to_y * scale, scale, scale, style->colour);
                }
    }
}

int picture_save(const struct picture *picture, const char *path, struct error *error)
{
    png_image image = { .version = PNG_IMAGE_VERSION, .width = (png_uint_32)picture->width, .height = (png_uint_32)picture->height, .format = PNG_FORMAT_RGB };
    size_t n = PNG_IMAGE_PNG_SIZE_MAX(image);
    void *block;
    if (door_allocate(&block, n, "a picture as PNG", error))
        return -1;
    int result = png_image_write_to_memory(&image, block, &n, 0, picture->pixels, 0, NULL) ? file_replace(path, &(struct file_part){ block, n }, 1, error)
                                                                                           : fail(error, EXIT_MEMORY, "%s: %s", path, image.message);
    door_free(block);
    return result;
}
