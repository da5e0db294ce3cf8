/* The server's update (backend.h, struct sgd_pass) on vectors far beyond the last cache, against the triad of STREAM on one thread.
 *
 *     server [millions of floats]           (32: 128 MiB a vector)
 *
 * Bytes are counted as the arithmetic needs them, 4 for each float read or written: 4 (K + 4) an element for K gradients, W and V in, W and V out,
 * and 4 more where P is written; 12 for the triad a = b + s c. Neither counts what a store to a line that was not read fetches first: the triad and P
 * have that, W and V in place do not, so the last column counts it too (16 for the triad, 8 for P). Each pass is compared bit by bit with a plain
 * loop, then timed in turn with the triad. */
#include "base/door.h"
#include "base/error.h"
#include "base/sizes.h"
#include "cpu/cpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 7, GRADIENTS = 8, CASES = 8 };

static const float rate = 0.02f, momentum = 0.9f, weight_decay = 0.0005f;

struct vectors {
    size_t n;
    float *gradients[GRADIENTS], *w, *v, *p;
};

struct timed { int k; bool with_p; double bytes, speeds[ROUNDS], ratios[ROUNDS]; };

/* Any floats that are not all alike, the same for the same (vector, i). */
static float value(int vector, size_t i)
{
    uint32_t x = ((uint32_t)i + 1) * 2654435761u ^ (uint32_t)(vector + 1) * 40503u;
    return (float)(x >> 8) * 0x1p-24f - 0.5f;
}

static int allocate(struct vectors *x, size_t n, struct error *error)
{
    float **all[] = { &x->w, &x->v, &x->p };
    x->n = n;
    for (int i = 0; i < GRADIENTS + 3; i++) {
        void *block;
        if (door_allocate(&block, n * sizeof(float), "a vector", error))
            return -1;
        *(i < GRADIENTS ? &x->gradients[i] : all[i - GRADIENTS]) = block;
    }
    return 0;
}

static void release(struct vectors *x)
{
    for (int i = 0; i < GRADIENTS; i++)
        door_free(x->gradients[i]);
    door_free(x->w);
    door_free(x->v);
    door_free(x->p);
}

static void fill(const struct vectors *x)
{
    for (size_t i = 0; i < x->n; i++) {
        for (int k = 0; k < GRADIENTS; k++)
            x->gradients[k][i] = value(k, i);
        x->w[i] = value(GRADIENTS, i);
        x->v[i] = value(GRADIENTS + 1, i);
    }
}

static void update(const struct vectors *x, int k, bool with_p)
{
    const struct sgd_pass pass = {
        .n = x->n, .k = k, .gradients = (const float *const *)x->gradients, .inv_k = 1.0f / (float)k, .scale = 1, .rate = rate, .momentum = momentum,
        .weight_decay = weight_decay, .next_rate = rate, .w = x->w, .v = x->v, .w_out = x->w, .p = with_p ? x->p : NULL,
    };
    backend_lanes.sgd(NULL, &pass);
}

/* After one update of what `fill` wrote. */
static int check(const struct vectors *x, int k, bool with_p, struct error *error)
{
    for (size_t i = 0; i < x->n; i++) {
        float sum = value(0, i), w = value(GRADIENTS, i), v = value(GRADIENTS + 1, i);
        for (int j = 1; j < k; j++)
            sum += value(j, i);
        v = momentum * v + (sum * (1.0f / (float)k) + weight_decay * w);
        w -= rate * v;
        float p = with_p ? w - rate * (momentum * v + weight_decay * w) : x->p[i];
        if (memcmp(&w, &x->w[i], sizeof w) || memcmp(&v, &x->v[i], sizeof v) || memcmp(&p, &x->p[i], sizeof p))
            return fail(error, EXIT_INVARIANT, "%d gradients: element %zu is (%g, %g, %g), want (%g, %g, %g)", k, i, (double)x->w[i], (double)x->v[i], (double)x->p[i],
                        (double)w, (double)v, (double)p);
    }
    return 0;
}

static void triad(float *restrict a, const float *restrict b, const float *restrict c, float s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        a[i] = b[i] + s * c[i];
}

/* Bytes a nanosecond. Gradients stay as they are. */
static double time_triad(const struct vectors *x)
{
    int64_t begin = door_now_ns();
    triad(x->p, x->gradients[0], x->gradients[1], 3, x->n);
    return 12 * (double)x->n / (double)(door_now_ns() - begin);
}

/* The triad before and the triad after it stand for the memory's speed at the time. */
static void time_case(const struct vectors *x, struct timed *c, int round, double *triads)
{
    double before = time_triad(x);
    int64_t begin = door_now_ns();
    update(x, c->k, c->with_p);
    double speed = c->bytes * (double)x->n / (double)(door_now_ns() - begin);
    *triads = (before + time_triad(x)) / 2;
    c->speeds[round] = speed;
    c->ratios[round] = speed / *triads;
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
    double triads[CASES * ROUNDS];
    for (int i = 0; i < CASES; i++) {
        struct timed *c = &cases[i];
        *c = (struct timed){ .k = 1 << i / 2, .with_p = i % 2 };
        c->bytes = 4 * (c->k + 4 + c->with_p);
        fill(x);
        update(x, c->k, c->with_p);
        if (check(x, c->k, c->with_p, error))
            return -1;
    }
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < CASES; i++)
            time_case(x, &cases[i], round, &triads[round * CASES + i]);
    printf("vectors of %.0f MiB, one thread, median of %d\n%-24s %14s %8s %8s %16s\n", (double)x->n * 4 / (1 << 20), ROUNDS, "", "bytes/element", "GB/s", "ratio",
           "fetches counted");
    printf("%-24s %14d %8.1f %8.2f %16.2f\n", "STREAM triad", 12, median(triads, CASES * ROUNDS), 1.0, 1.0);
    for (int i = 0; i < CASES; i++) {
        char name[64];
        snprintf(name, sizeof name, "%d gradient%s%s", cases[i].k, cases[i].k == 1 ? "" : "s", cases[i].with_p ? ", W and P" : ", W");
        double ratio = median(cases[i].ratios, ROUNDS), fetched = cases[i].with_p ? 4 : 0;
        printf("%-24s %14.0f %8.1f %8.2f %16.2f\n", name, cases[i].bytes, median(cases[i].speeds, ROUNDS), ratio,
               ratio * (cases[i].bytes + fetched) / cases[i].bytes * 12 / 16);
    }
    puts("goal: a ratio of at least 0.70");
    return 0;
}

int main(int argc, char **argv)
{
    int64_t millions = 32;
    if (argc > 2 || (argc == 2 && (!parse_int64(argv[1], &millions) || millions < 1 || millions > 1024))) {
        fprintf(stderr, "usage: server [millions of floats, 1..1024]\n");
        return EXIT_USAGE;
    }
    struct vectors vectors = { 0 };
    struct error error = { 0 };
    if (allocate(&vectors, (size_t)millions << 20, &error) || compare(&vectors, &error))
        fprintf(stderr, "%s\n", error.text);
    release(&vectors);
    return error.code;
}
