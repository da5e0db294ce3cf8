/* A row of events, one for each bucket. */
#ifndef TRAINER_EVENTS_H
#define TRAINER_EVENTS_H

#include "nets/backend.h"

/* *events is set, and to be closed, also after a failure. EXIT_MEMORY, EXIT_DEVICE. */
int events_open(struct event ***events, const struct backend *backend, struct device *device, int n, struct error *error);
void events_close(struct event **events, const struct backend *backend, int n); /* accepts NULL */

#endif
