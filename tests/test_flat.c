/* The flat passes against one plain loop each, bit for bit: every combination of flags, every length around a block, any split;
 * the chosen ones, and those of every instruction set that the processor runs. */
#include "cpu/cpu.h"
#include "cpu/isa.h"
#include "tests/segment.h"
#include "tests/tests.h"

#include "base/door.h"

#include <math.h>
#include <string.h>

enum { LONGEST = 2600, MOST_K = 9 };

/* Vectors of a pass; all filled anew from one key, so that two passes start alike. */
struct vectors { float *w, *v, *w_out, *p, *backup, *mean_square, *average, *gradients[MOST_K]; };

/* A stretch of values that are drawn once: drawing all anew for every pass would take most of the time. */
static float *any_vector(struct draws *draws)
{
    enum { DRAWN = 1 << 16 };
    static float drawn[DRAWN];
    static bool done;
    struct draws all = { 17, 0 };
    for (int i = 0; i < DRAWN && !done; i++)
        drawn[i] = ldexpf((float)draw(&all) / 0x1p31f - 1, draw_below(&all, 12) - 8);
    done = true;
    float *values = floats_new(LONGEST);
    memcpy(values, drawn + draw_below(draws, DRAWN - LONGEST), LONGEST * sizeof *values);
    return values;
}

static void vectors_fill(struct vectors *vectors, uint64_t key)
{
    struct draws draws = { key, 0 };
    float **each[] = { &vectors->w, &vectors->v, &vectors->w_out, &vectors->p, &vectors->backup, &vectors->mean_square, &vectors->average };
    for (size_t i = 0; i < sizeof each / sizeof *each; i++)
        *each[i] = any_vector(&draws);
    for (int k = 0; k < MOST_K; k++)
        vectors->gradients[k] = any_vector(&draws);
    for (int i = 0; i < LONGEST; i++)
        vectors->mean_square[i] = fabsf(vectors->mean_square[i]);
}

static void vectors_free(struct vectors *vectors)
{
    float *each[] = { vectors->w, vectors->v, vectors->w_out, vectors->p, vectors->backup, vectors->mean_square, vectors->average };
    for (size_t i = 0; i < sizeof each / sizeof *each; i++)
        door_free(each[i]);
    for (int k = 0; k < MOST_K; k++)
        door_free(vectors->gradients[k]);
}

/* backend.h in words of one element. */
static float plain_compensated(const struct compensation *c, float g, size_t i)
{
    if (!c->backup)
        return g;
    float lambda = c->lambda;
    if (c->mean_square) {
        c->mean_square[i] = c->decay * c->mean_square[i] + (1 - c->decay) * (g * g);
        lambda = lambda / sqrtf(c->mean_square[i] + 1e-7f);
    }
    return c->lambda == 0 ? g : g + lambda * g * g * (c->now[i] - c->backup[i]);
}

static void plain_sgd(const struct sgd_pass *pass)
{
    for (size_t i = 0; i < pass->n; i++) {
        float g = pass->gradients[0][i];
        for (int k = 1; k < pass->k; k++)
            g += pass->gradients[k][i];
        g = plain_compensated(&pass->compensation, pass->inv_k * g, i);
        float d = pass->scale * (g + pass->weight_decay * pass->w[i]);
        float v = pass->momentum * pass->v[i] + d;
        float w = pass->w[i] - pass->rate * (pass->nesterov ? d + pass->momentum * v : v);
        pass->v[i] = v;
        pass->w_out[i] = w;
        if (pass->average)
            pass->average[i] = pass->average[i] + pass->average_rate * (w - pass->average[i]);
        if (pass->p && pass->nesterov)
            pass->p[i] = w - pass->next_rate * (pass->momentum * pass->momentum * v + (1 + pass->momentum) * pass->weight_decay * w);
        else if (pass->p)
            pass->p[i] = w - pass->next_rate * (pass->momentum * v + pass->weight_decay * w);
    }
}

static void plain_local(const struct local_pass *pass)
{
    for (size_t i = 0; i < pass->n; i++) {
        float g = plain_compensated(&pass->compensation, pass->factor * pass->g[i], i);
        float m = (pass->m ? pass->momentum * pass->m[i] : 0) - pass->rate * (g + pass->weight_decay * pass->w[i]);
        if (pass->m)
            pass->m[i] = m;
        pass->l[i] = pass->w[i] + m;
    }
}

/* What a flag word says: two bits of compensation, then one bit each. */
enum { NESTEROV = 4, WITH_P = 8, IN_PLACE = 16, LAMBDA_ZERO = 32, AVERAGED = 64, FLAGS = 128 };

static struct compensation compensation_of(const struct vectors *x, unsigned flags)
{
    struct compensation c = { .now = x->w, .lambda = flags & LAMBDA_ZERO ? 0 : 0.7f, .decay = 0.95f };
    c.backup = flags & 3 ? x->backup : NULL;
    c.mean_square = (flags & 3) == 2 ? x->mean_square : NULL;
    return c;
}

static struct sgd_pass sgd_of(const struct vectors *x, unsigned flags, int k, size_t n)
{
    return (struct sgd_pass){
        .n = n, .k = k, .gradients = (const float *const *)x->gradients, .inv_k = 1 / (float)k, .scale = 0.3f, .rate = 0.1f, .momentum = 0.9f, .weight_decay = 5e-4f, .next_rate = 0.07f,
        .nesterov = flags & NESTEROV, .compensation = compensation_of(x, flags), .w = x->w, .v = x->v, .w_out = flags & IN_PLACE ? x->w : x->w_out, .p = flags & WITH_P ? x->p : NULL,
        .average = flags & AVERAGED ? x->average : NULL, .average_rate = 0.013f,
    };
}

static struct local_pass local_of(const struct vectors *x, unsigned flags, size_t n)
{
    return (struct local_pass){ .n = n, .w = x->w, .g = x->gradients[0], .m = flags & NESTEROV ? x->v : NULL, .l = x->w_out, .factor = flags & WITH_P ? 0.37f : 1, .rate = 0.1f,
                                .momentum = flags & NESTEROV ? 0.9f : 0, .weight_decay = 5e-4f, .compensation = compensation_of(x, flags) };
}

static void same(const struct vectors *a, const struct vectors *b)
{
    assert_memory_equal(a->w, b->w, LONGEST * sizeof(float));
    assert_memory_equal(a->v, b->v, LONGEST * sizeof(float));
    assert_memory_equal(a->w_out, b->w_out, LONGEST * sizeof(float));
    assert_memory_equal(a->p, b->p, LONGEST * sizeof(float));
    assert_memory_equal(a->mean_square, b->mean_square, LONGEST * sizeof(float));
    assert_memory_equal(a->average, b->average, LONGEST * sizeof(float));
}

/* Whose flat passes are tested: those of one instruction set, or at ISAS the ones that all backends call. */
static const struct backend *passes_or_skip(void **state)
{
    const enum isa isa = *(const enum isa *)*state;
    if (isa == ISAS)
        return &backend_reference;
    if (!isa_runs(isa))
        test_skip("this processor does not run it");
    return isa_lanes(isa);
}

static const size_t lengths[] = { 1, 15, 64, 1023, 1024, 1025, LONGEST };
enum { N_LENGTHS = sizeof lengths / sizeof *lengths };

static void test_sgd(void **state)
{
    const struct backend *flat = passes_or_skip(state);
    for (unsigned flags = 0; flags < FLAGS; flags++)
        for (int k = 1; k <= MOST_K && (flags & 3) < 3; k++) {
            struct vectors plain, fast;
            size_t n = lengths[(flags + (unsigned)k) % N_LENGTHS];
            vectors_fill(&plain, flags);
            vectors_fill(&fast, flags);
            struct sgd_pass a = sgd_of(&plain, flags, k, n), b = sgd_of(&fast, flags, k, n);
            plain_sgd(&a);
            flat->sgd(NULL, &b);
            same(&plain, &fast);
            vectors_free(&plain);
            vectors_free(&fast);
        }
}

static void test_local(void **state)
{
    const struct backend *flat = passes_or_skip(state);
    for (unsigned flags = 0; flags < FLAGS; flags++)
        for (int length = 0; length < N_LENGTHS && (flags & 3) < 3; length++) {
            struct vectors plain, fast;
            vectors_fill(&plain, flags);
            vectors_fill(&fast, flags);
            struct local_pass a = local_of(&plain, flags, lengths[length]), b = local_of(&fast, flags, lengths[length]);
            plain_local(&a);
            flat->local(NULL, &b);
            same(&plain, &fast);
            vectors_free(&plain);
            vectors_free(&fast);
        }
}

static struct sgd_pass stretch(const struct sgd_pass *pass, const float **gradients, size_t begin, size_t end)
{
    struct sgd_pass part = *pass;
    for (int k = 0; k < pass->k; k++)
        gradients[k] = pass->gradients[k] + begin;
    part.n = end - begin;
    part.gradients = gradients;
    part.w += begin, part.v += begin, part.w_out += begin, part.p += begin, part.average += begin;
    part.compensation.now += begin, part.compensation.backup += begin, part.compensation.mean_square += begin;
    return part;
}

/* Cut anywhere, also where no vector begins. */
static void test_split(void **state)
{
    const struct backend *flat = passes_or_skip(state);
    struct draws draws = { 5, 0 };
    for (int round = 0; round < 50; round++) {
        struct vectors whole, split;
        const float *gradients[MOST_K];
        vectors_fill(&whole, 99);
        vectors_fill(&split, 99);
        struct sgd_pass a = sgd_of(&whole, 2 | NESTEROV | WITH_P | AVERAGED, 5, LONGEST), b = sgd_of(&split, 2 | NESTEROV | WITH_P | AVERAGED, 5, LONGEST);
        flat->sgd(NULL, &a);
        for (size_t at = 0, end; at < LONGEST; at = end) {
            end = at + 1 + (size_t)draw_below(&draws, 700);
            end = end < LONGEST ? end : LONGEST;
            struct sgd_pass part = stretch(&b, gradients, at, end);
            flat->sgd(NULL, &part);
        }
        same(&whole, &split);
        vectors_free(&whole);
        vectors_free(&split);
    }
}

/* P alone is what the update writes; L = P - c g. */
static void test_forecast_and_predict(void **state)
{
    const struct backend *flat = passes_or_skip(state);
    for (unsigned nesterov = 0; nesterov <= NESTEROV; nesterov += NESTEROV) {
        struct vectors x;
        vectors_fill(&x, 3);
        struct sgd_pass pass = sgd_of(&x, nesterov | WITH_P | IN_PLACE, 2, LONGEST);
        flat->sgd(NULL, &pass);
        float *p = floats_new(LONGEST);
        pass.p = p;
        flat->forecast(NULL, &pass);
        assert_memory_equal(p, x.p, LONGEST * sizeof *p);
        flat->predict(NULL, x.w_out, p, x.gradients[0], 0.19f, LONGEST);
        for (int i = 0; i < LONGEST; i++) {
            float expected = p[i] - 0.19f * x.gradients[0][i];
            assert_memory_equal(&x.w_out[i], &expected, sizeof expected);
        }
        door_free(p);
        vectors_free(&x);
    }
}

/* The order of the sum is told in backend.h; here it is in words of one element. */
static void test_square_sum(void **state)
{
    const struct backend *flat = passes_or_skip(state);
    for (int i = 0; i < N_LENGTHS * MOST_K; i++) {
        struct vectors x;
        int k = i % MOST_K + 1;
        size_t n = lengths[i / MOST_K];
        float inv_k = 1 / (float)k;
        double blocks = 0;
        vectors_fill(&x, (uint64_t)i);
        for (size_t begin = 0; begin < n; begin += 1024) {
            double parts[16] = { 0 }, block = 0;
            for (size_t at = begin; at < n && at < begin + 1024; at++) {
                float g = x.gradients[0][at];
                for (int j = 1; j < k; j++)
                    g += x.gradients[j][at];
                g *= inv_k;
                parts[at % 16] += (double)g * g;
            }
            for (int part = 0; part < 16; part++)
                block += parts[part];
            blocks += block;
        }
        double found = flat->square_sum(NULL, (const float *const *)x.gradients, k, inv_k, n);
        assert_memory_equal(&found, &blocks, sizeof found);
        vectors_free(&x);
    }
}

/* Alone; in an update it is tested with the rest. */
static void test_average(void **state)
{
    const struct backend *flat = passes_or_skip(state);
    for (int i = 0; i < N_LENGTHS; i++) {
        struct vectors plain, fast;
        vectors_fill(&plain, (uint64_t)i);
        vectors_fill(&fast, (uint64_t)i);
        for (size_t at = 0; at < lengths[i]; at++)
            plain.average[at] += 0.013f * (plain.w[at] - plain.average[at]);
        flat->average(NULL, fast.average, fast.w, 0.013f, lengths[i]);
        same(&plain, &fast);
        vectors_free(&plain);
        vectors_free(&fast);
    }
}

int test_flat(void)
{
    static const enum isa base = ISA_BASE, v3 = ISA_V3, v4 = ISA_V4, chosen = ISAS;
#define OF(isa, name) { #name ", " #isa, test_##name, NULL, NULL, (void *)&(isa) }
#define ALL_OF(isa) \
    OF(isa, sgd), OF(isa, local), OF(isa, split), OF(isa, forecast_and_predict), OF(isa, square_sum), OF(isa, average)
    const struct CMUnitTest tests[] = { ALL_OF(chosen), ALL_OF(base), ALL_OF(v3), ALL_OF(v4) };
    return cmocka_run_group_tests_name("flat", tests, NULL, NULL);
}
