/* Dynamic loss scaling (docs/algorithms.md, section 9): by what a loss's gradient is multiplied so that gradients in fp16 neither vanish nor overflow. S_v is the scale after v
 * gradients have been judged; iteration t is computed with the one that came with the weights that it starts from. Synchronous runs have one for all workers, asynchronous ones
 * one for each. Scales are powers of two. Pure. */
#ifndef TRAINER_LOSS_SCALE_H
#define TRAINER_LOSS_SCALE_H

#include "base/error.h"
#include "trainer/config.h"

#include <math.h>

enum { LOSS_SCALE_MOST = 24, LOSS_SCALE_PATIENCE = 20 };

struct loss_scale {
    int64_t exponent; /* S_v = 2^exponent */
    int64_t before;   /* of S_{v-1} */
    int64_t earlier;  /* of S_{v-2} */
    int64_t judged;   /* v */
    int64_t clean;    /* gradients in a row that were finite, since the scale changed */
    int64_t stuck;    /* in a row that were not, though their scale could not be lowered */
    int64_t skipped;  /* that were not, in all */
    int64_t overflowed; /* bit 0: the newest was not; bit 1: nor the one before it */
};
enum { LOSS_SCALE_NUMBERS = sizeof(struct loss_scale) / sizeof(int64_t) };

/* Gradients are judged, and losses scaled, in fp16 alone. */
bool loss_scale_is_used(const struct config *config);

/* Before the first iteration; 2^0 where none is used. */
struct loss_scale loss_scale_start(const struct config *config);

/* After the gradient of iteration `judged`, which was computed with 2^used. EXIT_NOT_FINITE when it has overflowed too often with the lowest scale. */
int loss_scale_judge(struct loss_scale *scale, const struct config *config, int64_t used, bool finite, struct error *error);

static inline float loss_scale_value(int64_t exponent) { return ldexpf(1, (int)exponent); }

#endif
