/* See tally.h. */
#include "trainer/tally.h"

#include "base/door.h"
#include "trainer/message.h"

#include <string.h>

int tally_init(struct tally *tally, int k, bool synchronous, struct error *error)
{
    void *steps, *came;
    memset(tally, 0, sizeof *tally);
    if (door_allocate(&steps, TALLY_DEPTH * (size_t)k * sizeof *tally->steps, "the tally", error))
        return -1;
    tally->steps = steps;
    if (door_allocate(&came, TALLY_DEPTH * sizeof *tally->came, "the tally", error))
        return -1;
    tally->came = came;
    tally->k = k;
    tally->synchronous = synchronous;
    return 0;
}

void tally_release(struct tally *tally)
{
    door_free(tally->steps);
    door_free(tally->came);
    memset(tally, 0, sizeof *tally);
}

static void sums_add(struct sums *to, const struct sums *from)
{
    to->loss += from->loss;
    to->correct += from->correct;
    to->samples += from->samples;
}

bool tally_add(struct tally *tally, const struct message *step)
{
    int side = tally->synchronous ? (int)(step->iteration % TALLY_DEPTH) : 0;
    int row = tally->synchronous ? step->worker : tally->came[0];
    struct sums *steps = tally->steps + side * tally->k;
    steps[row] = (struct sums){ bits_double(step->value), step->spare, step->version };
    if (++tally->came[side] < tally->k)
        return false;
    tally->came[side] = 0;
    tally->iterations++;
    tally->last = (struct sums){ 0 };
    for (int k = 0; k < tally->k; k++)
        sums_add(&tally->last, &steps[k]);
    sums_add(&tally->epoch, &tally->last);
    sums_add(&tally->recent, &tally->last);
    return true;
}

struct sums tally_take_epoch(struct tally *tally)
{
    struct sums sums = tally->epoch;
    tally->epoch = (struct sums){ 0 };
    return sums;
}

struct sums tally_take_recent(struct tally *tally)
{
    struct sums sums = tally->recent;
    tally->recent = (struct sums){ 0 };
    return sums;
}
