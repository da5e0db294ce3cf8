/* data/cifar10: where its files are looked for, known pixels, and everything that can be wrong with them: cut, lengthened, swapped for something
 * else, labels out of range, reads that fail, changes after opening. The files here have a few records each; the real ones are read too
 * where they are. */
#include "base/door.h"
#include "base/error.h"
#include "data/dataset.h"
#include "tests/tests.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIXELS = 3072, RECORD = 1 + PIXELS, PATH_ROOM = 256, MOST = 300, FILES = 6, TEST = 5 };

static const char *const names[FILES] = { "data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin", "test_batch.bin" };

/* Records in each file: one file takes two reads while it is opened. */
static const int64_t counts[FILES] = { 3, 2, 300, 1, 4, 2 };
enum { TRAIN_N = 310, BIG = 2, BEFORE_BIG = 5 };

/* The test's folder; root/cifar-10-batches-bin holds the files. */
struct place { char root[64], folder[PATH_ROOM]; };

static uint8_t label_of(int file, int64_t record) { return (uint8_t)((file * 3 + record * 7) % 10); }
static uint8_t pixel_of(int file, int64_t record, int p) { return (uint8_t)(file * 50 + record * 11 + p + p / 256); }

static void path_of(const struct place *place, const char *name, char path[2 * PATH_ROOM]) { snprintf(path, 2 * PATH_ROOM, "%s/%s", place->folder, name); }

static void put(const struct place *place, const char *name, const void *bytes, size_t n)
{
    char path[2 * PATH_ROOM];
    path_of(place, name, path);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

static void put_records(const struct place *place, int file)
{
    static uint8_t records[MOST * RECORD];
    for (int64_t i = 0; i < counts[file]; i++) {
        records[i * RECORD] = label_of(file, i);
        for (int p = 0; p < PIXELS; p++)
            records[i * RECORD + 1 + p] = pixel_of(file, i, p);
    }
    put(place, names[file], records, (size_t)counts[file] * RECORD);
}

static void remove_file(const struct place *place, const char *name)
{
    char path[2 * PATH_ROOM];
    path_of(place, name, path);
    remove(path);
}

/* One byte of a file. */
static void poke(const struct place *place, int file, int64_t at, uint8_t to)
{
    char path[2 * PATH_ROOM];
    path_of(place, names[file], path);
    int fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, &to, 1, at), 1);
    close(fd);
}

static void resize(const struct place *place, int file, int64_t bytes)
{
    char path[2 * PATH_ROOM];
    path_of(place, names[file], path);
    assert_int_equal(truncate(path, bytes), 0);
}

static int open_split(const char *folder, enum split split, struct dataset *dataset, struct error *error)
{
    *error = (struct error){ 0 };
    return dataset_open(dataset, &(struct dataset_request){ .name = "cifar10", .path = folder, .split = split }, error);
}

static void assert_text(const struct place *place, const struct error *error, const char *text)
{
    char want[1024];
    snprintf(want, sizeof want, "%s/%s", place->folder, text);
    assert_string_equal(error->text, want);
    assert_int_equal(error->code, EXIT_INPUT);
}

static void assert_refused(const struct place *place, enum split split, const char *text)
{
    struct error error;
    struct dataset dataset;
    assert_int_equal(open_split(place->root, split, &dataset, &error), -1);
    assert_text(place, &error, text);
    assert_null(dataset.state);
}

static void assert_sample(const struct dataset *dataset, int64_t index, int file, int64_t record)
{
    uint8_t pixels[PIXELS];
    size_t bytes;
    int32_t label;
    struct error error = { 0 };
    assert_int_equal(dataset->format->read(dataset, index, pixels, &bytes, &label, &error), 0);
    assert_int_equal(bytes, PIXELS);
    assert_int_equal(label, label_of(file, record));
    for (int p = 0; p < PIXELS; p++)
        assert_int_equal(pixels[p], pixel_of(file, record, p));
}

static void assert_whole(const char *folder)
{
    struct error error;
    struct dataset dataset;
    assert_int_equal(open_split(folder, SPLIT_TRAIN, &dataset, &error), 0);
    assert_int_equal(dataset.n, TRAIN_N);
    assert_true(dataset.channels == 3 && dataset.height == 32 && dataset.width == 32 && dataset.classes == 10);
    assert_int_equal(dataset.sample_bytes, PIXELS);
    int64_t index = 0;
    for (int file = 0; file < TEST; file++)
        for (int64_t i = 0; i < counts[file]; i++)
            assert_sample(&dataset, index++, file, i);
    dataset_close(&dataset);
    assert_int_equal(open_split(folder, SPLIT_TEST, &dataset, &error), 0);
    assert_int_equal(dataset.n, counts[TEST]);
    assert_sample(&dataset, 1, TEST, 1);
    dataset_close(&dataset);
    assert_null(dataset.state);
}

static void the_folder_or_its_parent_is_read(void **state)
{
    const struct place *place = *state;
    assert_whole(place->folder);
    assert_whole(place->root);
}

static void the_archive_s_folder_is_found(void **state)
{
    const struct place *place = *state;
    char path[PATH_ROOM], want[2 * PATH_ROOM];
    struct error error = { 0 };
    const char *set = getenv("ONESTEP_DATA");
    char *before = set ? strdup(set) : NULL;
    setenv("ONESTEP_DATA", place->root, 1);
    assert_int_equal(dataset_find("cifar10", path, sizeof path, &error), 0);
    assert_string_equal(path, place->folder);
    setenv("ONESTEP_DATA", "/nowhere", 1);
    if (!door_exists("datasets/cifar-10-batches-bin")) {
        assert_int_equal(dataset_find("cifar10", path, sizeof path, &error), -1);
        snprintf(want, sizeof want, "dataset cifar10: not in /nowhere/cifar-10-batches-bin, nor in datasets/cifar-10-batches-bin");
        assert_string_equal(error.text, want);
    }
    if (before)
        setenv("ONESTEP_DATA", before, 1);
    else
        unsetenv("ONESTEP_DATA");
    free(before);
}

static void classes_have_the_names_of_the_meta_file(void **state)
{
    const struct place *place = *state;
    static const struct { const char *text, *wrong; } files[] = {
        { "aa\nb\nc\nd\ne\nf\ng\nh\ni\njj", NULL },
        { "aa\r\nb\r\nc\r\nd\r\ne\r\nf\r\ng\r\nh\r\ni\r\njj\r\n\r\n\n", NULL },
        { "", "want 10 class names, one a line, found fewer" },
        { "aa\nb\nc\nd\ne\nf\ng\nh\ni\n", "want 10 class names, one a line, found fewer" },
        { "aa\n\nc\nd\ne\nf\ng\nh\ni\njj\n", "line 2: want a class name of 1..63 characters, found 0" },
        { "0123456789012345678901234567890123456789012345678901234567890123\n", "line 1: want a class name of 1..63 characters, found 64" },
        { "aa\nb\nc\nd\ne\nf\ng\nh\ni\njj\n\nk\n", "line 12: want nothing after 10 class names, found 1 characters" },
        { "aa\nb\nc\x1b[2Jc\nd\ne\nf\ng\nh\ni\njj\n", "line 3: want a class name in printable ASCII, found byte 0x1b" },
    };
    struct error error;
    struct dataset dataset;
    assert_int_equal(open_split(place->root, SPLIT_TEST, &dataset, &error), 0);
    assert_null(dataset.class_names);
    dataset_close(&dataset);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        put(place, "batches.meta.txt", files[i].text, strlen(files[i].text));
        if (files[i].wrong) {
            char text[PATH_ROOM];
            snprintf(text, sizeof text, "batches.meta.txt: %s", files[i].wrong);
            assert_refused(place, SPLIT_TEST, text);
            continue;
        }
        assert_int_equal(open_split(place->root, SPLIT_TEST, &dataset, &error), 0);
        assert_string_equal(dataset.class_names[0], "aa");
        assert_string_equal(dataset.class_names[8], "i");
        assert_string_equal(dataset.class_names[9], "jj");
        dataset_close(&dataset);
    }
    remove_file(place, "batches.meta.txt");
}

/* Wherever a file of two records is cut or lengthened, but at a record's end. */
static void files_of_broken_records_are_refused(void **state)
{
    const struct place *place = *state;
    char text[PATH_ROOM];
    for (int64_t bytes = 1; bytes < 3 * RECORD; bytes += bytes < 10 || bytes % RECORD > RECORD - 10 || bytes % RECORD < 10 ? 1 : 61) {
        resize(place, TEST, bytes);
        if (bytes % RECORD == 0)
            continue;
        snprintf(text, sizeof text, "test_batch.bin: record %d (byte %d): the file ends inside it, at byte %d; want records of 3073 bytes", (int)(bytes / RECORD),
                 (int)(bytes / RECORD * RECORD), (int)bytes);
        assert_refused(place, SPLIT_TEST, text);
    }
    resize(place, TEST, 0);
    assert_refused(place, SPLIT_TEST, "test_batch.bin: want at least one record of 3073 bytes, found an empty file");
    put_records(place, TEST);
    resize(place, BIG, counts[BIG] * RECORD - 1);
    assert_refused(place, SPLIT_TRAIN, "data_batch_3.bin: record 299 (byte 918827): the file ends inside it, at byte 921899; want records of 3073 bytes");
    put_records(place, BIG);
    assert_whole(place->root);
}

static void labels_out_of_range_are_named(void **state)
{
    const struct place *place = *state;
    poke(place, BIG, 0, 10);
    assert_refused(place, SPLIT_TRAIN, "data_batch_3.bin: record 0 (byte 0): label 10, want 0..9");
    put_records(place, BIG);
    poke(place, BIG, 299 * RECORD, 255);
    assert_refused(place, SPLIT_TRAIN, "data_batch_3.bin: record 299 (byte 918827): label 255, want 0..9");
    put_records(place, BIG);
    poke(place, BIG, 299 * RECORD - 1, 255); /* the pixel before it may be anything */
    struct error error;
    struct dataset dataset;
    assert_int_equal(open_split(place->root, SPLIT_TRAIN, &dataset, &error), 0);
    dataset_close(&dataset);
    put_records(place, BIG);
}

/* Each file in turn missing, a folder, a pipe. */
static void what_is_no_file_is_named(void **state)
{
    const struct place *place = *state;
    for (int file = 0; file < FILES; file++) {
        char path[2 * PATH_ROOM], text[PATH_ROOM];
        enum split split = file == TEST ? SPLIT_TEST : SPLIT_TRAIN;
        path_of(place, names[file], path);
        remove(path);
        snprintf(text, sizeof text, "%s: cannot open: No such file or directory", names[file]);
        assert_refused(place, split, text);
        assert_int_equal(mkdir(path, 0777), 0);
        snprintf(text, sizeof text, "%s: cannot read: Is a directory", names[file]);
        assert_refused(place, split, text);
        assert_int_equal(rmdir(path), 0);
        assert_int_equal(mkfifo(path, 0666), 0);
        snprintf(text, sizeof text, "%s: want a regular file, found something else", names[file]);
        assert_refused(place, split, text);
        remove(path);
        put_records(place, file);
    }
    struct error error;
    struct dataset dataset;
    char endless[8000];
    memset(endless, 'x', sizeof endless - 1);
    endless[sizeof endless - 1] = 0;
    assert_int_equal(open_split(endless, SPLIT_TRAIN, &dataset, &error), -1);
    assert_non_null(strstr(error.text, "want a path shorter than"));
    assert_int_equal(open_split("/nowhere", SPLIT_TRAIN, &dataset, &error), -1);
    assert_string_equal(error.text, "/nowhere/data_batch_1.bin: cannot open: No such file or directory");
}

/* Every call of a kind fails once on the way; returns how many there are. */
static int fail_each(const struct place *place, enum door_call call, int number, int code, const char *end)
{
    struct error error;
    struct dataset dataset;
    int n = 0;
    for (;; n++) {
        door_fail_at(call, n + 1, number, false);
        if (open_split(place->root, SPLIT_TRAIN, &dataset, &error) == 0)
            break;
        assert_int_equal(error.code, code);
        assert_null(dataset.state);
        if (strlen(error.text) < strlen(end) || strcmp(error.text + strlen(error.text) - strlen(end), end) != 0)
            fail_msg("%s, want \"...%s\"", error.text, end);
    }
    door_fail_at(call, 0, 0, false);
    dataset_close(&dataset);
    return n;
}

static void every_call_may_fail(void **state)
{
    const struct place *place = *state;
    put(place, "batches.meta.txt", "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n\n", 21);
    assert_int_equal(fail_each(place, DOOR_OPEN, EACCES, EXIT_INPUT, ": cannot open: Permission denied"), TEST + 1);
    assert_int_equal(fail_each(place, DOOR_READ, EIO, EXIT_INPUT, ": cannot read: Input/output error"), TEST + 2);
    assert_int_equal(fail_each(place, DOOR_ALLOCATE, ENOMEM, EXIT_MEMORY, " bytes"), 4);
    int64_t allocated = door_calls(DOOR_ALLOCATE);
    struct error error;
    struct dataset dataset;
    assert_int_equal(open_split(place->root, SPLIT_TRAIN, &dataset, &error), 0);
    assert_int_equal(door_calls(DOOR_ALLOCATE) - allocated, 4);
    door_fail_at(DOOR_READ, 1, EIO, false);
    uint8_t pixels[PIXELS];
    size_t bytes;
    int32_t label;
    assert_int_equal(dataset.format->read(&dataset, BEFORE_BIG + 7, pixels, &bytes, &label, &error), -1);
    assert_text(place, &error, "data_batch_3.bin: record 7 (byte 21511): cannot read: Input/output error");
    dataset_close(&dataset);
    remove_file(place, "batches.meta.txt");
}

/* What happens to a file after it was opened shows in the read, not in a signal. */
static void a_file_changed_in_use_is_an_error(void **state)
{
    const struct place *place = *state;
    struct error error;
    struct dataset dataset;
    uint8_t pixels[PIXELS];
    size_t bytes;
    int32_t label;
    assert_int_equal(open_split(place->root, SPLIT_TRAIN, &dataset, &error), 0);
    poke(place, BIG, 7 * RECORD, 99);
    assert_int_equal(dataset.format->read(&dataset, BEFORE_BIG + 7, pixels, &bytes, &label, &error), -1);
    assert_text(place, &error, "data_batch_3.bin: record 7 (byte 21511): label 99, want 0..9");
    resize(place, BIG, 8 * RECORD + 100);
    error = (struct error){ 0 };
    assert_int_equal(dataset.format->read(&dataset, BEFORE_BIG + 8, pixels, &bytes, &label, &error), -1);
    assert_text(place, &error, "data_batch_3.bin: record 8 (byte 24584): the file ends at byte 24684 now, it had 300 records when it was opened");
    assert_sample(&dataset, BEFORE_BIG + 6, BIG, 6);
    dataset_close(&dataset);
    put_records(place, BIG);
}

/* Every class has a tenth of each split, and the channels' means are about those that everybody normalizes by. */
static void assert_real(const char *folder, enum split split, int64_t n)
{
    static const double usual[3] = { 0.4914, 0.4822, 0.4465 };
    struct error error;
    struct dataset dataset;
    double sums[3] = { 0 };
    int64_t of_class[10] = { 0 };
    if (open_split(folder, split, &dataset, &error))
        fail_msg("%s", error.text);
    assert_int_equal(dataset.n, n);
    for (int64_t i = 0; i < n; i++) {
        uint8_t pixels[PIXELS];
        size_t bytes;
        int32_t label;
        assert_int_equal(dataset.format->read(&dataset, i, pixels, &bytes, &label, &error), 0);
        of_class[label]++;
        for (int p = 0; p < PIXELS; p++)
            sums[p / 1024] += pixels[p];
    }
    for (int c = 0; c < 10; c++)
        assert_int_equal(of_class[c], n / 10);
    for (int c = 0; c < 3; c++) {
        double mean = sums[c] / (255.0 * 1024 * (double)n);
        assert_true(mean > usual[c] - 0.01 && mean < usual[c] + 0.01);
    }
    if (dataset.class_names)
        assert_string_equal(dataset.class_names[1], "automobile");
    dataset_close(&dataset);
}

static void real_cifar10_is_read(void **state)
{
    (void)state;
    char path[PATH_ROOM * 4];
    struct error error = { 0 };
    if (dataset_find("cifar10", path, sizeof path, &error))
        test_skip("no CIFAR-10 in ONESTEP_DATA or datasets/");
    assert_real(path, SPLIT_TRAIN, 50000);
    assert_real(path, SPLIT_TEST, 10000);
}

static int make_files(void **state)
{
    static struct place place;
    strcpy(place.root, "/tmp/onestep-test-XXXXXX");
    if (!mkdtemp(place.root))
        return -1;
    snprintf(place.folder, sizeof place.folder, "%s/cifar-10-batches-bin", place.root);
    *state = &place;
    if (mkdir(place.folder, 0777))
        return -1;
    for (int file = 0; file < FILES; file++)
        put_records(&place, file);
    return 0;
}

static int remove_files(void **state)
{
    const struct place *place = *state;
    for (int file = 0; file < FILES; file++)
        remove_file(place, names[file]);
    return rmdir(place->folder) || rmdir(place->root);
}

int test_cifar10(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_folder_or_its_parent_is_read),
        cmocka_unit_test(the_archive_s_folder_is_found),
        cmocka_unit_test(classes_have_the_names_of_the_meta_file),
        cmocka_unit_test(files_of_broken_records_are_refused),
        cmocka_unit_test(labels_out_of_range_are_named),
        cmocka_unit_test(what_is_no_file_is_named),
        cmocka_unit_test(every_call_may_fail),
        cmocka_unit_test(a_file_changed_in_use_is_an_error),
        cmocka_unit_test(real_cifar10_is_read),
    };
    return cmocka_run_group_tests_name("cifar10", tests, make_files, remove_files);
}
