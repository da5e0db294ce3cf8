/* Training loss and accuracy, added up by iteration and by epoch. The server's thread.
 *
 * Workers' sums are added in worker order whatever order they came in, so synchronous runs give the same figures every time. */
#ifndef TRAINER_TALLY_H
#define TRAINER_TALLY_H

#include "base/ring.h"
#include "trainer/config.h"

/* A worker can be two iterations ahead of another, and tells of a step when the next one is under way: four are more than enough, and a power of two. */
enum { TALLY_DEPTH = 4 };

struct sums { double loss; int64_t correct, samples; };

struct tally {
    int k;
    bool synchronous;
    struct sums *steps;  /* synchronous: [TALLY_DEPTH][K], by iteration: of those that can be under way */
    int *came;           /* [TALLY_DEPTH] */
    struct sums epoch;   /* since the last tally_take_epoch */
    struct sums recent;  /* since the last tally_take_recent */
    struct sums last;    /* of the newest whole iteration */
    int64_t iterations;  /* whole ones, so far */
};

int tally_init(struct tally *tally, int k, bool synchronous, struct error *error);
void tally_release(struct tally *tally);

/* Takes a MESSAGE_STEP. True when it completed an iteration (asynchronous: every K of them). */
bool tally_add(struct tally *tally, const struct message *step);

struct sums tally_take_epoch(struct tally *tally);
struct sums tally_take_recent(struct tally *tally);

#endif
