/* See loss_scale.h. */
#include "trainer/loss_scale.h"

#include "nets/backend.h"

bool loss_scale_is_used(const struct config *config) { return config->train.precision == PRECISION_FP16; }

struct loss_scale loss_scale_start(const struct config *config)
{
    const int exponent = loss_scale_is_used(config) ? ilogb(config->train.loss_scale) : 0;
    return (struct loss_scale){ .exponent = exponent, .before = exponent, .earlier = exponent };
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

int loss_scale_judge(struct loss_scale *scale, const struct config *config, int64_t used, bool finite, struct error *error)
{
    const int64_t interval = config->train.loss_scale_every, now = scale->exponent;
    const bool moves = interval > 0;
    scale->judged++;
    scale->earlier = scale->before;
    scale->before = now;
    scale->overflowed = (scale->overflowed << 1 & 2) | !finite;
    if (finite) {
        scale->stuck = 0;
        if (++scale->clean < interval || !moves)
            return 0;
        scale->exponent = least(now + 1, LOSS_SCALE_MOST);
        scale->clean = 0;
        return 0;
    }
    scale->skipped++;
    scale->clean = 0;
    if (moves && used > 0) {
        scale->exponent = least(now, used - 1); /* one that was lowered since the iteration began is not lowered twice */
        return 0;
    }
    if (++scale->stuck < LOSS_SCALE_PATIENCE)
        return 0;
    return fail(error, EXIT_NOT_FINITE, "the gradients of %d iterations in a row overflow in fp16 with a loss scale of %g: it cannot be lowered; a smaller learning rate or train.precision = bf16 may help",
                LOSS_SCALE_PATIENCE, (double)loss_scale_value(used));
}
