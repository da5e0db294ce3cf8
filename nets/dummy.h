/* A training step on made-up images: initial weights, random pixels, labels in turn. For timing, and nothing else. */
#ifndef NETS_DUMMY_H
#define NETS_DUMMY_H

#include "nets/backend.h"

struct dummy { struct step step; void *memory; /* what the step points to */ };

int dummy_init(struct dummy *dummy, const struct graph *graph, int batch, struct error *error);
void dummy_release(struct dummy *dummy); /* accepts a zeroed one */

#endif
