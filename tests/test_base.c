/* base/: random numbers against published vectors, numbers parsed to their end, the first error kept, and files that are old or new
 * whatever call fails. */
#include "base/door.h"
#include "base/error.h"
#include "base/file.h"
#include "base/philox.h"
#include "base/sizes.h"
#include "base/text.h"
#include "tests/tests.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- random numbers ---- */

/* The vectors that come with Random123. */
static void philox_known_answers(void **state)
{
    (void)state;
    static const struct { uint32_t counter[4], key[2], want[4]; } vectors[] = {
        { { 0, 0, 0, 0 }, { 0, 0 }, { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 } },
        { { ~0u, ~0u, ~0u, ~0u }, { ~0u, ~0u }, { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd } },
        { { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 }, { 0xa4093822, 0x299f31d0 }, { 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 } },
    };
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        const uint32_t *c = vectors[i].counter, *k = vectors[i].key;
        struct philox_block block = philox((uint64_t)k[1] << 32 | k[0], (uint64_t)c[3] << 32 | c[2], (uint64_t)c[1] << 32 | c[0]);
        assert_memory_equal(block.word, vectors[i].want, sizeof block.word);
    }
}

static void keys_differ_by_seed_and_purpose(void **state)
{
    (void)state;
    assert_int_not_equal(philox_key(1, 2), philox_key(2, 1));
    assert_int_not_equal(philox_key(1, 2), philox_key(1, 3));
    assert_int_not_equal(philox_key(0, 1), philox_key((uint64_t)1 << 32, 1));
    assert_int_equal(philox_key(7, 9), philox_key(7, 9));
}

/* The FNV-1a offset basis, and the published value for "foobar". */
static void hash_known_answers(void **state)
{
    (void)state;
    assert_true(hash_name("") == 0xcbf29ce484222325u);
    assert_true(hash_name("foobar") == 0x85944171f73967e8u);
}

static void uniforms_stay_below_one(void **state)
{
    (void)state;
    assert_true(uniform_float(0) == 0 && uniform_double(0, 0) == 0);
    assert_true(uniform_float(UINT32_MAX) == 1 - 0x1p-24f);
    assert_true(uniform_double(UINT32_MAX, UINT32_MAX) == 1 - 0x1p-53);
    assert_true(uniform_float(0x80000000u) == 0.5f && uniform_double(0x80000000u, 0) == 0.5);
}

/* ---- numbers and sizes ---- */

static void integers_parse_to_their_end(void **state)
{
    (void)state;
    static const struct { const char *text; int64_t want; } good[] = {
        { "0", 0 }, { "-0", 0 }, { "+7", 7 }, { "0012", 12 }, { "9223372036854775807", INT64_MAX }, { "-9223372036854775808", INT64_MIN },
    };
    static const char *const bad[] = { "", "-", "+", "+-1", " 1", "1 ", "12o", "1.0", "0x10", "1e3", "9223372036854775808", "-9223372036854775809", "\n1" };
    int64_t value;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(parse_int64(good[i].text, &value));
        assert_true(value == good[i].want);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (parse_int64(bad[i], &value))
            fail_msg("\"%s\" was taken for an integer", bad[i]);
}

static void reals_parse_to_their_end(void **state)
{
    (void)state;
    static const struct { const char *text; double want; } good[] = {
        { "0", 0 }, { "-1.5", -1.5 }, { "+.5", 0.5 }, { "1.", 1 }, { "1e-3", 1e-3 }, { "2E+2", 200 }, { "1e-400", 0 }, { "1.7976931348623157e308", 1.7976931348623157e308 },
    };
    static const char *const bad[] = { "", ".", "-", "-.", ".e5", "1e", "1.5.2", " 1", "1 ", "0.1f", "nan", "inf", "-infinity", "1e400", "-1e400", "0x1p3", "-0x1p3", "1,5" };
    double value;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(parse_double(good[i].text, &value));
        assert_true(value == good[i].want);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (parse_double(bad[i], &value))
            fail_msg("\"%s\" was taken for a number", bad[i]);
}

static void sizes_do_not_wrap(void **state)
{
    (void)state;
    size_t result;
    assert_true(size_product(SIZE_MAX / 2, 2, &result) && result == SIZE_MAX - 1);
    assert_false(size_product(SIZE_MAX / 2 + 1, 2, &result));
    assert_true(size_sum(SIZE_MAX - 1, 1, &result) && result == SIZE_MAX);
    assert_false(size_sum(SIZE_MAX, 1, &result));
    assert_true(round_up(0, 64) == 0 && round_up(1, 64) == 64 && round_up(64, 64) == 64 && round_up(65, 64) == 128);
}

/* ---- errors ---- */

static void first_failure_is_kept(void **state)
{
    (void)state;
    struct error error = { 0 };
    assert_int_equal(fail(&error, EXIT_INPUT, "%s:%d: bad", "data", 3), -1);
    assert_int_equal(fail(&error, EXIT_OUTPUT, "later"), -1);
    assert_int_equal(fail_errno(&error, EXIT_OUTPUT, ENOSPC, "later still"), -1);
    assert_int_equal(error.code, EXIT_INPUT);
    assert_string_equal(error.text, "data:3: bad");
}

static void messages_are_one_line(void **state)
{
    (void)state;
    struct error error = { 0 };
    fail(&error, EXIT_INPUT, "found \"%s\"", "a\nb\r\n");
    assert_string_equal(error.text, "found \"a b  \"");
}

static void reason_survives_a_long_path(void **state)
{
    (void)state;
    char path[2000];
    memset(path, 'p', sizeof path - 1);
    path[sizeof path - 1] = 0;
    struct error error = { 0 };
    fail_errno(&error, EXIT_INPUT, ENOENT, "%s: cannot open", path);
    const char *reason = ": No such file or directory";
    assert_true(strlen(error.text) < sizeof error.text);
    assert_string_equal(error.text + strlen(error.text) - strlen(reason), reason);
}

/* ---- files ---- */

enum { ROOM = 256 };
static char folder[ROOM / 2]; /* a fresh one for each test */

static const char *in_folder(char path[ROOM], const char *name)
{
    snprintf(path, ROOM, "%s/%s", folder, name);
    return path;
}

static int enter_folder(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/onestep-test-XXXXXX", base && strlen(base) < ROOM / 4 ? base : "/tmp");
    return mkdtemp(folder) ? 0 : -1;
}

static int leave_folder(void **state)
{
    (void)state;
    static const char *const names[] = { "target", "target.part", "fifo" };
    char path[ROOM];
    for (int call = 0; call < DOOR_CALLS; call++)
        door_fail_at(call, 0, 0, false);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unlink(in_folder(path, names[i]));
    return rmdir(folder);
}

static void put(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
}

static void expect_content(const char *path, const char *want)
{
    struct error error = { 0 };
    char *text;
    size_t n;
    assert_int_equal(file_read(path, ROOM, &text, &n, &error), 0);
    assert_string_equal(text, want);
    assert_int_equal(n, strlen(want));
    door_free(text);
}

static const char old_text[] = "the old content", new_text[] = "the new content, in two parts";
static const struct file_part new_parts[] = { { new_text, 7 }, { new_text, 0 }, { new_text + 7, sizeof new_text - 1 - 7 } };
enum { N_PARTS = sizeof new_parts / sizeof *new_parts };

static void file_is_replaced(void **state)
{
    (void)state;
    char path[ROOM], part[ROOM];
    struct error error = { 0 };
    for (int round = 0; round < 2; round++) { /* new, then over an existing one, with a leftover of a kill in the way */
        put(in_folder(part, "target.part"), "a leftover that is longer than everything that will be written");
        assert_int_equal(file_replace(in_folder(path, "target"), new_parts, N_PARTS, &error), 0);
        expect_content(path, new_text);
        assert_false(door_exists(part));
    }
}

/* Replaces the file while the n-th call of a kind fails. Returns whether that call was made; all that must hold then is checked here. */
static bool replace_with_fault(enum door_call call, int n, int number)
{
    char path[ROOM], part[ROOM], want[2 * ROOM];
    put(in_folder(path, "target"), old_text);
    struct error error = { 0 };
    int64_t before = door_calls(call);
    door_fail_at(call, n, number, false);
    int result = file_replace(path, new_parts, N_PARTS, &error);
    door_fail_at(call, 0, 0, false);
    if (door_calls(call) - before < n) {
        assert_int_equal(result, 0);
        expect_content(path, new_text);
        return false;
    }
    /* Only the folder's own open, sync and close come after the rename. */
    bool replaced = n == 2 && (call == DOOR_OPEN || call == DOOR_SYNC || call == DOOR_CLOSE);
    snprintf(want, sizeof want, "%s: %s: %s", path, replaced ? "written, but its folder could not be synced" : "cannot write", strerror(number));
    assert_int_equal(result, -1);
    assert_int_equal(error.code, EXIT_OUTPUT);
    assert_string_equal(error.text, want);
    expect_content(path, replaced ? new_text : old_text);
    assert_false(door_exists(in_folder(part, "target.part")));
    return true;
}

static void file_is_old_or_new_whatever_fails(void **state)
{
    (void)state;
    static const int numbers[DOOR_CALLS] = { [DOOR_OPEN] = EACCES, [DOOR_WRITE] = ENOSPC, [DOOR_SYNC] = EIO, [DOOR_CLOSE] = EDQUOT, [DOOR_RENAME] = EXDEV };
    static const int points[DOOR_CALLS] = { [DOOR_OPEN] = 2, [DOOR_WRITE] = 2, [DOOR_SYNC] = 2, [DOOR_CLOSE] = 2, [DOOR_RENAME] = 1 };
    for (int call = 0; call < DOOR_CALLS; call++) {
        int n = 0;
        while (replace_with_fault(call, n + 1, numbers[call] ? numbers[call] : EIO))
            n++;
        assert_int_equal(n, points[call]);
    }
}

/* A full disk that stays full, and the clean-up that fails as well: the old file is there, and the first reason is told. */
static void first_fault_is_told_when_cleaning_fails_too(void **state)
{
    (void)state;
    char path[ROOM];
    struct error error = { 0 };
    put(in_folder(path, "target"), old_text);
    door_fail_at(DOOR_WRITE, 2, ENOSPC, true);
    door_fail_at(DOOR_REMOVE, 1, EROFS, true);
    assert_int_equal(file_replace(path, new_parts, N_PARTS, &error), -1);
    assert_non_null(strstr(error.text, "target: cannot write: No space left on device"));
    expect_content(path, old_text);
}

static void unwritable_folder_is_told(void **state)
{
    (void)state;
    char path[ROOM], want[2 * ROOM];
    struct error error = { 0 };
    in_folder(path, "missing/target");
    assert_int_equal(file_replace(path, new_parts, N_PARTS, &error), -1);
    snprintf(want, sizeof want, "%s: cannot write: No such file or directory", path);
    assert_string_equal(error.text, want);
    assert_int_equal(error.code, EXIT_OUTPUT);
}

static void overlong_path_is_refused(void **state)
{
    (void)state;
    char path[4097];
    struct error error = { 0 };
    memset(path, 'p', sizeof path);
    path[4091] = 0;
    assert_int_equal(file_replace(path, new_parts, N_PARTS, &error), -1);
    assert_int_equal(error.code, EXIT_OUTPUT);
    assert_non_null(strstr(error.text, "want a path shorter than 4091 characters"));
}

static void file_grows_by_appending(void **state)
{
    (void)state;
    char path[ROOM];
    struct error error = { 0 };
    put(in_folder(path, "target"), "one\n");
    int fd = door_open_append(path);
    assert_true(fd >= 0);
    assert_int_equal(file_append(fd, path, "two\n", 4, &error), 0);
    expect_content(path, "one\ntwo\n");
    door_fail_at(DOOR_WRITE, 1, ENOSPC, false);
    assert_int_equal(file_append(fd, path, "three\n", 6, &error), -1);
    assert_int_equal(error.code, EXIT_OUTPUT);
    assert_non_null(strstr(error.text, "target: cannot append: No space left on device"));
    assert_int_equal(door_close(fd), 0);
    expect_content(path, "one\ntwo\n");
}

/* Reading fails with this text after the path, and leaves nothing behind. */
static void expect_read_failure(const char *path, size_t limit, int code, const char *text)
{
    struct error error = { 0 };
    char *content = (char *)path;
    size_t n;
    assert_int_equal(file_read(path, limit, &content, &n, &error), -1);
    assert_null(content);
    assert_int_equal(error.code, code);
    if (!strstr(error.text, text))
        fail_msg("want \"%s\", got \"%s\"", text, error.text);
}

static void reading_has_a_limit(void **state)
{
    (void)state;
    char path[ROOM], *text;
    size_t n;
    struct error error = { 0 };
    put(in_folder(path, "target"), "12345");
    assert_int_equal(file_read(path, 5, &text, &n, &error), 0);
    assert_int_equal(n, 5);
    assert_memory_equal(text, "12345", 6);
    door_free(text);
    expect_read_failure(path, 4, EXIT_INPUT, "target: want at most 4 bytes, found 5");
    put(path, "");
    assert_int_equal(file_read(path, 0, &text, &n, &error), 0);
    assert_true(n == 0 && *text == 0);
    door_free(text);
}

static void unreadable_files_are_told(void **state)
{
    (void)state;
    char path[ROOM];
    expect_read_failure(in_folder(path, "missing"), ROOM, EXIT_INPUT, "missing: cannot open: No such file or directory");
    expect_read_failure(folder, ROOM, EXIT_INPUT, ": cannot read: Is a directory");
    expect_read_failure("/dev/zero", ROOM, EXIT_INPUT, "/dev/zero: cannot read: Invalid argument");
    assert_int_equal(mkfifo(in_folder(path, "fifo"), 0600), 0);
    alarm(60); /* opening a pipe that nobody writes to must not wait */
    expect_read_failure(path, ROOM, EXIT_INPUT, "fifo: cannot read: Invalid argument");
    alarm(0);
}

static void reading_survives_faults(void **state)
{
    (void)state;
    static const struct { enum door_call call; int number, code; const char *text; } faults[] = {
        { DOOR_OPEN, EMFILE, EXIT_INPUT, "target: cannot open: Too many open files" },
        { DOOR_READ, EIO, EXIT_INPUT, "target: cannot read: Input/output error" },
        { DOOR_CLOSE, EIO, EXIT_INPUT, "target: cannot close: Input/output error" },
        { DOOR_ALLOCATE, ENOMEM, EXIT_MEMORY, "out of memory: " },
    };
    char path[ROOM];
    put(in_folder(path, "target"), "text");
    int lowest = open("/dev/null", O_RDONLY);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        door_fail_at(faults[i].call, 1, faults[i].number, false);
        expect_read_failure(path, ROOM, faults[i].code, faults[i].text);
        expect_content(path, "text");
    }
    close(lowest);
    assert_int_equal(open("/dev/null", O_RDONLY), lowest); /* no descriptor was left open */
    close(lowest);
}

/* ---- the door ---- */

static void faults_come_at_the_call_they_are_planned_for(void **state)
{
    (void)state;
    char path[ROOM];
    in_folder(path, "missing");
    door_fail_at(DOOR_REMOVE, 3, EBUSY, false);
    for (int call = 1; call <= 5; call++) {
        assert_int_equal(door_remove(path), -1);
        assert_int_equal(errno, call == 3 ? EBUSY : ENOENT);
    }
    door_fail_at(DOOR_REMOVE, 2, EROFS, true);
    for (int call = 1; call <= 4; call++) {
        assert_int_equal(door_remove(path), -1);
        assert_int_equal(errno, call >= 2 ? EROFS : ENOENT);
    }
}

static void faults_come_from_the_environment(void **state)
{
    (void)state;
    static const char *const bad[] = { "", "write", "write:1", "write:1:", "write:0:28", "write:-1:28", "write:1:0", "wrote:1:28", "write:1:28x", "write:1:28:",
                                       "write:1:28:leave", "write:1:28:stay ", "write:1:28:stays", " write:1:28", "write:99999999999999999999:28" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct error error = { 0 };
        setenv("ONESTEP_FAULT", bad[i], 1);
        if (door_faults_from_environment(&error) == 0)
            fail_msg("ONESTEP_FAULT=\"%s\" was accepted", bad[i]);
        assert_int_equal(error.code, EXIT_USAGE);
        assert_non_null(strstr(error.text, "ONESTEP_FAULT: want CALL:N:ERRNO"));
    }
    struct error error = { 0 };
    char path[ROOM];
    in_folder(path, "missing");
    setenv("ONESTEP_FAULT", "remove:2:30:stay", 1);
    assert_int_equal(door_faults_from_environment(&error), 0);
    unsetenv("ONESTEP_FAULT");
    assert_int_equal(door_faults_from_environment(&error), 0);
    for (int call = 1; call <= 3; call++) {
        assert_int_equal(door_remove(path), -1);
        assert_int_equal(errno, call >= 2 ? EROFS : ENOENT);
    }
}

static void memory_is_aligned_and_zeroed(void **state)
{
    (void)state;
    static const size_t sizes[] = { 0, 1, 64, 4097, ((size_t)2 << 20) + 1 };
    struct error error = { 0 };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        void *block;
        assert_int_equal(door_allocate(&block, sizes[i], "a test", &error), 0);
        assert_true((uintptr_t)block % DOOR_ALIGNMENT == 0);
        for (size_t b = 0; b < sizes[i]; b++)
            assert_true(((char *)block)[b] == 0);
        door_free(block);
    }
}

static void memory_that_is_not_there_is_told(void **state)
{
    (void)state;
    static const size_t sizes[] = { SIZE_MAX, SIZE_MAX / 2 };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct error error = { 0 };
        void *block = &error;
        char want[ROOM];
        assert_int_equal(door_allocate(&block, sizes[i], "a test", &error), -1);
        assert_null(block);
        assert_int_equal(error.code, EXIT_MEMORY);
        snprintf(want, sizeof want, "out of memory: a test wants %zu bytes", sizes[i]);
        assert_string_equal(error.text, want);
    }
}

static void sleeping_ends_on_time(void **state)
{
    (void)state;
    int64_t start = door_now_ns();
    door_sleep_until_ns(start + 20000000);
    int64_t slept = door_now_ns() - start;
    assert_true(slept >= 20000000 && slept < 5000000000);
    door_sleep_until_ns(start); /* the past: at once */
}

/* What text_print makes of it; free it. */
static char *printed(int indent, const char *label, const char *text)
{
    char *page = NULL;
    size_t bytes = 0;
    FILE *to = open_memstream(&page, &bytes);
    text_print(to, indent, label, "%s", text);
    fclose(to);
    return page;
}

static void lines_are_broken_between_words(void **state)
{
    (void)state;
    static const struct { int indent; const char *label, *text, *want; } cases[] = {
        { 8, "name", "one two", "name    one two\n" },
        { 4, "a long label ", "one", "a long label one\n" },
        { 4, "", "", "    \n" },
        { 0, "", "1234567890123456789 1234567890123456789 1234567890123456789 12345678901234567890 x",
          "1234567890123456789 1234567890123456789 1234567890123456789 12345678901234567890\nx\n" },
        { 2, "k", "1234567890123456789 1234567890123456789 1234567890123456789 12345678901234567890 x",
          "k 1234567890123456789 1234567890123456789 1234567890123456789\n  12345678901234567890 x\n" },
        { 2, "", "\xc3\xa9\xc3\xa9 234567890123456789 1234567890123456789 1234567890123456789 1234567890123456 x",
          "  \xc3\xa9\xc3\xa9 234567890123456789 1234567890123456789 1234567890123456789 1234567890123456\n  x\n" },
        { 2, "a", "x 12345678901234567890123456789012345678901234567890123456789012345678901234567890 y",
          "a x\n  12345678901234567890123456789012345678901234567890123456789012345678901234567890\n  y\n" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *page = printed(cases[i].indent, cases[i].label, cases[i].text);
        assert_string_equal(page, cases[i].want);
        free(page);
    }
}

int test_base(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, enter_folder, leave_folder)
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(philox_known_answers),
        cmocka_unit_test(keys_differ_by_seed_and_purpose),
        cmocka_unit_test(hash_known_answers),
        cmocka_unit_test(uniforms_stay_below_one),
        cmocka_unit_test(integers_parse_to_their_end),
        cmocka_unit_test(reals_parse_to_their_end),
        cmocka_unit_test(sizes_do_not_wrap),
        cmocka_unit_test(first_failure_is_kept),
        cmocka_unit_test(messages_are_one_line),
        cmocka_unit_test(reason_survives_a_long_path),
        IN_FOLDER(file_is_replaced),
        IN_FOLDER(file_is_old_or_new_whatever_fails),
        IN_FOLDER(first_fault_is_told_when_cleaning_fails_too),
        IN_FOLDER(unwritable_folder_is_told),
        IN_FOLDER(overlong_path_is_refused),
        IN_FOLDER(file_grows_by_appending),
        IN_FOLDER(reading_has_a_limit),
        IN_FOLDER(unreadable_files_are_told),
        IN_FOLDER(reading_survives_faults),
        IN_FOLDER(faults_come_at_the_call_they_are_planned_for),
        IN_FOLDER(faults_come_from_the_environment),
        cmocka_unit_test(memory_is_aligned_and_zeroed),
        cmocka_unit_test(memory_that_is_not_there_is_told),
        cmocka_unit_test(sleeping_ends_on_time),
        cmocka_unit_test(lines_are_broken_between_words),
    };
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
