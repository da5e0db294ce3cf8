/* See confusion.h. */
#include "trainer/confusion.h"

#include "base/door.h"
#include "base/sizes.h"

#include <string.h>

int confusion_open(struct confusion *confusion, int classes, const char *const *names, struct error *error)
{
    size_t cells;
    void *counts;
    *confusion = (struct confusion){ classes, names, NULL };
    if (!size_product((size_t)classes, (size_t)classes * sizeof(int64_t), &cells))
        return fail(error, EXIT_MEMORY, "the confusion matrix of %d classes is too large", classes);
    if (door_allocate(&counts, cells, "the confusion matrix", error))
        return -1;
    confusion->counts = counts;
    return 0;
}

void confusion_release(struct confusion *confusion)
{
    door_free(confusion->counts);
    memset(confusion, 0, sizeof *confusion);
}

int64_t confusion_row_sum(const struct confusion *confusion, int label)
{
    const int64_t *row = confusion_row(confusion, label);
    int64_t sum = 0;
    for (int c = 0; c < confusion->classes; c++)
        sum += row[c];
    return sum;
}

int confusion_rival(const struct confusion *confusion, int label)
{
    const int64_t *row = confusion_row(confusion, label);
    int most = -1;
    for (int c = 0; c < confusion->classes; c++)
        if (c != label && row[c] > (most < 0 ? 0 : row[most]))
            most = c;
    return most;
}
