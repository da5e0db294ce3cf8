/* What the augmentation of one image draws: a pure function of (seed, epoch, sample number), the same for the loader's threads and for a GPU's kernels. */
#ifndef BASE_AUGMENTATION_H
#define BASE_AUGMENTATION_H

#include "base/philox.h"

#include <stdbool.h>

struct augmentation {
    int down, right;     /* -crop_pad..crop_pad: where the crop begins in the image */
    bool flipped;
    int row, column;     /* the cut-out square's centre: it covers row - side/2 and on, `side` of them, columns likewise */
};

/* What an image may be, and what may happen to it. */
struct augmentation_space { int height, width, crop_pad; bool flip; };

/* 0..n-1; no number is likelier than another by more than n in 2^32. */
DRAW_INLINE int augmentation_below(uint32_t word, int n) { return (int)((uint64_t)word * (uint64_t)n >> 32); }

/* Each of crop, flip and square has words of its own, so that switching one on changes nothing about the others. */
DRAW_INLINE struct augmentation augmentation_draw(const struct augmentation_space *space, uint64_t seed, int64_t epoch, int64_t sample)
{
    const uint64_t purpose = 0x6175676d;
    const struct philox_block block = philox(philox_key(seed, purpose), (uint64_t)epoch, (uint64_t)sample);
    const int places = 2 * space->crop_pad + 1, place = augmentation_below(block.word[0], places * places);
    struct augmentation drawn;
    drawn.down = place / places - space->crop_pad;
    drawn.right = place % places - space->crop_pad;
    drawn.flipped = space->flip && block.word[1] >> 31;
    drawn.row = augmentation_below(block.word[2], space->height);
    drawn.column = augmentation_below(block.word[3], space->width);
    return drawn;
}

#endif
