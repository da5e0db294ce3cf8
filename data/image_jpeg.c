/* JPEG by libjpeg-turbo: baseline and progressive, gray or YCbCr. */
#include "data/image_formats.h"

#include "base/error.h"

#include <turbojpeg.h>

/* A block of 8 x 8 takes a bit or more; there are never more pixels than blocks of the finest component hold. */
enum { PIXELS_IN_A_BYTE = 512 };

static int damaged(const char *name, tjhandle jpeg, struct error *error) { return fail(error, EXIT_INPUT, "%s: damaged JPEG image: %s", name, tjGetErrorStr2(jpeg)); }

static int decode(struct image *image, const char *name, tjhandle jpeg, const uint8_t *bytes, size_t n, struct error *error)
{
    int subsampling, colors;
    if (tjDecompressHeader3(jpeg, bytes, n, &image->width, &image->height, &subsampling, &colors))
        return damaged(name, jpeg, error);
    if (colors == TJCS_CMYK || colors == TJCS_YCCK)
        return fail(error, EXIT_INPUT, "%s: want a JPEG image in gray or RGB, found CMYK", name);
    image->channels = colors == TJCS_GRAY ? 1 : 3;
    if (image_allocate(image, name, n, PIXELS_IN_A_BYTE, error))
        return -1;
    int flags = TJFLAG_STOPONWARNING | TJFLAG_LIMITSCANS | TJFLAG_ACCURATEDCT;
    return tjDecompress2(jpeg, bytes, n, image->pixels, image->width, 0, image->height, image->channels == 1 ? TJPF_GRAY : TJPF_RGB, flags) ? damaged(name, jpeg, error) : 0;
}

int image_jpeg(struct image *image, const char *name, const uint8_t *bytes, size_t n, struct error *error)
{
    tjhandle jpeg = tjInitDecompress();
    if (!jpeg)
        return fail(error, EXIT_MEMORY, "out of memory for a JPEG decoder");
    int result = decode(image, name, jpeg, bytes, n, error);
    tjDestroy(jpeg);
    return result;
}
