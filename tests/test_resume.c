/* Going on from a snapshot: whatever the algorithm, whenever it was taken, the run ends on the same bytes as one that was not interrupted. */
#include "tests/session.h"
#include "tests/tests.h"
#include "trainer/server.h"
#include "trainer/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIST(...) (const char *const[]){ __VA_ARGS__, NULL }

enum { ITERATIONS = 30, MOST_KEPT = 16 };

/* A copy of a snapshot's vectors and numbers, to be put into that of another run of the same shape. */
struct copy { struct snapshot numbers; float *weights; void **data; };

struct kept { int n, handed; struct copy copies[MOST_KEPT]; };

static size_t element(const struct snapshot_tensor *tensor) { return tensor->type == SNAPSHOT_F32 ? sizeof(float) : sizeof(int64_t); }

static void *duplicate(const void *from, size_t bytes)
{
    void *to = malloc(bytes + 1);
    assert_non_null(to);
    return memcpy(to, from, bytes);
}

static void keep(struct session *session, const struct snapshot *snapshot)
{
    struct kept *kept = session->kept;
    kept->handed++;
    if (kept->n == MOST_KEPT)
        return;
    struct copy *copy = &kept->copies[kept->n++];
    memcpy(&copy->numbers, snapshot, sizeof *snapshot);
    copy->weights = duplicate(snapshot->weights, session_floats(session) * sizeof(float));
    copy->data = calloc((size_t)snapshot->n_tensors, sizeof *copy->data);
    for (int i = 0; i < snapshot->n_tensors; i++)
        copy->data[i] = duplicate(snapshot->tensors[i].data, snapshot->tensors[i].count * element(&snapshot->tensors[i]));
}

static void put(struct session *session, struct snapshot *snapshot)
{
    const struct copy *copy = session->kept;
    struct snapshot own = *snapshot;
    assert_int_equal(own.n_tensors, copy->numbers.n_tensors);
    memcpy(snapshot->weights, copy->weights, session_floats(session) * sizeof(float));
    for (int i = 0; i < own.n_tensors; i++) {
        assert_string_equal(own.tensors[i].name, copy->numbers.tensors[i].name);
        memcpy(own.tensors[i].data, copy->data[i], own.tensors[i].count * element(&own.tensors[i]));
    }
    snapshot->iteration = copy->numbers.iteration;
    snapshot->samples = copy->numbers.samples;
    snapshot->evaluate_at = copy->numbers.evaluate_at;
    snapshot->next_ticket = copy->numbers.next_ticket;
    snapshot->came = copy->numbers.came;
    snapshot->n_record = copy->numbers.n_record;
    snapshot->reported = copy->numbers.reported;
    snapshot->epoch = copy->numbers.epoch;
    snapshot->last = copy->numbers.last;
    snapshot->training_ns = copy->numbers.training_ns;
}

static void drop(struct kept *kept, int n_tensors)
{
    for (int i = 0; i < kept->n; i++) {
        for (int j = 0; j < n_tensors; j++)
            free(kept->copies[i].data[j]);
        free(kept->copies[i].data);
        free(kept->copies[i].weights);
    }
    kept->n = 0;
}

/* Runs on from one of them, and must end as `expected` did. */
static void assert_goes_on(const char *const *settings, struct copy *copy, struct session *expected, const char *what)
{
    struct session session;
    session_open(&session, settings);
    session.kept = copy;
    session.prepare_resume = put;
    session_train(&session);
    size_t n = session_floats(&session);
    const float *got = session_weights(&session), *want = session_weights(expected);
    for (size_t i = 0; i < n; i++)
        if (memcmp(got + i, want + i, sizeof(float)) != 0)
            fail_msg("%s, resumed at %lld: weight %zu is %.9g, want %.9g", what, (long long)copy->numbers.iteration, i, (double)got[i], (double)want[i]);
    for (int k = 0; k < session.run->k; k++) {
        assert_memory_equal(session.run->workers[k].stats, expected->run->workers[k].stats, session.run->n_stats * sizeof(float));
        for (int state = 0; state < WORKER_STATES; state++)
            if (session.run->workers[k].states[state])
                assert_memory_equal(session.run->workers[k].states[state], expected->run->workers[k].states[state], n * sizeof(float));
    }
    for (int t = (int)copy->numbers.iteration + 1; t <= ITERATIONS; t++)
        if (session.run->algorithm->synchronous && session.test_loss[t] != expected->test_loss[t])
            fail_msg("%s, resumed at %lld: test loss after %d is %.17g, want %.17g", what, (long long)copy->numbers.iteration, t, session.test_loss[t], expected->test_loss[t]);
    session_close(&session);
}

static void assert_resumes(const char *const *settings, const char *every)
{
    struct settings all = settings_join(LIST("train.iterations=30", "workers.jitter=0.5", "net.name=normed",
                                             "train.evaluate_every=0.25", every), settings);
    struct session whole;
    struct kept kept = { 0 };
    session_open(&whole, all.rows);
    whole.kept = &kept;
    whole.keep_snapshot = keep;
    session_train(&whole);
    assert_true(kept.n > 0); /* as many as main could take: at least the last one */
    assert_int_equal(kept.handed, whole.run->server->taking.number);
    for (int i = 0; i < kept.n; i++)
        assert_goes_on(all.rows, &kept.copies[i], &whole, settings[0]);
    drop(&kept, whole.run->snapshot->n_tensors);
    session_close(&whole);
}

static void assert_resumes_all(const char *const *settings)
{
    assert_resumes(settings, "checkpoint.every=7 iterations");
    assert_resumes(settings, "checkpoint.every=1 iterations");
}

/* One that is announced when its iteration is already counted would never be complete, and none would come after it. */
static void none_is_stuck(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        struct session session;
        struct kept kept = { .n = MOST_KEPT };
        session_open(&session, LIST("train.algorithm=ssgd", "train.iterations=60", "checkpoint.every=1 iterations"));
        session.kept = &kept;
        session.keep_snapshot = keep;
        session_train(&session);
        assert_int_equal(kept.handed, session.run->server->taking.number);
        session_close(&session);
    }
}

/* The memory is there, for what it goes on from; that is no reason to use it. */
static void none_is_taken_where_none_is_wanted(void **state)
{
    (void)state;
    struct session whole, session;
    struct kept kept = { 0 };
    session_open(&whole, LIST("train.iterations=20", "net.name=normed", "checkpoint.every=9 iterations"));
    whole.kept = &kept;
    whole.keep_snapshot = keep;
    session_train(&whole);
    session_open(&session, LIST("train.iterations=30", "net.name=normed", "checkpoint.every=off"));
    session.kept = kept.copies;
    session.prepare_resume = put;
    session_train(&session);
    assert_int_equal(session.run->server->taking.number, 0);
    assert_int_equal(session.run->server->tally.iterations, 30);
    session_close(&session);
    drop(&kept, whole.run->snapshot->n_tensors);
    session_close(&whole);
}

#define RESUMES(name, ...) static void name(void **state) { (void)state, assert_resumes_all(LIST(__VA_ARGS__)); }
RESUMES(ssgd, "train.algorithm=ssgd", "workers.count=3")
RESUMES(ssgd_clipped_averaged, "train.algorithm=ssgd", "optimizer.clip_norm=0.1", "train.ema_decay=0.9", "optimizer.nesterov=true")
RESUMES(odsgd_none, "train.algorithm=odsgd", "odsgd.local_update=none", "odsgd.warmup=5", "workers.count=2")
RESUMES(odsgd_sgd, "train.algorithm=odsgd", "odsgd.local_update=sgd", "odsgd.momentum_local=0.5", "odsgd.warmup=5", "workers.count=3")
RESUMES(odsgd_dc, "train.algorithm=odsgd", "odsgd.local_update=dc", "odsgd.warmup=0")
RESUMES(odsgd_dc_local, "train.algorithm=odsgd", "odsgd.local_update=dc", "odsgd.dc_backup=local", "odsgd.momentum_local=0.9", "odsgd.warmup=1")
RESUMES(odsgd_adc, "train.algorithm=odsgd", "odsgd.local_update=adc", "odsgd.ms_decay=0.5", "odsgd.warmup=8", "workers.count=4")
RESUMES(odsgd_predict, "train.algorithm=odsgd", "odsgd.local_update=predict", "odsgd.warmup=6")
RESUMES(odsgd_predict_at_once, "train.algorithm=odsgd", "odsgd.local_update=predict", "odsgd.warmup=0", "optimizer.nesterov=true", "workers.count=1")
RESUMES(odsgd_predict_clipped, "train.algorithm=odsgd", "odsgd.local_update=predict", "odsgd.warmup=3", "optimizer.clip_norm=0.1", "train.ema_decay=0.9")
RESUMES(odsgd_behind_a_link, "train.algorithm=odsgd", "odsgd.warmup=3", "link.bandwidth_gbps=1", "link.latency_us=500")
RESUMES(asgd_in_turn, "train.algorithm=asgd", "workers.count=3")
RESUMES(asgd_in_turn_clipped, "train.algorithm=asgd", "optimizer.clip_norm=0.1", "train.ema_decay=0.9")
#define FP16 "cpu.backend=reference", "train.precision=fp16", "train.loss_scale=16777216", "train.loss_scale_every=3"
RESUMES(ssgd_in_fp16, "train.algorithm=ssgd", FP16)
RESUMES(odsgd_predict_in_fp16, "train.algorithm=odsgd", "odsgd.local_update=predict", "odsgd.warmup=3", FP16)
RESUMES(odsgd_adc_in_fp16, "train.algorithm=odsgd", "odsgd.local_update=adc", "odsgd.warmup=0", FP16)
RESUMES(asgd_in_turn_in_fp16, "train.algorithm=asgd", "workers.count=3", FP16)
RESUMES(asgd_in_fp16_behind_a_link, "train.algorithm=asgd", "link.bandwidth_gbps=1", "link.latency_us=500", FP16)
RESUMES(dcasgd_in_turn, "train.algorithm=dcasgd", "async.adaptive=true", "workers.count=2")

/* A recorded run, and replays of it that are interrupted. */
static void asgd_replayed_with(const char *const *settings)
{
    char path[48], record[64], replay[64];
    struct session free_run;
    struct error error = { 0 };
    snprintf(path, sizeof path, "/tmp/onestep-resume-%d", (int)getpid());
    snprintf(record, sizeof record, "async.record=%s", path);
    snprintf(replay, sizeof replay, "async.replay=%s", path);
    struct settings recorded = settings_join(LIST("train.iterations=30", "workers.jitter=1", "net.name=normed", "async.order=free", record), settings);
    session_open(&free_run, recorded.rows);
    session_train(&free_run);
    assert_int_equal(service_write(&free_run.run->service, path, &error), 0);
    struct settings replayed = settings_join(LIST("async.order=replay", replay), settings);
    assert_resumes_all(replayed.rows);
    session_close(&free_run);
    unlink(path);
}

static void asgd_replayed(void **state) { (void)state, asgd_replayed_with(LIST("train.algorithm=asgd", "workers.count=4")); }
static void dcasgd_replayed(void **state) { (void)state, asgd_replayed_with(LIST("train.algorithm=dcasgd", "workers.count=3", "optimizer.clip_norm=0.2")); }
static void asgd_replayed_behind_a_link(void **state)
{
    (void)state;
    asgd_replayed_with(LIST("train.algorithm=asgd", "workers.count=3", "link.bandwidth_gbps=1", "link.latency_us=300"));
}

/* A free order does not repeat, but nothing is lost: every batch is used once, every push served once. */
static void asgd_free(void **state)
{
    (void)state;
    struct settings all = settings_join(LIST("train.iterations=30", "workers.jitter=1", "net.name=normed", "async.order=free", "train.algorithm=asgd", "workers.count=4"),
                                        LIST("checkpoint.every=4 iterations", "async.record=unused"));
    struct session whole;
    struct kept kept = { 0 };
    session_open(&whole, all.rows);
    whole.kept = &kept;
    whole.keep_snapshot = keep;
    session_train(&whole);
    assert_true(kept.n > 1);
    for (int i = 0; i < kept.n; i++) {
        struct session session;
        bool used[4 * ITERATIONS] = { false };
        session_open(&session, all.rows);
        session.kept = &kept.copies[i];
        session.prepare_resume = put;
        session_train(&session);
        const struct service *service = &session.run->service;
        assert_int_equal(service->n_record, 4 * ITERATIONS * session.run->buckets.n);
        for (int64_t j = 0; j < service->n_record; j++)
            if (service->record[j].bucket == 0) {
                assert_false(used[service->record[j].ticket]);
                used[service->record[j].ticket] = true;
            }
        session_close(&session);
    }
    drop(&kept, whole.run->snapshot->n_tensors);
    session_close(&whole);
}

int test_resume(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ssgd), cmocka_unit_test(ssgd_clipped_averaged), cmocka_unit_test(odsgd_none), cmocka_unit_test(odsgd_sgd), cmocka_unit_test(odsgd_dc),
        cmocka_unit_test(odsgd_dc_local), cmocka_unit_test(odsgd_adc), cmocka_unit_test(odsgd_predict), cmocka_unit_test(odsgd_predict_at_once),
        cmocka_unit_test(odsgd_predict_clipped), cmocka_unit_test(odsgd_behind_a_link), cmocka_unit_test(asgd_in_turn), cmocka_unit_test(asgd_in_turn_clipped),
        cmocka_unit_test(ssgd_in_fp16), cmocka_unit_test(odsgd_predict_in_fp16),
        cmocka_unit_test(odsgd_adc_in_fp16), cmocka_unit_test(asgd_in_turn_in_fp16), cmocka_unit_test(asgd_in_fp16_behind_a_link), cmocka_unit_test(dcasgd_in_turn),
        cmocka_unit_test(asgd_replayed), cmocka_unit_test(dcasgd_replayed), cmocka_unit_test(asgd_replayed_behind_a_link),
        cmocka_unit_test(asgd_free), cmocka_unit_test(none_is_stuck), cmocka_unit_test(none_is_taken_where_none_is_wanted),
    };
    return cmocka_run_group_tests_name("resume", tests, NULL, NULL);
}
