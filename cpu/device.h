/* What all CPU backends share: the device, its memory, the flat passes (flat.c, device.c). Inside cpu/ only. */
#ifndef CPU_DEVICE_H
#define CPU_DEVICE_H

#include "nets/backend.h"

/* One worker's processor. The backend that opened it keeps its own engine behind `engine`. */
struct device {
    int processor; /* or -1 */
    void *engine;  /* oneDNN's engine and stream; NULL for the others */
};

int cpu_device_open(struct device **device, int index, struct error *error);
void cpu_device_close(struct device *device);
int cpu_allocate(struct device *device, void **block, size_t bytes, const char *what, struct error *error);
void cpu_release(struct device *device, void *block);

void cpu_copy(struct device *device, float *to, const float *from, size_t n);
void cpu_sgd(struct device *device, const struct sgd_pass *pass);
void cpu_forecast(struct device *device, const struct sgd_pass *pass);
void cpu_local(struct device *device, const struct local_pass *pass);
void cpu_predict(struct device *device, float *l, const float *p, const float *g, float c, size_t n);
void cpu_average(struct device *device, float *average, const float *values, float rate, size_t n);
double cpu_square_sum(struct device *device, const float *const *gradients, int k, float inv_k, size_t n);

#endif
