/* What all CPU backends share: the device, its memory, order, the flat passes (device.c, order.c, flat.c,
 * forward.c). Inside cpu/ only. */
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

/* order.c */
int cpu_device_second(struct device **device, struct device *of, int urgency, struct error *error);
int cpu_allocate_host(void **block, size_t bytes, const char *what, struct error *error);
void cpu_release_host(void *block);
bool cpu_same(const struct device *a, const struct device *b);
void cpu_upload(struct device *device, void *to, const void *from, size_t bytes);
int cpu_event_open(struct event **event, struct device *device, struct error *error);
void cpu_event_close(struct event *event);
void cpu_record(struct device *device, struct event *event); /* waiting is the same */
bool cpu_done(struct event *event);
int cpu_finish(struct event *event, struct error *error);
int cpu_sync(struct device *device, struct error *error); /* checking is the same */
void cpu_copy(struct device *device, float *to, const float *from, size_t n);
void cpu_begin(struct device *device, const struct step *step);

/* The part of the table that all CPU backends have in common. */
#define CPU_MEMORY_AND_ORDER \
    .host_memory = true, .device_second = cpu_device_second, .allocate = cpu_allocate, .release = cpu_release, \
    .allocate_host = cpu_allocate_host, .release_host = cpu_release_host, .same = cpu_same, .reaches = cpu_same, .upload = cpu_upload, \
    .event_open = cpu_event_open, .event_close = cpu_event_close, .record = cpu_record, .wait = cpu_record, .done = cpu_done, .finish = cpu_finish, \
    .sync = cpu_sync, .check = cpu_sync, .begin = cpu_begin

/* flat.c, once for each instruction set; forward.c calls the chosen one's. Their bits do not depend on it. */
void cpu_sgd(struct device *device, const struct sgd_pass *pass);
void cpu_forecast(struct device *device, const struct sgd_pass *pass);
void cpu_local(struct device *device, const struct local_pass *pass);
void cpu_predict(struct device *device, float *l, const float *p, const float *g, float c, size_t n);
void cpu_average(struct device *device, float *average, const float *values, float rate, size_t n);
double cpu_square_sum(struct device *device, const float *const *gradients, int k, float inv_k, size_t n);

#endif
