/* trainer/service: the order of service in turn, recorded, and followed; records that do not fit are refused. */
#include "base/file.h"
#include "tests/session.h"
#include "tests/tests.h"
#include "trainer/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HEAD = 24, ROW = 16, MOST = 12 };

/* A small record: two workers, two buckets, three pushes. */
static const struct service_record rows[] = { { 0, 0, 0 }, { 1, 0, 0 }, { 1, 1, 1 }, { 0, 1, 1 }, { 0, 1, 2 }, { 1, 1, 2 } };
enum { ROWS = sizeof rows / sizeof *rows };

struct record { char path[64]; unsigned char bytes[HEAD + ROWS * ROW]; };

static int make_record(void **state)
{
    struct record *record = calloc(1, sizeof *record);
    snprintf(record->path, sizeof record->path, "/tmp/onestep-service-%d", (int)getpid());
    memcpy(record->bytes, "onestepR", 8);
    memcpy(record->bytes + 8, (uint32_t[2]){ 2, 2 }, 8);
    memcpy(record->bytes + 16, (int64_t[1]){ ROWS }, 8);
    memcpy(record->bytes + HEAD, rows, sizeof rows);
    *state = record;
    return 0;
}

static int drop_record(void **state)
{
    struct record *record = *state;
    unlink(record->path);
    free(record);
    return 0;
}

static void write_record(const struct record *record, const void *bytes, size_t n)
{
    FILE *file = fopen(record->path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

static struct config replaying(const struct record *record)
{
    struct config config;
    config_defaults(&config);
    config.async.order = ORDER_REPLAY;
    snprintf(config.async.replay, sizeof config.async.replay, "%s", record->path);
    return config;
}

static void assert_refused(const struct record *record, const void *bytes, size_t n, const char *text)
{
    struct config config = replaying(record);
    struct service service;
    struct error error = { 0 };
    write_record(record, bytes, n);
    assert_int_equal(service_open(&service, &config, 2, 2, MOST, &error), -1);
    assert_int_equal(error.code, EXIT_INPUT);
    if (!strstr(error.text, text) || strncmp(error.text, record->path, strlen(record->path)) != 0)
        fail_msg("want \"%s: ... %s\", found \"%s\"", record->path, text, error.text);
    service_close(&service);
}

static void a_record_is_followed(void **state)
{
    struct record *record = *state;
    struct config config = replaying(record);
    struct service service;
    struct error error = { 0 };
    write_record(record, record->bytes, sizeof record->bytes);
    assert_int_equal(service_open(&service, &config, 2, 2, MOST, &error), 0);
    const int workers[2][4] = { { 0, 1, 1, -1 }, { 0, 1, 1, -1 } };
    for (int i = 0; i < 4; i++)
        for (int bucket = 0; bucket < 2; bucket++) {
            assert_int_equal(service_next(&service, bucket), workers[bucket][i]);
            if (i < 3)
                service_served(&service, bucket, workers[bucket][i], i);
        }
    const int64_t tickets[2][3] = { { 0, -1, -1 }, { 1, 2, -1 } };
    for (int worker = 0; worker < 2; worker++)
        for (int i = 0; i < 3; i++)
            assert_int_equal(service_ticket(&service, worker, i), tickets[worker][i]);
    assert_int_equal(service_ticket(&service, 1, 3), -1);
    service_close(&service);
}

static void cut_anywhere_it_is_refused(void **state)
{
    struct record *record = *state;
    for (size_t n = 0; n < sizeof record->bytes; n++)
        assert_refused(record, record->bytes, n, n < HEAD ? "the magic onestepR" : "want 120 bytes for 6 pushes, found");
    unsigned char longer[sizeof record->bytes + 1] = { 0 };
    memcpy(longer, record->bytes, sizeof record->bytes);
    assert_refused(record, longer, sizeof longer, "want 120 bytes for 6 pushes, found 121");
}

/* One value of the file changed, and what is said about it. */
struct change { size_t at, bytes; int64_t value; const char *text; };

static void what_does_not_fit_is_refused(void **state)
{
    struct record *record = *state;
    enum { WORKER = 4, TICKET = 8 };
    static const struct change changes[] = {
        { 0, 1, 'O', "the magic onestepR" },
        { 8, 4, 3, "recorded with 3 workers, want as many as this run has: 2" },
        { 12, 4, 1, "recorded with 1 buckets, want as many as this run has: 2" },
        { 16, 8, 5, "a whole number of pushes, at most the 6 of this run, for each of 2 buckets, found 5 in all" },
        { 16, 8, 0, "a whole number of pushes" },
        { 16, 8, -6, "a whole number of pushes" },
        { 16, 8, 14, "a whole number of pushes" },
        { 16, 8, INT64_MAX - 1, "a whole number of pushes" },
        { 16, 8, 8, "want 152 bytes for 8 pushes, found 120" },
        { HEAD, 4, 2, "in range; not in record, found 0" },
        { HEAD + 3 * ROW + WORKER, 4, 2, "in range; not in record, found 3" },
        { HEAD + ROW + TICKET, 8, -1, "in range; not in record, found 1" },
        { HEAD + ROW + TICKET, 8, 3, "in range; not in record, found 1" },
        { HEAD + 5 * ROW, 4, 0, "too many in record, found 5" },
        { HEAD + 5 * ROW + TICKET, 8, 1, "one worker for each ticket; another in record, found 5" },
        { HEAD + 5 * ROW + WORKER, 4, 0, "one worker for each ticket; another in record, found 5" },
    };
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        unsigned char bytes[sizeof record->bytes];
        memcpy(bytes, record->bytes, sizeof bytes);
        memcpy(bytes + changes[i].at, &changes[i].value, changes[i].bytes);
        assert_refused(record, bytes, sizeof bytes, changes[i].text);
    }
    unlink(record->path);
    struct config config = replaying(record);
    struct service service;
    struct error error = { 0 };
    assert_int_equal(service_open(&service, &config, 2, 2, MOST, &error), -1);
    assert_int_equal(error.code, EXIT_INPUT);
    assert_non_null(strstr(error.text, "cannot open"));
    service_close(&service);
}

/* Trains freely with four dawdling workers, records, and trains again as recorded. */
static void assert_repeats(const struct record *record, const char *algorithm, const char *setting, int64_t ask_stop_at)
{
    const char *const common[] = { algorithm, setting, "workers.count=4", "workers.jitter=2", "train.evaluate_every=0.5", NULL };
    struct session free_run, replay;
    struct error error = { 0 };
    session_open(&free_run, common);
    session_set(&free_run, "async.order=free");
    session_set(&free_run, "async.record=%s", record->path);
    free_run.ask_stop_at = ask_stop_at;
    session_train(&free_run);
    assert_int_equal(service_write(&free_run.run->service, record->path, &error), 0);
    session_open(&replay, common);
    session_set(&replay, "async.order=replay");
    session_set(&replay, "async.replay=%s", record->path);
    session_train(&replay);
    assert_memory_equal(session_weights(&replay), session_weights(&free_run), session_floats(&replay) * sizeof(float));
    assert_int_equal(replay.run->server->tally.iterations, free_run.run->server->tally.iterations);
    assert_memory_equal(&replay.run->server->ledger, &free_run.run->server->ledger, sizeof replay.run->server->ledger);
    session_close(&replay);
    session_close(&free_run);
}

static void a_recorded_run_repeats(void **state)
{
    assert_repeats(*state, "train.algorithm=asgd", "async.adaptive=false", -1);
    assert_repeats(*state, "train.algorithm=dcasgd", "async.adaptive=false", -1);
    assert_repeats(*state, "train.algorithm=dcasgd", "async.adaptive=true", -1);
    assert_repeats(*state, "train.algorithm=dcasgd", "optimizer.clip_norm=0.3", -1);
}

static void a_recorded_stop_repeats(void **state)
{
    assert_repeats(*state, "train.algorithm=asgd", "async.adaptive=false", 7);
    assert_repeats(*state, "train.algorithm=asgd", "optimizer.clip_norm=0.3", 7);
}

/* Worker 0 serves alone at first. When it stops while its answers are on the way, nothing comes any more that could let worker 1's waiting pushes be served:
 * a stop must give up the order by itself. */
static void a_replay_can_be_stopped(void **state)
{
    struct record *record = *state;
    enum { BUCKETS = 16, PUSHES = 100, ALONE = 50 };
    static struct service_record order[BUCKETS * PUSHES];
    const struct service alone = { .k = 2, .buckets = BUCKETS, .record = order, .n_record = BUCKETS * PUSHES };
    struct session session;
    struct error error = { 0 };
    for (int i = 0; i < BUCKETS * PUSHES; i++)
        order[i] = (struct service_record){ (uint32_t)(i % BUCKETS), i / BUCKETS >= ALONE, i / BUCKETS };
    assert_int_equal(service_write(&alone, record->path, &error), 0);
    session_open(&session, (const char *const[]){ "train.algorithm=asgd", "data.prefetch=100",
        "link.bandwidth_gbps=100", "link.latency_us=20000", NULL });
    session_set(&session, "async.order=replay");
    session_set(&session, "async.replay=%s", record->path);
    session.ask_stop_at = 1;
    session.ask_after_ns = 30000000;
    session_train(&session);
    assert_in_range(session.run->server->tally.iterations, 1, session.run->iterations - 1); /* it did not go on to its end */
    session_close(&session);
}

/* ---- cuts ---- */

enum { CUT_K = 4, CUT_BUCKETS = 3, CUT_PUSHES = 24 };

/* An order that came about: events of a free run by chance, one worker faster than the others. */
static void random_order(struct service *service, unsigned *seed, int64_t *queue, int64_t *tickets)
{
    int64_t finished[CUT_K] = { 0 }, served[CUT_BUCKETS] = { 0 }, of_worker[CUT_BUCKETS][CUT_K] = { { 0 } }, drawn = 0, left = CUT_BUCKETS * CUT_PUSHES;
    memset(tickets, 0xff, CUT_K * CUT_PUSHES * sizeof *tickets);
    while (left) {
        int worker = rand_r(seed) % 3 ? 0 : rand_r(seed) % CUT_K, bucket = rand_r(seed) % CUT_BUCKETS;
        bool answered = drawn < CUT_PUSHES;
        for (int i = 0; i < CUT_BUCKETS; i++)
            answered &= of_worker[i][worker] == finished[worker];
        if (answered && rand_r(seed) % 2)
            tickets[worker * CUT_PUSHES + finished[worker]++] = drawn++;
        if (of_worker[bucket][worker] == finished[worker])
            continue;
        of_worker[bucket][worker]++;
        queue[bucket * CUT_PUSHES + served[bucket]++] = worker;
        left--;
    }
    *service = (struct service){ .order = ORDER_REPLAY, .k = CUT_K, .buckets = CUT_BUCKETS, .queue = queue, .tickets = tickets, .pushes = CUT_PUSHES };
}

/* Plays it: a worker goes on to iteration i when its pushes of i - 1 are served, never to its boundary; a bucket serves what its order says. How many iterations each finishes. */
static void play(const struct service *service, const int64_t *cut, int64_t *finished)
{
    int64_t served[CUT_BUCKETS] = { 0 }, of_worker[CUT_BUCKETS][CUT_K] = { { 0 } };
    memset(finished, 0, CUT_K * sizeof *finished);
    for (bool moved = true; moved;) {
        moved = false;
        for (int k = 0; k < CUT_K; k++) {
            bool answered = finished[k] < cut[k];
            for (int bucket = 0; bucket < CUT_BUCKETS; bucket++)
                answered &= of_worker[bucket][k] >= finished[k];
            finished[k] += answered;
            moved |= answered;
        }
        for (int bucket = 0; bucket < CUT_BUCKETS; bucket++) {
            int64_t worker = served[bucket] < CUT_PUSHES ? service->queue[bucket * CUT_PUSHES + served[bucket]] : -1;
            if (worker < 0 || of_worker[bucket][worker] >= finished[worker])
                continue;
            of_worker[bucket][worker]++;
            served[bucket]++;
            moved = true;
        }
    }
}

/* The smallest boundaries that all workers reach: raised only where, one lower, somebody would be stuck. */
static void a_cut_is_the_smallest_that_all_reach(void **state)
{
    (void)state;
    unsigned seed = 7;
    int raised = 0;
    for (int round = 0; round < 2000; round++) {
        int64_t queue[CUT_BUCKETS * CUT_PUSHES], tickets[CUT_K * CUT_PUSHES], asked[CUT_K], cut[CUT_K], finished[CUT_K];
        struct service service;
        random_order(&service, &seed, queue, tickets);
        for (int k = 0; k < CUT_K; k++)
            asked[k] = cut[k] = rand_r(&seed) % 9;
        service_cut(&service, cut);
        play(&service, cut, finished);
        assert_memory_equal(finished, cut, sizeof cut);
        for (int k = 0; k < CUT_K; k++) {
            int64_t lower[CUT_K];
            if (cut[k] <= asked[k])
                continue;
            raised++;
            memcpy(lower, cut, sizeof cut);
            lower[k]--;
            play(&service, lower, finished);
            assert_true(memcmp(finished, lower, sizeof lower) != 0);
        }
    }
    assert_true(raised > 500);
}

static void services_are_counted(void **state)
{
    (void)state;
    unsigned seed = 3;
    int64_t queue[CUT_BUCKETS * CUT_PUSHES], tickets[CUT_K * CUT_PUSHES], counts[CUT_K];
    struct service service;
    random_order(&service, &seed, queue, tickets);
    assert_true(service_count(&service, 1, CUT_PUSHES + 5, counts));
    assert_int_equal(counts[0] + counts[1] + counts[2] + counts[3], CUT_PUSHES);
    service.order = ORDER_ROUND_ROBIN;
    assert_true(service_count(&service, 0, 6, counts));
    assert_true(counts[0] == 2 && counts[1] == 2 && counts[2] == 1 && counts[3] == 1);
    service.order = ORDER_FREE;
    assert_false(service_count(&service, 0, 6, counts));
    struct service_record row = { 2, 3, 9 };
    int64_t pair[2];
    memcpy(pair, &row, sizeof pair);
    assert_true(service_fits(&service, pair, 10) && !service_fits(&service, pair, 9));
    service.buckets = 2;
    assert_false(service_fits(&service, pair, 10));
}

int test_service(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_is_followed), cmocka_unit_test(cut_anywhere_it_is_refused), cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(a_recorded_run_repeats), cmocka_unit_test(a_recorded_stop_repeats), cmocka_unit_test(a_replay_can_be_stopped),
        cmocka_unit_test(a_cut_is_the_smallest_that_all_reach), cmocka_unit_test(services_are_counted),
    };
    return cmocka_run_group_tests_name("service", tests, make_record, drop_record);
}
