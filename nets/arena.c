/* See arena.h. Greedy: the largest first, each at the lowest offset where nothing that lives at the same time is in its way. */
#include "nets/arena.h"

#include "base/sizes.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64 };

static int compare(const void *a, const void *b)
{
    const struct span *x = *(struct span *const *)a, *y = *(struct span *const *)b;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? 1 : -1;
    if (x->first != y->first)
        return x->first < y->first ? -1 : 1;
    return (x->last > y->last) - (x->last < y->last);
}

/* The lowest gap among n placed spans, which stand in order of offset. */
static size_t lowest_gap(struct span *const *placed, int n, const struct span *span)
{
    size_t offset = 0;
    for (int i = 0; i < n; i++) {
        const struct span *other = placed[i];
        if (other->last < span->first || span->last < other->first)
            continue;
        if (offset + span->bytes <= other->offset)
            break;
        offset = size_max(offset, round_up(other->offset + other->bytes, ALIGNMENT));
    }
    return offset;
}

size_t arena_place(struct span **spans, int n)
{
    size_t total = 0;
    qsort(spans, (size_t)n, sizeof *spans, compare);
    for (int i = 0; i < n; i++) {
        struct span *span = spans[i];
        span->offset = lowest_gap(spans, i, span);
        total = size_max(total, round_up(span->offset + span->bytes, ALIGNMENT));
        int at = i;
        while (at > 0 && spans[at - 1]->offset > span->offset)
            at--;
        memmove(&spans[at + 1], &spans[at], (size_t)(i - at) * sizeof *spans);
        spans[at] = span;
    }
    return total;
}
