/* Runs on GPUs: every algorithm ends on the bits of its sequential simulation wherever its workers and its server lie; captures change nothing; what the CPU computes is near.
 * The simulation takes its gradients from one GPU and does the rest on the host, without contractions. */
#include "base/door.h"
#include "tests/gpu.h"
#include "tests/session.h"
#include "tests/simulation.h"
#include "tests/tests.h"
#include "trainer/choose.h"
#include "trainer/server.h"
#include "trainer/worker.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LIST(...) (const char *const[]){ __VA_ARGS__, NULL }

static int gpus(void)
{
    struct error why = { 0 };
    return choose_gpus(&why);
}

/* Where workers and server lie; `least`: GPUs that it takes. */
struct place { const char *devices, *server; int least; };

static const struct place places[] = {
    { "workers.devices=cuda:0", "workers.server=auto", 1 },
    { "workers.devices=cuda:0,0", "workers.server=auto", 1 },
    { "workers.devices=cuda:0,0,0,0", "workers.server=host", 1 },
    { "workers.devices=cuda:0,1,0", "workers.server=sharded", 2 },
    { "workers.devices=cuda:1,0", "workers.server=cuda:0", 2 },
};
enum { SPREADS = sizeof places / sizeof *places };

static const char *const algorithms[][3] = {
    { "train.algorithm=ssgd", "optimizer.nesterov=true" },
    { "train.algorithm=asgd", "workers.stuck_after_s=60" },
    { "train.algorithm=dcasgd", "async.adaptive=true" },
    { "train.algorithm=odsgd", "odsgd.local_update=predict" },
    { "train.algorithm=odsgd", "odsgd.local_update=adc", "odsgd.momentum_local=0.5" },
    { "train.algorithm=odsgd", "odsgd.local_update=dc", "odsgd.dc_backup=local" },
};
enum { ALGORITHMS = sizeof algorithms / sizeof *algorithms };

static struct settings settings_of(int algorithm, const struct place *place, const char *more)
{
    const char *const common[] = { "workers.count=0", "train.iterations=12", "odsgd.warmup=2", "train.evaluate_every=0.1", place->devices, place->server, more, NULL };
    const char *const own[] = { algorithms[algorithm][0], algorithms[algorithm][1], algorithms[algorithm][2], NULL };
    return settings_join(common, own);
}

static void assert_simulated(const char *const *settings)
{
    struct session session;
    session_open(&session, settings);
    session_train(&session);
    float *expected = simulate(&session, session.run->iterations, NULL);
    const float *got = session_weights(&session);
    for (size_t i = 0; i < session_floats(&session); i++)
        if (memcmp(&got[i], &expected[i], sizeof *got) != 0)
            fail_msg("%s, %s, %s, %s: weight %zu is %.9g, want %.9g", settings[4], settings[5], settings[7], settings[8], i, (double)got[i], (double)expected[i]);
    free(expected);
    session_close(&session);
}

static void placed_anywhere(void **state)
{
    (void)state;
    if (!gpu_or_skip())
        return;
    for (int i = 0; i < SPREADS; i++)
        for (int algorithm = 0; algorithm < ALGORITHMS && places[i].least <= gpus(); algorithm++)
            assert_simulated(settings_of(algorithm, &places[i], "optimizer.clip_norm=0").rows);
}

static void clipped(void **state)
{
    (void)state;
    if (!gpu_or_skip())
        return;
    for (int algorithm = 0; algorithm < ALGORITHMS; algorithm++)
        assert_simulated(settings_of(algorithm, &places[algorithm % 3], "optimizer.clip_norm=0.3").rows);
}

/* Running statistics, weights that are evaluated and their average pass through the host's memory. */
static void tracked_anywhere(void **state)
{
    (void)state;
    if (!gpu_or_skip())
        return;
    const char *const common[] = { "workers.count=0", "net.name=normed", "train.iterations=12", "train.evaluate_every=0.1", "train.ema_decay=0.5", "odsgd.warmup=2", NULL };
    for (int algorithm = 0; algorithm < ALGORITHMS; algorithm++) {
        struct session first, second;
        const struct settings settings = settings_join(common, LIST(algorithms[algorithm][0], algorithms[algorithm][1]));
        session_open(&first, settings_join(settings.rows, LIST("workers.devices=cuda:0,0", "workers.server=auto")).rows);
        session_open(&second, settings_join(settings.rows, LIST("workers.devices=cuda:0,0", "workers.server=host")).rows);
        session_train(&first);
        session_train(&second);
        assert_memory_equal(session_weights(&first), session_weights(&second), session_floats(&first) * sizeof(float));
        assert_true(first.evaluations > 2 && first.evaluations == second.evaluations);
        if (first.run->algorithm->synchronous) /* otherwise the statistics are the workers' newest, whatever these are */
            assert_memory_equal(first.test_loss, second.test_loss, sizeof first.test_loss);
        session_close(&first);
        session_close(&second);
    }
}

/* The order that judges a whole gradient is the one that has waited for all of it. */
static void judged_behind_all_buckets(void **state)
{
    (void)state;
    if (!gpu_or_skip())
        return;
    static const char *const judging[] = { "train.precision=fp16", "optimizer.clip_norm=1" };
    for (int i = 0; i < 2; i++) {
        struct session session;
        session_open(&session, LIST("workers.devices=cuda:0", "workers.count=0", "train.iterations=2", judging[i]));
        session_train(&session);
        const struct shards *shards = &session.run->server->shards;
        assert_true(session.run->buckets.n > 4);
        for (int bucket = 0; bucket < session.run->buckets.n; bucket++)
            assert_ptr_equal(shards_order(shards, bucket), shards->rows[0].device);
        session_close(&session);
    }
}

static void captures_change_nothing(void **state)
{
    (void)state;
    if (!gpu_or_skip())
        return;
    static const char *const nets[][2] = { { "net.name=normed", "train.precision=fp32" }, { "net.name=lenet", "train.precision=bf16" } };
    for (int i = 0; i < 2; i++) {
        const char *const common[] = {
            "train.algorithm=odsgd", "odsgd.warmup=1", "workers.devices=cuda:0,0", "workers.count=0", "train.iterations=7", "data.batch=3", nets[i][0], nets[i][1], NULL,
        };
        assert_true(session_same(settings_join(common, LIST("cuda.graphs=true")).rows, settings_join(common, LIST("cuda.graphs=false")).rows));
        assert_true(session_same(settings_join(common, LIST("train.bucket_kib=4")).rows, settings_join(common, LIST("train.bucket_kib=4096")).rows));
    }
}

/* In relation to the largest. */
static double distance(const float *a, const float *b, size_t n)
{
    double most = 0, largest = 0;
    for (size_t i = 0; i < n; i++) {
        const double off = fabs((double)a[i] - (double)b[i]), size = fabs((double)a[i]);
        most = off > most || isnan(off) ? off : most; /* not fmax: gcc 12 for ARM breaks on it, and it drops NaNs */
        largest = size > largest ? size : largest;
    }
    return most / largest;
}

static void assert_near(const char *const *first, const char *const *second, double tolerance)
{
    size_t n = session_length(first);
    float *a = session_trained(first), *b = session_trained(second);
    double off = distance(a, b, n);
    if (!(off <= tolerance))
        fail_msg("%s and %s: weights differ by %g of the largest, want at most %g", first[0], second[0], off, tolerance);
    free(a);
    free(b);
}

static void the_cpu_is_near(void **state)
{
    (void)state;
    if (!gpu_or_skip())
        return;
    const char *const common[] = { "train.algorithm=odsgd", "odsgd.warmup=1", "net.name=lenet", "train.iterations=6", "data.batch=4", NULL };
    const struct settings cpu = settings_join(LIST("workers.devices=cpu", "workers.count=2"), common);
    assert_near(settings_join(LIST("workers.devices=cuda:0,0", "workers.count=0"), common).rows, cpu.rows, 1e-4);
    assert_near(settings_join(LIST("workers.devices=cuda:0,0", "workers.count=0", "train.precision=bf16"), common).rows, cpu.rows, 2e-2);
    assert_near(settings_join(LIST("workers.devices=cuda:0,0", "workers.count=0", "train.precision=fp16", "train.loss_scale=1024"), common).rows, cpu.rows, 1e-2);
}

static void all_reduce_is_near(void **state)
{
    (void)state;
    if (!gpu_or_skip())
        return;
    if (gpus() < 2 || !gpu_backend->collective)
        test_skip("NCCL and two GPUs are needed");
    const char *const common[] = { "train.algorithm=ssgd", "workers.count=0", "train.iterations=12", "train.evaluate_every=0.1", NULL };
    assert_near(settings_join(LIST("workers.devices=cuda:0,1", "workers.reduce=nccl"), common).rows, settings_join(LIST("workers.devices=cuda:0,1"), common).rows, 1e-6);
}

static void refusals(void **state)
{
    (void)state;
    if (!gpu_or_skip())
        return;
    static const struct { const char *set[3], *want; } cases[] = {
        { { "workers.devices=cuda:0,99" }, "GPUs 0 to" },
        { { "workers.devices=cuda:0,0", "workers.reduce=nccl", "train.algorithm=ssgd" }, "x: [workers] reduce: nccl wants a GPU for each worker, and workers 0 and 1 share cuda:0" },
        { { "workers.devices=cuda:0,0", "workers.count=3" }, "x: [workers] count: want 0 or 2, as many as devices lists, got 3; with 0 the list decides" },
        { { "workers.devices=cuda:0,", }, "x: [workers] devices: want auto, cpu or a list as cuda:0,0,1, got \"cuda:0,\"" },
        { { "workers.devices=cuda:0", "workers.server=cuda:77" }, "x: [workers] server: want cuda:0 to cuda:" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct config config;
        struct devices devices;
        struct error error = { 0 };
        config_defaults(&config);
        for (int j = 0; j < 3 && cases[i].set[j]; j++)
            assert_int_equal(config_set(&config, cases[i].set[j], &error), 0);
        assert_int_equal(devices_read(&devices, &config, gpus(), "x", &error), -1);
        if (!strstr(error.text, cases[i].want))
            fail_msg("got: %s; want: %s", error.text, cases[i].want);
        assert_int_equal(error.code, EXIT_USAGE);
    }
}

int test_cuda_training(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(placed_anywhere), cmocka_unit_test(clipped), cmocka_unit_test(tracked_anywhere), cmocka_unit_test(judged_behind_all_buckets),
        cmocka_unit_test(captures_change_nothing), cmocka_unit_test(the_cpu_is_near),
        cmocka_unit_test(all_reduce_is_near), cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests_name("cuda_training", tests, NULL, NULL);
}
