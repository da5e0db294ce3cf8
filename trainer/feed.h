/* How batches come to a worker's device: from the loader's slots into two places there, used in turn, by an order of their own, so that a batch is on its way while the one before
 * is computed on. A slot goes back to the loader when its batch has been copied. The worker's thread. */
#ifndef TRAINER_FEED_H
#define TRAINER_FEED_H

#include "data/loader.h"
#include "nets/backend.h"

struct feed {
    const struct backend *backend;
    struct device *device, *feeder; /* borrowed: what computes, what copies */
    int batch;
    size_t sample_bytes;
    struct feed_place {
        uint8_t *pixels;            /* [B][C][H][W]; on the device, like the next two */
        int32_t *labels;
        int64_t *index;
        int n;
        int64_t epoch;
        struct event *in, *used;    /* it is there; the step that computes on it is over */
        struct loader *loader;
        const struct batch *lent;   /* the loader's slot that it comes from, until it is there; or NULL */
    } places[2];
};

int feed_open(struct feed *feed, const struct backend *backend, struct device *device, struct device *feeder, int batch, struct shape shape, struct error *error);
void feed_close(struct feed *feed); /* when nothing runs any more; accepts a zeroed one */

/* Takes batch `number` for a step of that turn: what is enqueued on the device from now on finds it there. -1 as loader_take. */
int feed_take(struct feed *feed, struct loader *loader, int64_t number, int turn, struct error *error);

/* That step has been enqueued: behind it the place may be used again. */
void feed_used(struct feed *feed, int turn);

/* The vectors of a step, and what else comes with a batch. */
void feed_step(const struct feed *feed, int turn, struct step *step);

/* Gives back what is lent; waits for it. */
int feed_settle(struct feed *feed, struct error *error);

#endif
