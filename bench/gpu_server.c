/* The server's update (backend.h, struct sgd_pass) on the first GPU, against copies within its memory.
 *
 *     gpu_server [millions of floats]       (64: 256 MiB a vector)
 *
 * Bytes are counted as the arithmetic needs them, 4 for each float read or written: 4 (K + 4) an element for K gradients, W and V in, W and V out, and 4 more where P is
 * written; a copy counts 8. Each pass is compared bit by bit with the CPU's on part of the vectors, then timed in turn with the copy. */
#include "base/door.h"
#include "base/error.h"
#include "base/sizes.h"
#include "cpu/cpu.h"
#include "trainer/choose.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 7, REPEATS = 10, GRADIENTS = 8, VECTORS = GRADIENTS + 3, CASES = 8 };
enum { W = GRADIENTS, V, P }; /* places among the vectors, after the gradients */

static const size_t compared = 100003;

struct vectors { struct device *device; size_t n; float *at[VECTORS], *host[VECTORS]; };

struct timed { int k; bool with_p; double bytes, speeds[ROUNDS], ratios[ROUNDS]; };

/* Any floats that are not all alike, the same for the same (vector, i). */
static float value(int vector, size_t i)
{
    uint32_t x = ((uint32_t)i + 1) * 2654435761u ^ (uint32_t)(vector + 1) * 40503u;
    return (float)(x >> 8) * 0x1p-24f - 0.5f;
}

static int allocate(struct vectors *x, size_t n, struct error *error)
{
    x->n = n;
    if (gpu_backend->device_open(&x->device, 0, error))
        return -1;
    for (int i = 0; i < VECTORS; i++) {
        void *block, *host;
        if (gpu_backend->allocate(x->device, &block, n * sizeof(float), "a vector", error))
            return -1;
        x->at[i] = block;
        if (door_allocate(&host, compared * sizeof(float), "a vector", error))
            return -1;
        x->host[i] = host;
    }
    return 0;
}

static void release(struct vectors *x)
{
    for (int i = 0; i < VECTORS; i++) {
        door_free(x->host[i]);
        if (x->device)
            gpu_backend->release(x->device, x->at[i]);
    }
    if (x->device)
        gpu_backend->device_close(x->device);
}

static int fill(const struct vectors *x, struct error *error)
{
    for (int vector = 0; vector < VECTORS; vector++) {
        for (size_t i = 0; i < compared; i++)
            x->host[vector][i] = value(vector, i);
        gpu_backend->upload(x->device, x->at[vector], x->host[vector], compared * sizeof(float));
    }
    return gpu_backend->sync(x->device, error);
}

static void update(const struct backend *backend, struct device *device, float *const *at, size_t n, int k, bool with_p)
{
    backend->sgd(device, &(struct sgd_pass){
        .n = n, .k = k, .gradients = (const float *const *)at, .inv_k = 1.0f / (float)k, .scale = 1, .rate = 0.02f, .momentum = 0.9f, .weight_decay = 0.0005f, .next_rate = 0.02f,
        .w = at[W], .v = at[V], .w_out = at[W], .p = with_p ? at[P] : NULL,
    });
}

static int check(const struct vectors *x, const struct timed *c, struct error *error)
{
    void *block;
    int result = fill(x, error) || door_allocate(&block, compared * sizeof(float), "a vector", error) ? -1 : 0;
    if (result)
        return -1;
    update(gpu_backend, x->device, x->at, compared, c->k, c->with_p);
    update(&backend_reference, NULL, x->host, compared, c->k, c->with_p);
    for (int vector = W; vector <= P && result == 0; vector++) {
        gpu_backend->copy(x->device, block, x->at[vector], compared);
        if (gpu_backend->sync(x->device, error))
            result = -1;
        else if (memcmp(block, x->host[vector], compared * sizeof(float)))
            result = fail(error, EXIT_INVARIANT, "%d gradients: the GPU's bits are not the CPU's", c->k);
    }
    door_free(block);
    return result;
}

/* GB/s of REPEATS copies, or of that many updates. */
static int time_passes(const struct vectors *x, const struct timed *c, double *speed, struct error *error)
{
    if (gpu_backend->sync(x->device, error))
        return -1;
    int64_t begin = door_now_ns();
    for (int i = 0; i < REPEATS; i++)
        if (c)
            update(gpu_backend, x->device, x->at, x->n, c->k, c->with_p);
        else
            gpu_backend->copy(x->device, x->at[P], x->at[0], x->n);
    if (gpu_backend->sync(x->device, error))
        return -1;
    *speed = (c ? c->bytes : 8) * (double)x->n * REPEATS / (double)(door_now_ns() - begin);
    return 0;
}

static int ascending(const void *a, const void *b) { return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b); }

static double median(double *of, size_t n)
{
    qsort(of, n, sizeof *of, ascending);
    return of[n / 2];
}

static int compare(const struct vectors *x, struct error *error)
{
    struct timed cases[CASES];
    double copies[CASES * ROUNDS];
    for (int i = 0; i < CASES; i++) {
        cases[i] = (struct timed){ .k = 1 << i / 2, .with_p = i % 2 };
        cases[i].bytes = 4 * (cases[i].k + 4 + cases[i].with_p);
        if (check(x, &cases[i], error))
            return -1;
    }
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < CASES; i++) {
            double *copy = &copies[round * CASES + i];
            if (time_passes(x, NULL, copy, error) || time_passes(x, &cases[i], &cases[i].speeds[round], error))
                return -1;
            cases[i].ratios[round] = cases[i].speeds[round] / *copy;
        }
    printf("vectors of %.0f MiB, medians of %d\n%-24s %14s %8s %8s\n", (double)x->n * 4 / (1 << 20), ROUNDS, "", "bytes/element", "GB/s", "ratio");
    printf("%-24s %14d %8.0f %8.2f\n", "copy", 8, median(copies, CASES * ROUNDS), 1.0);
    for (int i = 0; i < CASES; i++)
        printf("%d gradient%-14s %14.0f %8.0f %8.2f\n", cases[i].k, cases[i].with_p ? (cases[i].k > 1 ? "s, W and P" : ", W and P") : cases[i].k > 1 ? "s, W" : ", W", cases[i].bytes,
               median(cases[i].speeds, ROUNDS), median(cases[i].ratios, ROUNDS));
    puts("goal: a ratio of at least 0.80");
    return 0;
}

int main(int argc, char **argv)
{
    int64_t millions = 64;
    struct vectors vectors = { 0 };
    struct error error = { 0 }, why = { 0 };
    if (argc > 2 || (argc == 2 && (!parse_int64(argv[1], &millions) || millions < 1 || millions > 1024)))
        fail(&error, EXIT_USAGE, "usage: gpu_server [millions of floats, 1..1024]");
    else if (choose_gpus(&why) == 0)
        fail(&error, EXIT_DEVICE, "%s", why.text);
    else if (allocate(&vectors, (size_t)millions << 20, &error) == 0)
        compare(&vectors, &error);
    if (error.code)
        fprintf(stderr, "%s\n", error.text);
    release(&vectors);
    return error.code;
}
