/* From a decoded picture to a network's planes: see image_fit. */
#include "data/image.h"

#include <math.h>

/* One output pixel along one axis, in pixels of the picture: where its middle is, how far the filter reaches, and the pixels that it meets. */
struct window { double middle, reach; int first, end; };

static struct window window_at(int i, double offset, double step, int side)
{
    struct window window = { .middle = offset + (i + 0.5) * step, .reach = step > 1 ? step : 1 };
    window.first = (int)fmax(0, floor(window.middle - window.reach));
    window.end = (int)fmin(side, ceil(window.middle + window.reach));
    return window;
}

static double weight(const struct window *window, int pixel) { return fmax(0, 1 - fabs(pixel + 0.5 - window->middle) / window->reach); }

/* The mean under the filter, to sums[channels]. */
static void sample(const struct image *image, const struct window *rows, const struct window *columns, double sums[3])
{
    double total = 0;
    sums[0] = sums[1] = sums[2] = 0;
    for (int y = rows->first; y < rows->end; y++) {
        const uint8_t *row = image->pixels + (size_t)y * (size_t)image->width * (size_t)image->channels;
        double down = weight(rows, y);
        for (int x = columns->first; x < columns->end; x++) {
            double w = down * weight(columns, x);
            total += w;
            for (int c = 0; c < image->channels; c++)
                sums[c] += w * row[x * image->channels + c];
        }
    }
    for (int c = 0; c < image->channels; c++)
        sums[c] /= total;
}

static double channel_of(const struct image *image, const double sums[3], int channels, int c)
{
    if (image->channels == 1)
        return sums[0];
    return channels == 1 ? 0.299 * sums[0] + 0.587 * sums[1] + 0.114 * sums[2] : sums[c];
}

void image_fit(const struct image *image, int channels, int height, int width, uint8_t *planes)
{
    double step = fmin((double)image->height / height, (double)image->width / width); /* pixels of the picture to a pixel of the network */
    double top = (image->height - step * height) / 2, left = (image->width - step * width) / 2;
    for (int y = 0; y < height; y++) {
        struct window rows = window_at(y, top, step, image->height);
        for (int x = 0; x < width; x++) {
            struct window columns = window_at(x, left, step, image->width);
            double sums[3];
            sample(image, &rows, &columns, sums);
            for (int c = 0; c < channels; c++)
                planes[((size_t)c * (size_t)height + (size_t)y) * (size_t)width + (size_t)x] = (uint8_t)lround(channel_of(image, sums, channels, c));
        }
    }
}
