/* data/image*: every kind of PNG and JPEG that should be read, files cut at every byte, changed bytes, headers that promise too much; and how a picture is
 * brought to a network's size, against figures worked out by hand. The files are made here with the libraries that read them. */
#include "base/door.h"
#include "base/error.h"
#include "data/image.h"
#include "tests/tests.h"

#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <turbojpeg.h>
#include <unistd.h>
#include <zlib.h>

enum { SIDE = 16, FILE_ROOM = 1 << 14 };

struct file { uint8_t bytes[FILE_ROOM]; size_t n; };

/* ---- making files ---- */

static void append(png_structp png, png_bytep from, size_t n)
{
    struct file *file = png_get_io_ptr(png);
    assert_true(file->n + n <= FILE_ROOM);
    memcpy(file->bytes + file->n, from, n);
    file->n += n;
}

struct png_kind { int depth, type, interlace, row_bytes; };

/* Row y holds the bytes row[y * kind.row_bytes ...]. */
static void make_png(struct file *file, const struct png_kind *kind, int side, const uint8_t *rows)
{
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    const png_color palette[] = { { 10, 20, 30 }, { 200, 100, 50 } };
    png_bytep row[SIDE];
    file->n = 0;
    png_set_write_fn(png, file, append, NULL);
    png_set_IHDR(png, info, (png_uint_32)side, (png_uint_32)side, kind->depth, kind->type, kind->interlace, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    if (kind->type == PNG_COLOR_TYPE_PALETTE)
        png_set_PLTE(png, info, palette, 2);
    for (int y = 0; y < side; y++)
        row[y] = (uint8_t *)rows + y * kind->row_bytes;
    png_set_rows(png, info, row);
    png_write_png(png, info, PNG_TRANSFORM_IDENTITY, NULL);
    png_destroy_write_struct(&png, &info);
}

static void gray_png(struct file *file)
{
    uint8_t rows[SIDE * SIDE];
    for (int i = 0; i < SIDE * SIDE; i++)
        rows[i] = (uint8_t)(i * 7);
    make_png(file, &(struct png_kind){ 8, PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_NONE, SIDE }, SIDE, rows);
}

/* A ramp in every channel, smooth enough to come out of a JPEG nearly as it went in. */
static void jpeg(struct file *file, int format, int channels, int subsampling, int flags)
{
    uint8_t pixels[SIDE * SIDE * 4], *made = NULL;
    unsigned long n = 0;
    tjhandle handle = tjInitCompress();
    for (int i = 0; i < SIDE * SIDE; i++)
        for (int c = 0; c < channels; c++)
            pixels[i * channels + c] = (uint8_t)(60 * c + 4 * (i % SIDE) + 4 * (i / SIDE));
    assert_int_equal(tjCompress2(handle, pixels, SIDE, 0, SIDE, format, &made, &n, subsampling, 95, flags), 0);
    assert_true(n <= FILE_ROOM);
    memcpy(file->bytes, made, n);
    file->n = n;
    tjFree(made);
    tjDestroy(handle);
}

static int parse(struct image *image, const struct file *file, size_t n, uint8_t background, struct error *error)
{
    uint8_t *exact = malloc(n ? n : 1); /* the address sanitizer sees one byte too many */
    memcpy(exact, file->bytes, n);
    *error = (struct error){ 0 };
    int result = image_parse(image, "p", exact, n, background, error);
    free(exact);
    return result;
}

static struct image parsed(const struct file *file, int channels)
{
    struct image image;
    struct error error;
    if (parse(&image, file, file->n, 0, &error))
        fail_msg("%s", error.text);
    assert_true(image.channels == channels && image.height == SIDE && image.width == SIDE);
    return image;
}

static void expect_refused(const struct file *file, const char *want)
{
    struct image image;
    struct error error;
    assert_int_equal(parse(&image, file, file->n, 0, &error), -1);
    assert_string_equal(error.text, want);
    assert_true(error.code == EXIT_INPUT && !image.pixels);
}

/* ---- reading them ---- */

static void png_of_every_depth(void **state)
{
    static const struct { struct png_kind kind; uint8_t byte; int channels; uint8_t first[3], second[3]; } cases[] = {
        { { 1, PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_NONE, 2 }, 0x55, 1, { 0 }, { 255 } },
        { { 4, PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_NONE, 8 }, 0x3c, 1, { 51 }, { 204 } },
        { { 8, PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_ADAM7, 16 }, 0x3c, 1, { 60 }, { 60 } },
        { { 16, PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_NONE, 32 }, 0x3c, 1, { 60 }, { 60 } },
        { { 16, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_ADAM7, 96 }, 0x3c, 3, { 60, 60, 60 }, { 60, 60, 60 } },
        { { 1, PNG_COLOR_TYPE_PALETTE, PNG_INTERLACE_NONE, 2 }, 0x55, 3, { 10, 20, 30 }, { 200, 100, 50 } },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t rows[SIDE * 96];
        struct file file;
        memset(rows, cases[i].byte, sizeof rows);
        make_png(&file, &cases[i].kind, SIDE, rows);
        struct image image = parsed(&file, cases[i].channels);
        size_t channels = (size_t)image.channels, last = (size_t)SIDE * SIDE * channels;
        assert_memory_equal(image.pixels, cases[i].first, channels);
        assert_memory_equal(image.pixels + channels, cases[i].second, channels);
        assert_memory_equal(image.pixels + last - channels, cases[i].second, channels);
        image_release(&image);
    }
}

static void transparency_shows_the_background(void **state)
{
    uint8_t rows[SIDE * SIDE * 2];
    struct file file;
    (void)state;
    for (int i = 0; i < SIDE * SIDE; i++) {
        rows[2 * i] = 90;
        rows[2 * i + 1] = i % 2 ? 255 : 0;
    }
    make_png(&file, &(struct png_kind){ 8, PNG_COLOR_TYPE_GRAY_ALPHA, PNG_INTERLACE_NONE, SIDE * 2 }, SIDE, rows);
    for (int background = 0; background <= 255; background += 255) {
        struct image image;
        struct error error;
        assert_int_equal(parse(&image, &file, file.n, (uint8_t)background, &error), 0);
        assert_true(image.channels == 1 && image.pixels[0] == background && image.pixels[1] == 90);
        image_release(&image);
    }
}

static void jpeg_of_every_kind(void **state)
{
    static const struct { int format, channels, subsampling, flags; } cases[] = {
        { TJPF_GRAY, 1, TJSAMP_GRAY, 0 }, { TJPF_RGB, 3, TJSAMP_444, 0 }, { TJPF_RGB, 3, TJSAMP_420, 0 }, { TJPF_RGB, 3, TJSAMP_444, TJFLAG_PROGRESSIVE }, { TJPF_GRAY, 1, TJSAMP_GRAY, TJFLAG_PROGRESSIVE },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct file file;
        jpeg(&file, cases[i].format, cases[i].channels, cases[i].subsampling, cases[i].flags);
        struct image image = parsed(&file, cases[i].channels);
        for (int at = 0; at < SIDE * SIDE; at++)
            for (int c = 0; c < image.channels; c++)
                if (abs(image.pixels[at * image.channels + c] - (60 * c + 4 * (at % SIDE) + 4 * (at / SIDE))) > 6)
                    fail_msg("case %zu, pixel %d, channel %d: %d", i, at, c, image.pixels[at * image.channels + c]);
        image_release(&image);
    }
}

static void a_file_is_read_from_disk(void **state)
{
    char path[] = "/tmp/onestep-image-XXXXXX", want[128];
    struct file file;
    struct image image;
    struct error error = { 0 };
    (void)state;
    gray_png(&file);
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, file.bytes, file.n) == (ssize_t)file.n && close(fd) == 0);
    assert_int_equal(image_open(&image, path, 0, &error), 0);
    assert_true(image.pixels[3] == 21);
    image_release(&image);
    door_fail_at(DOOR_ALLOCATE, 2, 12, false);
    assert_int_equal(image_open(&image, path, 0, &error), -1);
    assert_true(error.code == EXIT_MEMORY && !image.pixels);
    unlink(path);
    error = (struct error){ 0 };
    assert_int_equal(image_open(&image, path, 0, &error), -1);
    snprintf(want, sizeof want, "%s: cannot open: No such file or directory", path);
    assert_string_equal(error.text, want);
}

/* ---- what must be refused ---- */

static void cut_anywhere(const struct file *file)
{
    for (size_t n = 0; n < file->n; n++) {
        struct image image;
        struct error error;
        if (parse(&image, file, n, 0, &error) == 0)
            fail_msg("a file cut to %zu of %zu bytes was read", n, file->n);
        assert_true(error.code == EXIT_INPUT && strncmp(error.text, "p: ", 3) == 0 && !image.pixels);
    }
}

static void cut_anywhere_it_is_refused(void **state)
{
    struct file file;
    (void)state;
    gray_png(&file);
    cut_anywhere(&file);
    jpeg(&file, TJPF_RGB, 3, TJSAMP_420, 0);
    cut_anywhere(&file);
    jpeg(&file, TJPF_GRAY, 1, TJSAMP_GRAY, TJFLAG_PROGRESSIVE);
    cut_anywhere(&file);
}

static void changed_anywhere(struct file *file)
{
    for (size_t at = 0; at < file->n; at++)
        for (int change = 1; change < 256; change *= 4) {
            struct image image;
            struct error error;
            file->bytes[at] ^= (uint8_t)change;
            int result = parse(&image, file, file->n, 0, &error);
            assert_true(result == 0 ? image.pixels != NULL : error.code == EXIT_INPUT && strncmp(error.text, "p: ", 3) == 0 && !image.pixels);
            image_release(&image);
            file->bytes[at] ^= (uint8_t)change;
        }
}

static void changed_anywhere_it_is_read_or_refused(void **state)
{
    struct file file;
    (void)state;
    gray_png(&file);
    changed_anywhere(&file);
    jpeg(&file, TJPF_RGB, 3, TJSAMP_420, 0);
    changed_anywhere(&file);
}

static void put_number(uint8_t *to, uint32_t number)
{
    for (int i = 0; i < 4; i++)
        to[i] = (uint8_t)(number >> 8 * (3 - i));
}

/* A PNG whose header, checksum and all, promises other sides. */
static void resize_png(struct file *file, uint32_t width, uint32_t height)
{
    gray_png(file);
    put_number(file->bytes + 16, width);
    put_number(file->bytes + 20, height);
    put_number(file->bytes + 29, (uint32_t)crc32(0, file->bytes + 12, 17));
}

static void headers_that_promise_too_much(void **state)
{
    struct file file;
    char want[128];
    (void)state;
    resize_png(&file, 1 << 14, (1 << 12) + 1);
    expect_refused(&file, "p: want at most 67108864 pixels, found 16384 x 4097");
    resize_png(&file, 8192, 8192);
    snprintf(want, sizeof want, "p: the header promises 8192 x 8192 pixels, more than %zu bytes can hold", file.n);
    expect_refused(&file, want);
    jpeg(&file, TJPF_GRAY, 1, TJSAMP_GRAY, 0);
    uint8_t *frame = memmem(file.bytes, file.n, "\xff\xc0", 2);
    assert_non_null(frame);
    memcpy(frame + 5, "\x10\x00\x20\x00", 4); /* rows, columns */
    snprintf(want, sizeof want, "p: the header promises 8192 x 4096 pixels, more than %zu bytes can hold", file.n);
    expect_refused(&file, want);
    memcpy(frame + 5, "\xff\xff\xff\xff", 4);
    struct image image;
    struct error error;
    assert_int_equal(parse(&image, &file, file.n, 0, &error), -1);
    assert_int_equal(error.code, EXIT_INPUT);
}

static void what_is_no_image(void **state)
{
    struct file file = { .n = 0 };
    (void)state;
    expect_refused(&file, "p: want a PNG or JPEG image, found 0 bytes of something else");
    memcpy(file.bytes, "GIF89a", file.n = 6);
    expect_refused(&file, "p: want a PNG or JPEG image, found 6 bytes of something else");
    jpeg(&file, TJPF_CMYK, 4, TJSAMP_444, 0);
    expect_refused(&file, "p: want a JPEG image in gray or RGB, found CMYK");
    gray_png(&file);
    file.n -= 12; /* all but the end that the format demands */
    expect_refused(&file, "p: damaged PNG image: it has no end");
}

/* ---- to the network's size ---- */

static void the_same_size_is_a_copy(void **state)
{
    uint8_t pixels[6 * 5 * 3], planes[3][6][5];
    const struct image image = { 3, 6, 5, pixels };
    (void)state;
    for (int i = 0; i < 6 * 5 * 3; i++)
        pixels[i] = (uint8_t)(i * 13);
    image_fit(&image, 3, 6, 5, &planes[0][0][0]);
    for (int c = 0; c < 3; c++)
        for (int y = 0; y < 6; y++)
            for (int x = 0; x < 5; x++)
                assert_int_equal(planes[c][y][x], pixels[(y * 5 + x) * 3 + c]);
}

static void expect_row(const struct image *image, int height, int width, const uint8_t *want)
{
    uint8_t planes[64];
    image_fit(image, 1, height, width, planes);
    for (int y = 0; y < height; y++)
        assert_memory_equal(planes + y * width, want, (size_t)width);
}

/* The columns' figures; all rows are equal. */
static void sizes_follow_the_triangle(void **state)
{
    uint8_t two[] = { 0, 80, 0, 80 }, four[] = { 0, 70, 140, 210, 0, 70, 140, 210, 0, 70, 140, 210, 0, 70, 140, 210 };
    (void)state;
    /* middles at 1/4, 3/4, 5/4, 7/4 of two pixels whose middles are 1/2 and 3/2 */
    expect_row(&(struct image){ 1, 2, 2, two }, 4, 4, (const uint8_t[]){ 0, 20, 60, 80 });
    /* middles at 1 and 3, two pixels of reach: 3/4, 3/4, 1/4 of 7/4 */
    expect_row(&(struct image){ 1, 4, 4, four }, 2, 2, (const uint8_t[]){ 50, 160 });
}

static void the_middle_is_taken(void **state)
{
    uint8_t wide[] = { 9, 9, 50, 60, 9, 9, 9, 9, 50, 60, 9, 9 }, tall[] = { 9, 9, 30, 30, 9, 9 };
    (void)state;
    expect_row(&(struct image){ 1, 2, 6, wide }, 2, 2, (const uint8_t[]){ 50, 60 });
    expect_row(&(struct image){ 1, 3, 2, tall }, 1, 2, (const uint8_t[]){ 30, 30 });
}

static void a_plain_picture_stays_plain(void **state)
{
    enum { HEIGHT = 37, WIDTH = 101 };
    uint8_t *pixels = malloc(HEIGHT * WIDTH), planes[32 * 32];
    (void)state;
    memset(pixels, 200, HEIGHT * WIDTH);
    for (int side = 1; side <= 32; side++) {
        image_fit(&(struct image){ 1, HEIGHT, WIDTH, pixels }, 1, side, side, planes);
        for (int i = 0; i < side * side; i++)
            assert_int_equal(planes[i], 200);
    }
    image_fit(&(struct image){ 1, 1, 1, pixels }, 1, 32, 32, planes);
    assert_true(planes[0] == 200 && planes[1023] == 200);
    free(pixels);
}

static void color_and_gray(void **state)
{
    uint8_t color[] = { 100, 200, 50 }, gray[] = { 77 }, planes[3];
    (void)state;
    image_fit(&(struct image){ 3, 1, 1, color }, 1, 1, 1, planes);
    assert_int_equal(planes[0], 153); /* 29.9 + 117.4 + 5.7 */
    image_fit(&(struct image){ 1, 1, 1, gray }, 3, 1, 1, planes);
    assert_true(planes[0] == 77 && planes[1] == 77 && planes[2] == 77);
}

int test_image(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(png_of_every_depth),
        cmocka_unit_test(transparency_shows_the_background),
        cmocka_unit_test(jpeg_of_every_kind),
        cmocka_unit_test(a_file_is_read_from_disk),
        cmocka_unit_test(cut_anywhere_it_is_refused),
        cmocka_unit_test(changed_anywhere_it_is_read_or_refused),
        cmocka_unit_test(headers_that_promise_too_much),
        cmocka_unit_test(what_is_no_image),
        cmocka_unit_test(the_same_size_is_a_copy),
        cmocka_unit_test(sizes_follow_the_triangle),
        cmocka_unit_test(the_middle_is_taken),
        cmocka_unit_test(a_plain_picture_stays_plain),
        cmocka_unit_test(color_and_gray),
    };
    return cmocka_run_group_tests_name("image", tests, NULL, NULL);
}
