/* Places in one block of memory for things that live at different times. Inside nets/ only. */
#ifndef NETS_ARENA_H
#define NETS_ARENA_H

#include <stddef.h>

/* Wanted: `bytes` from time `first` to time `last`, both included. Two spans share bytes only when they share no moment. */
struct span {
    size_t bytes;
    int first, last;
    size_t offset; /* found: a multiple of 64 */
    void **bind;   /* the caller's: where the address goes */
};

/* Finds the offsets; returns the bytes of the whole block. The list of pointers is reordered. */
size_t arena_place(struct span **spans, int n);

#endif
