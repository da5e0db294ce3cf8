/* A training step on made-up images: initial weights, random pixels, labels in turn. For timing, and nothing else. */
#ifndef NETS_DUMMY_H
#define NETS_DUMMY_H

#include "nets/backend.h"

struct dummy { struct step step; const struct backend *backend; struct device *device; void *memory; /* the device's: what the step points to */ };

int dummy_init(struct dummy *dummy, const struct backend *backend, struct device *device, const struct graph *graph, int batch, struct error *error);
void dummy_release(struct dummy *dummy); /* before the device is closed; accepts a zeroed one */

#endif
