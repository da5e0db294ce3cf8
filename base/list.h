/* A list that grows by doubling, for building things before the threads start. */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stddef.h>

struct error;

/* Makes sure that row n exists and is zero: room for more than n rows of `row_bytes`. Rows may move. Free with door_free. EXIT_MEMORY. */
int list_grow(void **rows, int n, int *room, size_t row_bytes, const char *what, struct error *error);

#endif
