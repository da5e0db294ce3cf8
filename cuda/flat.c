/* The passes over flat vectors: what is the same for every element is made here, the rest is flat.cu's. */
#include "cuda/flat.h"

#include "base/sizes.h"
#include "cuda/device.h"

#include <string.h>

enum { THREADS = 256, BLOCKS_AT_ONCE = 8 }; /* threads of a block as in flat.cu; so many of them fill a multiprocessor */

static size_t misplaced(const void *pointer) { return (uintptr_t)pointer / sizeof(float) % 4; }

/* NULL pointers are those of vectors that the pass has not. */
static struct flat_span span_of(const struct device *device, size_t n, const void *const *pointers, int count)
{
    struct flat_span span = { .n = n };
    bool alike = true;
    size_t first = misplaced(pointers[0]);
    for (int i = 1; i < count; i++)
        alike = alike && (!pointers[i] || misplaced(pointers[i]) == first);
    span.head = alike ? size_min((4 - first) % 4, n) : n;
    span.fours = (n - span.head) / 4;
    size_t wanted = (size_max(span.fours, n - 4 * span.fours) + THREADS - 1) / THREADS;
    span.blocks = (unsigned)size_min(wanted, (size_t)device->multiprocessors * BLOCKS_AT_ONCE);
    return span;
}

static struct flat_sum sum_of(const float *const *gradients, int k, float inv_k)
{
    struct flat_sum sum = { .k = k, .inv_k = inv_k };
    ASSERT(k >= 1 && k <= FLAT_GRADIENTS);
    memcpy(sum.gradients, gradients, (size_t)k * sizeof *gradients);
    return sum;
}

static struct flat_compensation compensation_of(const struct compensation *compensation) { return (struct flat_compensation){ *compensation, 1 - compensation->decay }; }

static struct flat_ahead ahead_of(const struct sgd_pass *pass)
{
    if (pass->nesterov)
        return (struct flat_ahead){ pass->next_rate, pass->momentum * pass->momentum, (1 + pass->momentum) * pass->weight_decay };
    return (struct flat_ahead){ pass->next_rate, pass->momentum, pass->weight_decay };
}

void cuda_sgd(struct device *device, const struct sgd_pass *pass)
{
    struct flat_sgd flat = { *pass, sum_of(pass->gradients, pass->k, pass->inv_k), compensation_of(&pass->compensation), ahead_of(pass) };
    const void *pointers[FLAT_GRADIENTS + 7] = { pass->w, pass->v, pass->w_out, pass->p, pass->average, pass->compensation.backup, pass->compensation.mean_square };
    memcpy(pointers + 7, flat.sum.gradients, (size_t)pass->k * sizeof *pointers);
    struct flat_span span = span_of(device, pass->n, pointers, 7 + pass->k);
    cuda_use(device);
    cuda_fail(device, cuda_launch_sgd(device->stream, &span, &flat), "updating weights");
}

void cuda_forecast(struct device *device, const struct sgd_pass *pass)
{
    struct flat_sgd flat = { .pass = *pass, .ahead = ahead_of(pass) };
    struct flat_span span = span_of(device, pass->n, (const void *const[]){ pass->w, pass->v, pass->p }, 3);
    cuda_use(device);
    cuda_fail(device, cuda_launch_forecast(device->stream, &span, &flat), "predicting weights");
}

void cuda_local(struct device *device, const struct local_pass *pass)
{
    struct flat_local flat = { *pass, compensation_of(&pass->compensation) };
    const void *const pointers[] = { pass->w, pass->g, pass->l, pass->m, pass->compensation.backup, pass->compensation.mean_square };
    struct flat_span span = span_of(device, pass->n, pointers, 6);
    cuda_use(device);
    cuda_fail(device, cuda_launch_local(device->stream, &span, &flat), "updating local weights");
}

void cuda_predict(struct device *device, float *l, const float *p, const float *g, float c, size_t n)
{
    struct flat_predict flat = { l, p, g, c };
    struct flat_span span = span_of(device, n, (const void *const[]){ l, p, g }, 3);
    cuda_use(device);
    cuda_fail(device, cuda_launch_predict(device->stream, &span, &flat), "updating local weights");
}

void cuda_average(struct device *device, float *average, const float *values, float rate, size_t n)
{
    struct flat_average flat = { average, values, rate };
    struct flat_span span = span_of(device, n, (const void *const[]){ average, values }, 2);
    cuda_use(device);
    cuda_fail(device, cuda_launch_average(device->stream, &span, &flat), "averaging weights");
}

/* The GPU writes the sums of so many blocks into the host's memory, and this thread adds them up. */
static cudaError_t square_sums(struct device *device, const struct flat_sum *sum, size_t n)
{
    cudaError_t status = cuda_launch_square_sums(device->stream, sum, n, device->block_sums);
    return status == cudaSuccess ? cuda_drain(device) : status;
}

/* 0 after a failure, which stays with the device. */
double cuda_square_sum(struct device *device, const float *const *gradients, int k, float inv_k, size_t n)
{
    const size_t at_once = (size_t)CUDA_BLOCK_SUMS * FLAT_BLOCK;
    struct flat_sum sum = sum_of(gradients, k, inv_k);
    double total = 0;
    cuda_use(device);
    for (size_t at = 0; at < n; at += at_once) {
        size_t length = size_min(at_once, n - at);
        cudaError_t status = square_sums(device, &sum, length);
        if (status != cudaSuccess) {
            cuda_fail(device, status, "summing squares");
            return 0;
        }
        for (size_t block = 0; block * FLAT_BLOCK < length; block++)
            total += device->block_sums[block];
        for (int i = 0; i < k; i++)
            sum.gradients[i] += at_once;
    }
    return total;
}
