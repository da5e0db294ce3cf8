/* trainer/checkpoint* and resume_check: files of real runs, changed in one place and given a right checksum again. Each is refused with one line, or what it says is a state that
 * the run goes on from to its end. */
#include "base/door.h"
#include "base/file.h"
#include "tests/session.h"
#include "tests/tests.h"
#include "trainer/checkpoint.h"
#include "trainer/server.h"
#include "trainer/weights_reading.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIST(...) (const char *const[]){ __VA_ARGS__, NULL }

/* A checkpoint in memory, and the run that can go on from it. */
struct made { char folder[48], path[CHECKPOINT_PATH]; cJSON *header; char *data; size_t n; struct settings settings; };

static void write_one(struct session *session, const struct snapshot *snapshot)
{
    struct made *made = session->kept;
    struct error error = { 0 };
    const struct weights_metadata about = { .config = "" };
    const struct metrics_mark mark = { .best_iteration = -1 };
    (void)snapshot;
    if (!*made->path && checkpoint_write(made->folder, session->run, &about, &mark, made->path, NULL, &error))
        fail_msg("%s", error.text);
}

/* The first snapshot of a run with those settings. */
static void make(struct made *made, const char *const *settings)
{
    struct session session;
    struct error error = { 0 };
    char *bytes;
    size_t n;
    uint64_t length;
    *made = (struct made){ .folder = "/tmp/onestep-checkpoint-XXXXXX" };
    made->settings = settings_join(LIST("train.iterations=16", "net.name=normed", "checkpoint.every=7 iterations",
                                        "train.evaluate_every=0.2"), settings);
    assert_non_null(mkdtemp(made->folder));
    session_open(&session, made->settings.rows);
    session.kept = made;
    session.keep_snapshot = write_one;
    session_train(&session);
    session_close(&session);
    assert_int_equal(file_read(made->path, (size_t)1 << 24, &bytes, &n, &error), 0);
    memcpy(&length, bytes, sizeof length);
    made->header = cJSON_ParseWithLength(bytes + sizeof length, length);
    made->n = n - sizeof length - length;
    made->data = malloc(made->n);
    memcpy(made->data, bytes + sizeof length + length, made->n);
    door_free(bytes);
    assert_non_null(made->header);
}

static void drop(struct made *made)
{
    unlink(made->path);
    rmdir(made->folder);
    cJSON_Delete(made->header);
    free(made->data);
}

/* Writes the file as its parts are now; a checksum that is right. */
static void write_again(const struct made *made)
{
    char *header = cJSON_PrintUnformatted(made->header), sum[16];
    uint64_t length = strlen(header);
    const char *digits = weights_checksum_digits(header, length);
    const struct file_part data = { made->data, made->n };
    FILE *file = fopen(made->path, "wb");
    assert_non_null(digits);
    snprintf(sum, sizeof sum, "%08x", (unsigned)weights_checksum(header, length, digits, &data, 1));
    memcpy(header + (digits - header), sum, 8);
    assert_true(file && fwrite(&length, sizeof length, 1, file) == 1 && fwrite(header, 1, length, file) == length && fwrite(data.bytes, 1, data.n, file) == data.n);
    assert_int_equal(fclose(file), 0);
    cJSON_free(header);
}

static void load(struct session *session, struct snapshot *snapshot)
{
    const struct made *made = session->kept;
    struct metrics_mark mark;
    (void)snapshot;
    checkpoint_load(made->path, session->run, &mark, &session->error);
}

/* What is said about the file as it is now; "" when a run went on from it to its end. */
static struct error go_on(const struct made *made)
{
    struct session session;
    session_open(&session, made->settings.rows);
    session.kept = (void *)made;
    session.prepare_resume = load;
    int result = session_run(&session);
    struct error error = session.error;
    assert_true(result == 0 ? !error.code && session.run->server->tally.iterations == 16 : error.code != 0);
    session_close(&session);
    return error;
}

static void assert_one_line(const struct error *error, const char *text)
{
    if (error->code != EXIT_INPUT || strchr(error->text, '\n') || !strstr(error->text, text))
        fail_msg("want code %d and \"... %s ...\", found %d and \"%s\"", EXIT_INPUT, text, error->code, error->text);
}

static void expect(const struct made *made, const char *text)
{
    write_again(made);
    struct error error = go_on(made);
    assert_one_line(&error, text);
}

static cJSON *tensor_of(const struct made *made, const char *name)
{
    cJSON *tensor = cJSON_GetObjectItemCaseSensitive(made->header, name);
    if (!tensor)
        fail_msg("no tensor %s", name);
    return tensor;
}

static size_t begin_of(const cJSON *tensor) { return (size_t)cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(tensor, "data_offsets"), 0)->valuedouble; }
static size_t end_of(const cJSON *tensor) { return (size_t)cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(tensor, "data_offsets"), 1)->valuedouble; }

/* ---- the file ---- */

/* Replaces a member of a tensor for one try. */
static void with_member(const struct made *made, const char *name, const char *member, const char *json, const char *text)
{
    cJSON *tensor = tensor_of(made, name), *kept = cJSON_DetachItemFromObjectCaseSensitive(tensor, member);
    cJSON_AddItemToObject(tensor, member, cJSON_Parse(json));
    expect(made, text);
    cJSON_DeleteItemFromObjectCaseSensitive(tensor, member);
    cJSON_AddItemToObject(tensor, member, kept);
}

static void without(const struct made *made, cJSON *object, const char *name, const char *text)
{
    cJSON *kept = cJSON_DetachItemFromObjectCaseSensitive(object, name);
    expect(made, text);
    cJSON_AddItemToObject(object, name, kept);
}

static void lists_are_checked(void **state)
{
    (void)state;
    struct made made;
    char json[64];
    make(&made, LIST("train.algorithm=odsgd", "odsgd.local_update=adc", "odsgd.momentum_local=0.5", "odsgd.warmup=2"));
    const char *const place = "onestep.worker.1.place", *const momentum = "onestep.worker.0.local_momentum";
    size_t at = begin_of(tensor_of(&made, place)), behind = begin_of(tensor_of(&made, momentum)), end = end_of(tensor_of(&made, momentum));
    with_member(&made, place, "dtype", "\"F32\"", "want a list of 3 aligned I64");
    with_member(&made, place, "dtype", "7", "want a list of 3 aligned I64");
    with_member(&made, place, "shape", "[2]", "want a list of 3 aligned I64");
    with_member(&made, place, "shape", "[3,1]", "want a list of 3 aligned I64");
    with_member(&made, place, "shape", "{}", "want a list of 3 aligned I64");
    with_member(&made, momentum, "dtype", "\"F64\"", "want dtype F32, found F64");
    with_member(&made, momentum, "shape", "[1]", "want shape [");
    snprintf(json, sizeof json, "[%zu,%zu]", at + 8, at + 24);
    with_member(&made, place, "data_offsets", json, "belong to no tensor");
    snprintf(json, sizeof json, "[%zu,%zu]", at + 1, at + 25);
    with_member(&made, place, "data_offsets", json, "data");
    snprintf(json, sizeof json, "[%zu,%zu]", behind - 4, end);
    with_member(&made, momentum, "data_offsets", json, "share byte");
    snprintf(json, sizeof json, "[%zu,%zu]", made.n - 8, made.n + 8);
    with_member(&made, momentum, "data_offsets", json, "it was cut short");
    with_member(&made, momentum, "data_offsets", "[8,0]", "want data_offsets [begin, end]");
    with_member(&made, momentum, "data_offsets", "[0,1e19]", "want data_offsets [begin, end]");
    without(&made, made.header, momentum, "belong to no tensor");
    cJSON *renamed = cJSON_DetachItemFromObjectCaseSensitive(made.header, momentum);
    cJSON_AddItemToObject(made.header, "onestep.other", renamed);
    expect(&made, "tensor onestep.worker.0.local_momentum is missing: want the whole state of the run");
    cJSON_AddItemToObject(made.header, momentum, cJSON_DetachItemFromObjectCaseSensitive(made.header, "onestep.other"));
    const float nan = NAN;
    float kept;
    memcpy(&kept, made.data + behind, sizeof kept);
    memcpy(made.data + behind, &nan, sizeof nan);
    expect(&made, "want finite numbers, found nan at place 0");
    memcpy(made.data + behind, &kept, sizeof kept);
    write_again(&made);
    struct error error = go_on(&made);
    if (error.code)
        fail_msg("as it was: %s", error.text);
    drop(&made);
}

/* ---- the state ---- */

static void try_number(const struct made *made, const char *key, const char *value)
{
    cJSON *about = tensor_of(made, "__metadata__"), *kept = cJSON_DetachItemFromObjectCaseSensitive(about, key);
    assert_non_null(kept);
    if (value)
        cJSON_AddStringToObject(about, key, value);
    write_again(made);
    struct error error = go_on(made);
    if (error.code && error.code != EXIT_USAGE)
        assert_one_line(&error, ": ");
    if (!value || !*value || *value == 'x')
        assert_one_line(&error, key);
    cJSON_DeleteItemFromObjectCaseSensitive(about, key);
    cJSON_AddItemToObject(about, key, kept);
}

static void try_integers(const struct made *made, const cJSON *tensor)
{
    size_t begin = begin_of(tensor), n = (end_of(tensor) - begin) / sizeof(int64_t);
    const size_t places[] = { 0, 1, 2, n - 1 };
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        if (places[i] >= n || (i == 3 && n <= 3))
            continue;
        char *at = made->data + begin + places[i] * sizeof(int64_t);
        int64_t kept;
        memcpy(&kept, at, sizeof kept);
        const int64_t values[] = { -1, kept + 1, INT64_MAX, INT64_MIN };
        for (size_t j = 0; j < sizeof values / sizeof *values; j++) {
            memcpy(at, &values[j], sizeof kept);
            write_again(made);
            struct error error = go_on(made);
            if (error.code)
                assert_one_line(&error, ": ");
        }
        memcpy(at, &kept, sizeof kept);
    }
}

static void assert_any_change_is_refused_or_harmless(const char *const *settings)
{
    static const char *const keys[] = { "iteration", "sample_offset", "reported", "evaluate_at", "next_ticket", "steps", "epoch_loss", "epoch_correct", "epoch_samples", "last_samples",
                                        "training_ns", "metrics_bytes", "metrics_seconds", "best_accuracy" };
    static const char *const values[] = { "-1", "0", "3", "9223372036854775807", "x", NULL };
    struct made made;
    make(&made, settings);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        for (size_t j = 0; j < sizeof values / sizeof *values; j++)
            try_number(&made, keys[i], values[j]);
    for (const cJSON *tensor = made.header->child; tensor; tensor = tensor->next) {
        const cJSON *dtype = cJSON_GetObjectItemCaseSensitive(tensor, "dtype");
        if (dtype && strcmp(dtype->valuestring, "I64") == 0)
            try_integers(&made, tensor);
    }
    drop(&made);
}

static void in_step(void **state)
{
    (void)state;
    assert_any_change_is_refused_or_harmless(LIST("train.algorithm=odsgd", "odsgd.warmup=2"));
}

static void in_turn(void **state)
{
    (void)state;
    assert_any_change_is_refused_or_harmless(LIST("train.algorithm=asgd", "train.bucket_kib=8"));
}

static void freely(void **state)
{
    (void)state;
    assert_any_change_is_refused_or_harmless(LIST("train.algorithm=dcasgd", "async.order=free", "async.record=unused", "workers.count=3", "train.bucket_kib=8"));
}

/* The first overflows all the time, so that the gradients kept are such; the second now and then. */
static void in_fp16(void **state)
{
    (void)state;
    assert_any_change_is_refused_or_harmless(LIST("train.algorithm=asgd", "train.bucket_kib=8", "cpu.backend=reference", "train.precision=fp16", "train.loss_scale=16777216",
                                                  "train.loss_scale_every=0"));
    assert_any_change_is_refused_or_harmless(LIST("train.algorithm=odsgd", "odsgd.warmup=2", "cpu.backend=reference", "train.precision=fp16", "train.loss_scale=16777216",
                                                  "train.loss_scale_every=1"));
}

/* Lies that fit together are told by what they would lead to. */
static void states_that_contradict_themselves(void **state)
{
    (void)state;
    struct made made;
    int64_t *first, *second;
    /* both hold a ticket; on a busy machine one worker may have drawn all that were left, and then the run is made again */
    for (int tries = 0;; tries++) {
        make(&made, LIST("train.algorithm=asgd", "async.order=free", "workers.count=2", "train.bucket_kib=64"));
        first = (void *)(made.data + begin_of(tensor_of(&made, "onestep.worker.0.place")));
        second = (void *)(made.data + begin_of(tensor_of(&made, "onestep.worker.1.place")));
        if (first[1] >= 0 && second[1] >= 0)
            break;
        drop(&made);
        assert_true(tries < 200);
    }
    int64_t ticket = first[1];
    first[1] = second[1];
    expect(&made, "one worker for each ticket");
    first[1] = -1;
    expect(&made, "as many tickets drawn as iterations begun");
    first[1] = ticket;
    write_again(&made);
    assert_int_equal(go_on(&made).code, 0);
    drop(&made);
}

/* What has diverged is not written. */
static void numbers_are_finite(void **state)
{
    (void)state;
    struct session session;
    char path[CHECKPOINT_PATH];
    struct error error = { 0 };
    const struct weights_metadata about = { .config = "" };
    session_open(&session, LIST("train.iterations=4", "checkpoint.every=2 iterations"));
    session_train(&session);
    session.run->snapshot->states[SERVER_MOMENTUM][3] = INFINITY;
    assert_int_equal(checkpoint_write("/nowhere", session.run, &about, &(struct metrics_mark){ 0 }, path, NULL, &error), -1);
    assert_int_equal(error.code, EXIT_NOT_FINITE);
    assert_string_equal(error.text, "/nowhere/checkpoint-000000004.safetensors: is not written: onestep.momentum[3] is inf");
    session_close(&session);
}

/* Names that are not ours, spelled otherwise, or too long are no checkpoints. */
static void a_folders_checkpoints(void **state)
{
    (void)state;
    static const char *const names[] = { "checkpoint-000000007.safetensors", "checkpoint-1234567890.safetensors", "checkpoint-7.safetensors", "checkpoint-0000000007.safetensors",
                                         "checkpoint--00000007.safetensors", "checkpoint-99999999999999999999.safetensors", "checkpoint-.safetensors", "checkpoint-000000009.safetensors.ahead",
                                         "checkpoint-000000003.safetensors.part", "weights.safetensors", "checkpoint-000000005.safetensors" };
    enum { NAMES = sizeof names / sizeof *names };
    char folder[] = "/tmp/onestep-checkpoint-XXXXXX", path[CHECKPOINT_PATH];
    struct error error = { 0 };
    struct checkpoint_list list;
    assert_non_null(mkdtemp(folder));
    for (int i = 0; i < NAMES; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        fclose(fopen(path, "w"));
    }
    assert_int_equal(checkpoint_list(&list, folder, &error), 0);
    assert_int_equal(list.n, 3);
    assert_true(list.iterations[0] == 1234567890 && list.iterations[1] == 7 && list.iterations[2] == 5);
    door_free(list.iterations);
    assert_int_equal(checkpoint_prune(folder, 1, &error), 0);
    for (int i = 0; i < NAMES; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        bool removed = i == 0 || i == 8 || i == NAMES - 1;
        assert_int_equal(unlink(path), removed ? -1 : 0);
    }
    assert_int_equal(rmdir(folder), 0);
}

int test_checkpoint(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_are_checked), cmocka_unit_test(in_step), cmocka_unit_test(in_turn), cmocka_unit_test(freely), cmocka_unit_test(in_fp16), cmocka_unit_test(states_that_contradict_themselves),
        cmocka_unit_test(numbers_are_finite), cmocka_unit_test(a_folders_checkpoints),
    };
    return cmocka_run_group_tests_name("checkpoint", tests, NULL, NULL);
}
