/* See list.h. */
#include "base/list.h"

#include "base/door.h"

#include <string.h>

enum { FIRST_ROOM = 32 };

int list_grow(void **rows, int n, int *room, size_t row_bytes, const char *what, struct error *error)
{
    if (n >= *room) {
        int wider = *room ? *room * 2 : FIRST_ROOM;
        void *moved;
        if (door_allocate(&moved, (size_t)wider * row_bytes, what, error))
            return -1;
        if (n)
            memcpy(moved, *rows, (size_t)n * row_bytes);
        door_free(*rows);
        *rows = moved;
        *room = wider;
    }
    memset((char *)*rows + (size_t)n * row_bytes, 0, row_bytes);
    return 0;
}
