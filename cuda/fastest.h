/* Which of several ways to do one thing takes the shortest time. Inside cuda/ only, before anything is captured. */
#ifndef CUDA_FASTEST_H
#define CUDA_FASTEST_H

struct device;
struct error;

/* Runs each of n candidates, at least one, on the device's stream a few times, in turn, so that a disturbance meets all of them; the rest of the stream should be idle. `run` enqueues
 * candidate i once; one that fails is left out. Waits for the device. EXIT_DEVICE when the device or every candidate fails. */
int cuda_fastest(struct device *device, int n, int (*run)(void *context, int i, struct error *error), void *context, int *fastest, struct error *error);

#endif
