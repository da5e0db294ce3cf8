/* A stretch of a plan run by itself: some operations in a row, given the tensors that flow in and the gradient that flows back.
 * So one operation of any backend can be compared with the reference on the same bits, whatever stands around it in the graph. */
#ifndef TESTS_SEGMENT_H
#define TESTS_SEGMENT_H

#include "nets/plan.h"

/* Random numbers for tests, in order. */
struct draws { uint64_t key, at; };

uint32_t draw(struct draws *draws);
int draw_below(struct draws *draws, int n);              /* 0..n-1 */
int draw_one(struct draws *draws, const int *of, int n); /* one of a list */

/* Eighths from -2 to 2: sums of their products are exact in single precision, so that maxima and signs never hang on rounding. */
void draw_eighths(struct draws *draws, float *values, size_t n);

/* All different, 1/16 apart, around 0 but never 0: what a finite difference of 1/64 or less cannot push over a corner. */
void draw_spaced(struct draws *draws, float *values, size_t n);

enum { SEGMENT_BATCH = 64 };

struct segment {
    const struct backend *backend;
    struct device *device;
    struct plan *plan;
    const struct graph *graph;
    int batch, first, last; /* operations */
    float *weights, *gradient, *stats; /* in the host's memory: what a forward pass starts from, what a pass has left */
    int32_t labels[SEGMENT_BATCH];
    int64_t index[SEGMENT_BATCH];
    void *memory, *pixels;  /* the device's copies of all these and of pixels; NULL where it reads the host's */
    struct step step;
};

/* The operations that compute nodes `from`..`to`, on a device of their own, a GPU's the first. Asserts success. */
void segment_open(struct segment *segment, const struct plan_request *request, int from, int to);
void segment_close(struct segment *segment);

size_t segment_input_floats(const struct segment *segment, int k);
size_t segment_output_floats(const struct segment *segment); /* 0 for the loss */
void segment_params(const struct segment *segment, size_t *begin, size_t *end);

/* Copied; at most SEGMENT_BATCH of them. */
void segment_set_samples(struct segment *segment, const int32_t *labels, const int64_t *index);
/* For the input operation: [B][C][H][W], which must stay as they are as long as the segment. Once. */
void segment_set_pixels(struct segment *segment, const uint8_t *pixels);

/* The inputs are the tensors that come from in front of it, in the order in which its operations read them. [B][C][H][W]. */
void segment_set_input(struct segment *segment, int k, const float *x);
void segment_forward(struct segment *segment, float *y);         /* y: NULL for the loss */
void segment_backward(struct segment *segment, const float *dy); /* the same */
bool segment_input_gradient(struct segment *segment, int k, float *dx); /* false: it has none */

/* Largest difference over largest expected value; 1e30 where anything is no number. */
double difference(const float *expected, const float *got, size_t n);

float *floats_new(size_t n); /* zeroed; free with door_free */

#endif
