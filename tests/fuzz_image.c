/* libFuzzer's entry to the image readers: whatever the bytes, they are refused with a message, or every pixel is there and can be brought to a network's size. Seeds
 * and past failures are in tests/inputs/image. */
#include "base/error.h"
#include "data/image.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

enum { SIDE = 5 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct error error = { 0 };
    struct image image;
    uint8_t planes[3 * SIDE * SIDE];
    if (image_parse(&image, "input", bytes, n, 255, &error)) {
        ASSERT((error.code == EXIT_INPUT || error.code == EXIT_MEMORY) && error.text[0] && !image.pixels);
        return 0;
    }
    ASSERT(error.code == 0 && (image.channels == 1 || image.channels == 3) && image.height >= 1 && image.width >= 1);
    ASSERT((int64_t)image.height * image.width <= IMAGE_MOST_PIXELS);
    volatile uint8_t last = image.pixels[(size_t)image.height * (size_t)image.width * (size_t)image.channels - 1];
    (void)last;
    image_fit(&image, 1, SIDE, SIDE, planes);
    image_fit(&image, 3, SIDE - 1, SIDE, planes);
    image_release(&image);
    return 0;
}
