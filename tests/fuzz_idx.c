/* libFuzzer's entry to the IDX and gzip readers: whatever the bytes, they are refused with a message or every promised item is there.
 * And no file is still whole without its last byte. Seeds and past failures are in tests/inputs/idx. */
#include "base/error.h"
#include "data/idx.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void check_whole(const struct idx *idx)
{
    ASSERT(idx->n >= 1 && idx->item_bytes == (size_t)idx->sides[0] * idx->sides[1]);
    unsigned sum = 0;
    for (size_t i = 0; i < (size_t)idx->n * idx->item_bytes; i++)
        sum += idx->items[i]; /* the address sanitizer looks on */
    volatile unsigned used = sum;
    (void)used;
}

static int parses(const uint8_t *bytes, size_t n, int dimensions)
{
    struct error error = { 0 };
    struct idx idx;
    if (idx_parse(&idx, "input", bytes, n, dimensions, &error)) {
        ASSERT((error.code == EXIT_INPUT || error.code == EXIT_MEMORY) && error.text[0] && !idx.items);
        return 0;
    }
    ASSERT(error.code == 0);
    check_whole(&idx);
    idx_release(&idx);
    return 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    for (int dimensions = 1; dimensions <= IDX_DIMENSIONS; dimensions += 2)
        if (parses(bytes, n, dimensions))
            ASSERT(!parses(bytes, n - 1, dimensions));
    return 0;
}
