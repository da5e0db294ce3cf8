/* data/: MNIST's files and everything that can be wrong with them, cut at every byte; datasets by name, by limit, by place. The files
 * are three images of 2x3 pixels in a folder under /tmp; the real ones are read too where they are. */
#include "base/door.h"
#include "base/error.h"
#include "data/dataset.h"
#include "data/idx.h"
#include "tests/tests.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { N = 3, PIXELS = 6, PATH_ROOM = 512, FILE_ROOM = 256 };

#define IMAGES "train-images-idx3-ubyte"
#define LABELS "train-labels-idx1-ubyte"

struct bytes { uint8_t at[FILE_ROOM]; size_t n; };

static const struct bytes images = { { 0, 0, 8, 3, 0, 0, 0, N, 0, 0, 0, 2, 0, 0, 0, 3, 10, 11, 12, 13, 14, 15, 20, 21, 22, 23, 24, 25, 30, 31, 32, 33, 34, 35 }, 34 };
static const struct bytes labels = { { 0, 0, 8, 1, 0, 0, 0, N, 9, 0, 4 }, 11 };

/* The test's folder; root/mnist holds the files. */
struct place { char root[64], folder[PATH_ROOM]; };

static void path_of(const struct place *place, const char *name, char *path) { snprintf(path, PATH_ROOM, "%s/mnist/%s", place->root, name); }

static void put(const struct place *place, const char *name, const struct bytes *bytes)
{
    char path[PATH_ROOM];
    path_of(place, name, path);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes->at, 1, bytes->n, file), bytes->n);
    assert_int_equal(fclose(file), 0);
}

static void take_away(const struct place *place)
{
    static const char *const names[] = { IMAGES, IMAGES ".gz", LABELS, LABELS ".gz" };
    for (int i = 0; i < 4; i++) {
        char path[PATH_ROOM];
        path_of(place, names[i], path);
        remove(path);
    }
}

static struct bytes gzipped(const struct bytes *from)
{
    struct bytes to = { .n = 0 };
    z_stream stream = { .next_in = (uint8_t *)from->at, .avail_in = (unsigned)from->n, .next_out = to.at, .avail_out = FILE_ROOM };
    assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    to.n = stream.total_out;
    deflateEnd(&stream);
    return to;
}

static struct bytes joined(const struct bytes *a, const struct bytes *b)
{
    struct bytes both = *a;
    assert_true(a->n + b->n <= FILE_ROOM);
    memcpy(both.at + a->n, b->at, b->n);
    both.n += b->n;
    return both;
}

static struct bytes changed(const struct bytes *from, size_t at, uint8_t to)
{
    struct bytes bytes = *from;
    bytes.at[at] = to;
    return bytes;
}

static int open_train(const struct place *place, struct dataset *dataset, struct error *error)
{
    *error = (struct error){ 0 };
    return dataset_open(dataset, &(struct dataset_request){ .name = "mnist", .path = place->folder }, error);
}

/* The folder as it stands is refused with "FOLDER/" and this. */
static void assert_refused(const struct place *place, const char *text)
{
    struct error error;
    struct dataset dataset;
    char want[2 * PATH_ROOM];
    snprintf(want, sizeof want, "%s/%s", place->folder, text);
    assert_int_equal(open_train(place, &dataset, &error), -1);
    assert_int_equal(error.code, EXIT_INPUT);
    assert_string_equal(error.text, want);
    assert_null(dataset.state);
}

static void assert_accepted(const struct place *place)
{
    struct error error;
    struct dataset dataset;
    assert_int_equal(open_train(place, &dataset, &error), 0);
    assert_int_equal(dataset.n, N);
    assert_true(dataset.channels == 1 && dataset.height == 2 && dataset.width == 3 && dataset.classes == 10);
    assert_string_equal(dataset.class_names[9], "9");
    for (int i = 0; i < N; i++) {
        uint8_t pixels[PIXELS];
        size_t bytes;
        int32_t label;
        assert_int_equal(dataset.format->read(&dataset, i, pixels, &bytes, &label, &error), 0);
        assert_int_equal(bytes, PIXELS);
        assert_int_equal(label, labels.at[8 + i]);
        assert_memory_equal(pixels, images.at + 16 + PIXELS * i, PIXELS);
    }
    dataset_close(&dataset);
    assert_null(dataset.state);
}

static void plain_and_gzipped_files_are_read(void **state)
{
    const struct place *place = *state;
    struct bytes images_gz = gzipped(&images), labels_gz = gzipped(&labels);
    put(place, IMAGES, &images);
    put(place, LABELS, &labels);
    assert_accepted(place);
    put(place, LABELS ".gz", &labels_gz);
    assert_accepted(place); /* the plain one comes first */
    take_away(place);
    put(place, IMAGES ".gz", &images_gz);
    put(place, LABELS ".gz", &labels_gz);
    assert_accepted(place);
    take_away(place);
    put(place, IMAGES, &images_gz); /* what is gzipped shows in its bytes */
    put(place, LABELS, &labels_gz);
    assert_accepted(place);
    take_away(place);
}

/* As `cat a.gz b.gz` makes them. */
static void gzip_members_are_one_content(void **state)
{
    const struct place *place = *state;
    struct bytes head = { .n = 20 }, tail = { .n = images.n - 20 }, nothing = { .n = 0 };
    memcpy(head.at, images.at, head.n);
    memcpy(tail.at, images.at + head.n, tail.n);
    struct bytes head_gz = gzipped(&head), tail_gz = gzipped(&tail), empty_gz = gzipped(&nothing);
    struct bytes both = joined(&head_gz, &empty_gz);
    both = joined(&both, &tail_gz);
    both = joined(&both, &empty_gz);
    put(place, IMAGES ".gz", &both);
    put(place, LABELS, &labels);
    assert_accepted(place);
    both = joined(&both, &head_gz);
    put(place, IMAGES ".gz", &both);
    assert_refused(place, IMAGES ".gz: unpacked byte 34: want the end of the content, found more");
    take_away(place);
}

/* The file `name`, cut at every byte, is refused, with its name and a byte in the message. */
static void cut_everywhere(const struct place *place, const char *name, const struct bytes *whole)
{
    for (size_t n = 0; n < whole->n; n++) {
        struct error error;
        struct dataset dataset;
        struct bytes cut = *whole;
        char want[PATH_ROOM];
        cut.n = n;
        put(place, name, &cut);
        path_of(place, name, want);
        assert_int_equal(open_train(place, &dataset, &error), -1);
        assert_int_equal(error.code, EXIT_INPUT);
        assert_int_equal(strncmp(error.text, want, strlen(want)), 0);
        if (!strstr(error.text, "byte ") || !strstr(error.text, " ends "))
            fail_msg("cut at %zu: %s", n, error.text);
    }
    put(place, name, whole);
    assert_accepted(place);
}

static void files_cut_at_any_byte_are_refused(void **state)
{
    const struct place *place = *state;
    struct bytes images_gz = gzipped(&images), labels_gz = gzipped(&labels);
    put(place, IMAGES, &images);
    put(place, LABELS, &labels);
    cut_everywhere(place, IMAGES, &images);
    cut_everywhere(place, LABELS, &labels);
    take_away(place);
    put(place, IMAGES ".gz", &images_gz);
    put(place, LABELS ".gz", &labels_gz);
    cut_everywhere(place, IMAGES ".gz", &images_gz);
    cut_everywhere(place, LABELS ".gz", &labels_gz);
    take_away(place);
}

/* The messages in full, plain. */
static void wrong_files_are_named_with_byte_rule_and_finding(void **state)
{
    const struct place *place = *state;
    static const struct { const char *file; struct bytes bytes; const char *text; } wrong[] = {
        { IMAGES, { { 0 }, 0 }, IMAGES ": byte 0: the content ends here, want an IDX header of 16 bytes" },
        { IMAGES, { { 0, 0, 8, 3, 0, 0 }, 6 }, IMAGES ": byte 6: the content ends here, want an IDX header of 16 bytes" },
        { IMAGES, { { 0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 3, 10 }, 17 }, IMAGES ": byte 17: the content ends here, its header promises 34 bytes" },
        { IMAGES, { { 0, 0, 8, 1, 0, 0, 0, 3, 1, 2, 3 }, 11 },
          IMAGES ": byte 0: want the magic number 0x00000803 (IDX, 3 dimensions of unsigned bytes), found 0x00000801" },
        { IMAGES, { { 0, 0, 8, 3, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 3 }, 16 }, IMAGES ": byte 4: want 1..2147483647 items, found 0" },
        { IMAGES, { { 0, 0, 8, 3, 128, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 3 }, 16 }, IMAGES ": byte 4: want 1..2147483647 items, found 2147483648" },
        { IMAGES, { { 0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 16, 1, 0, 0, 0, 3 }, 16 }, IMAGES ": byte 8: want 1..4096 rows, found 4097" },
        { IMAGES, { { 0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 0 }, 16 }, IMAGES ": byte 12: want 1..4096 columns, found 0" },
        { IMAGES, { { 0, 0, 8, 3, 127, 255, 255, 255, 0, 0, 16, 0, 0, 0, 16, 0 }, 16 },
          IMAGES ": byte 16: the content ends here, its header promises 36028797002186768 bytes" },
        { LABELS, { { 0, 0, 8, 1, 0, 0, 0, 3, 9, 0, 4, 0 }, 12 }, LABELS ": byte 11: want the end of the content, found more" },
        { LABELS, { { 0, 0, 8, 1, 0, 0, 0, 3, 9, 10, 4 }, 11 }, LABELS ": byte 9: label 10 of sample 1, want 0..9" },
        { LABELS, { { 0, 0, 8, 1, 0, 0, 0, 2, 9, 0 }, 10 }, LABELS ": byte 4: want as many labels as there are images in " IMAGES " (3), found 2" },
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        put(place, IMAGES, &images);
        put(place, LABELS, &labels);
        put(place, wrong[i].file, &wrong[i].bytes);
        assert_refused(place, wrong[i].text);
    }
    take_away(place);
}

static void wrong_gzipped_files_too(void **state)
{
    const struct place *place = *state;
    struct bytes label_10 = changed(&labels, 9, 10), huge = { { 0, 0, 8, 3, 127, 255, 255, 255, 0, 0, 16, 0, 0, 0, 16, 0 }, 16 };
    struct bytes trailing = joined(&images, &(struct bytes){ { 1 }, 1 });
    struct bytes whole = gzipped(&images), torn = whole;
    torn.n -= 3;
    char text[PATH_ROOM];
    const struct { struct bytes bytes; const char *text; } wrong[] = {
        { gzipped(&huge), ": unpacked byte 4: the header promises 36028797002186768 bytes, more than %zu gzipped bytes can hold" },
        { gzipped(&trailing), ": unpacked byte 34: want the end of the content, found more" },
        { torn, ": byte %zu: the file ends inside its gzipped data, after 34 unpacked bytes" },
        { changed(&whole, whole.n - 8, (uint8_t)~whole.at[whole.n - 8]), ": byte %zu: want gzipped data, found incorrect data check" },
        { changed(&whole, whole.n - 4, 35), ": byte %zu: want gzipped data, found incorrect length check" },
    };
    put(place, LABELS, &labels);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        put(place, IMAGES ".gz", &wrong[i].bytes);
        /* Both checks are found wrong when their last byte is in. */
        size_t at = wrong[i].bytes.n - (strstr(wrong[i].text, "data check") ? 4 : 0);
        int used = snprintf(text, sizeof text, "%s", IMAGES ".gz");
        snprintf(text + used, sizeof text - (size_t)used, wrong[i].text, at);
        assert_refused(place, text);
    }
    for (int garbage = 0; garbage < 2; garbage++) {
        struct bytes followed = joined(&whole, &(struct bytes){ { garbage ? 'x' : 0 }, 1 });
        put(place, IMAGES ".gz", &followed);
        snprintf(text, sizeof text, IMAGES ".gz: byte %zu: want the end of the file or another gzip member, found byte 0x%02x", whole.n, garbage ? 'x' : 0);
        assert_refused(place, text);
    }
    put(place, IMAGES ".gz", &whole);
    take_away(place);
    put(place, IMAGES, &images);
    struct bytes label_10_gz = gzipped(&label_10);
    put(place, LABELS ".gz", &label_10_gz);
    assert_refused(place, LABELS ".gz: unpacked byte 9: label 10 of sample 1, want 0..9");
    take_away(place);
}

static void missing_and_unreadable_files_are_named(void **state)
{
    const struct place *place = *state;
    char text[2 * PATH_ROOM], path[PATH_ROOM];
    snprintf(text, sizeof text, IMAGES ": no such file, and no %s/" IMAGES ".gz", place->folder);
    assert_refused(place, text);

    path_of(place, IMAGES, path);
    assert_int_equal(mkdir(path, 0777), 0);
    assert_refused(place, IMAGES ": cannot read: Is a directory");
    assert_int_equal(rmdir(path), 0);

    put(place, IMAGES, &images);
    put(place, LABELS, &labels);
    door_fail_at(DOOR_OPEN, 1, EACCES, false);
    assert_refused(place, IMAGES ": cannot open: Permission denied");
    door_fail_at(DOOR_READ, 1, EIO, false);
    assert_refused(place, IMAGES ": byte 0: cannot read: Input/output error");
    door_fail_at(DOOR_CLOSE, 1, EIO, false);
    assert_refused(place, IMAGES ": cannot close: Input/output error");
    door_fail_at(DOOR_CLOSE, 0, 0, false);
    assert_accepted(place);
    take_away(place);
}

/* Every allocation on the way fails once; zlib's are among them. */
static void memory_that_runs_out_is_an_error(void **state)
{
    const struct place *place = *state;
    struct bytes images_gz = gzipped(&images);
    struct error error;
    struct dataset dataset;
    put(place, IMAGES ".gz", &images_gz);
    put(place, LABELS, &labels);
    int failed = 0;
    for (;; failed++) {
        door_fail_at(DOOR_ALLOCATE, failed + 1, ENOMEM, false);
        if (open_train(place, &dataset, &error) == 0)
            break;
        assert_int_equal(error.code, EXIT_MEMORY);
        assert_int_equal(strncmp(error.text, "out of memory: ", 15), 0);
    }
    door_fail_at(DOOR_ALLOCATE, 0, 0, false);
    dataset_close(&dataset);
    assert_in_range(failed, 4, 16);
    take_away(place);
}

/* A header of absurd size is refused before its size is asked for. */
static void absurd_sizes_allocate_nothing(void **state)
{
    (void)state;
    static const uint8_t absurd[] = { 0, 0, 8, 3, 0, 255, 255, 255, 0, 0, 16, 0, 0, 0, 16, 0, 1, 2, 3 };
    struct error error = { 0 };
    struct idx idx;
    int64_t before = door_calls(DOOR_ALLOCATE);
    assert_int_equal(idx_parse(&idx, "absurd", absurd, sizeof absurd, 3, &error), -1);
    assert_int_equal(door_calls(DOOR_ALLOCATE), before);
    assert_string_equal(error.text, "absurd: byte 19: the content ends here, its header promises 281474959933456 bytes");
}

static void datasets_have_names_limits_and_folders(void **state)
{
    const struct place *place = *state;
    struct dataset dataset;
    static const struct { struct dataset_request request; const char *text; } wrong[] = {
        { { .name = "mnits" }, "want one of mnist, cifar10, synthetic, synthetic-cifar10, synthetic-imagenet, found \"mnits\"; the nearest is mnist" },
        { { .name = "mnist" }, "dataset mnist: want the folder that holds it, found none" },
        { { .name = "synthetic", .limit = -1 }, "dataset synthetic: want a limit of 0 (all) or more samples, found -1" },
        { { .name = "synthetic", .side = 64 }, "dataset synthetic: want data.size = 0, its images have a size of their own, found 64" },
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct error error = { 0 };
        assert_int_equal(dataset_open(&dataset, &wrong[i].request, &error), -1);
        assert_int_equal(error.code, EXIT_USAGE);
        assert_string_equal(error.text, wrong[i].text);
        dataset_close(&dataset);
    }
    put(place, IMAGES, &images);
    put(place, LABELS, &labels);
    static const struct { int64_t limit, n; } limits[] = { { 0, 3 }, { 1, 1 }, { 3, 3 }, { 4, 3 } };
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        struct error error = { 0 };
        struct dataset_request request = { .name = "mnist", .path = place->folder, .limit = limits[i].limit };
        assert_int_equal(dataset_open(&dataset, &request, &error), 0);
        assert_int_equal(dataset.n, limits[i].n);
        dataset_close(&dataset);
    }
    take_away(place);
}

static void auto_looks_in_the_environment_and_then_beside(void **state)
{
    const struct place *place = *state;
    char path[PATH_ROOM], here[PATH_ROOM], want[2 * PATH_ROOM], beside[PATH_ROOM];
    struct error error = { 0 };
    const char *set = getenv("ONESTEP_DATA");
    char *before = set ? strdup(set) : NULL;
    assert_non_null(getcwd(here, sizeof here));
    assert_int_equal(chdir(place->root), 0);

    setenv("ONESTEP_DATA", place->root, 1);
    assert_int_equal(dataset_find("mnist", path, sizeof path, &error), 0);
    assert_string_equal(path, place->folder);
    assert_int_equal(dataset_find("synthetic", path, sizeof path, &error), 0);
    assert_string_equal(path, "");

    setenv("ONESTEP_DATA", "/nowhere", 1);
    assert_int_equal(dataset_find("mnist", path, sizeof path, &error), -1);
    assert_int_equal(error.code, EXIT_INPUT);
    assert_string_equal(error.text, "dataset mnist: not in /nowhere/mnist, nor in datasets/mnist");
    snprintf(beside, sizeof beside, "%s/datasets", place->root);
    snprintf(want, sizeof want, "%s/datasets/mnist", place->root);
    assert_true(mkdir(beside, 0777) == 0 && mkdir(want, 0777) == 0);
    error = (struct error){ 0 };
    assert_int_equal(dataset_find("mnist", path, sizeof path, &error), 0);
    assert_string_equal(path, "datasets/mnist");
    assert_true(rmdir(want) == 0 && rmdir(beside) == 0);

    unsetenv("ONESTEP_DATA");
    assert_int_equal(dataset_find("mnist", path, sizeof path, &error), -1);
    assert_string_equal(error.text, "dataset mnist: not in datasets/mnist, and ONESTEP_DATA is not set");
    error = (struct error){ 0 };
    assert_int_equal(dataset_find("nmist", path, sizeof path, &error), -1);
    assert_int_equal(error.code, EXIT_USAGE);

    if (before)
        setenv("ONESTEP_DATA", before, 1);
    free(before);
    assert_int_equal(chdir(here), 0);
}

/* The pixels' mean that everybody normalizes by, and the first labels that everybody has seen. */
static void assert_real(const char *folder, enum split split, int64_t n, double mean, const char *first_labels)
{
    struct error error = { 0 };
    struct dataset dataset;
    struct dataset_request request = { .name = "mnist", .path = folder, .split = split };
    if (dataset_open(&dataset, &request, &error))
        fail_msg("%s", error.text);
    assert_int_equal(dataset.n, n);
    assert_true(dataset.height == 28 && dataset.width == 28 && dataset.sample_bytes == 784);
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        uint8_t pixels[784];
        size_t bytes;
        int32_t label;
        assert_int_equal(dataset.format->read(&dataset, i, pixels, &bytes, &label, &error), 0);
        if (first_labels[0])
            assert_int_equal(label, *first_labels++ - '0');
        for (int p = 0; p < 784; p++)
            sum += pixels[p];
    }
    double found = sum / (255.0 * 784 * (double)n);
    assert_true(found > mean - 0.00005 && found < mean + 0.00005);
    dataset_close(&dataset);
}

static void real_mnist_is_read(void **state)
{
    (void)state;
    const char *root = getenv("ONESTEP_DATA");
    char folder[PATH_ROOM] = "";
    if (root)
        snprintf(folder, sizeof folder, "%s/mnist", root);
    if (!door_exists(folder))
        snprintf(folder, sizeof folder, "../shared/data/mnist");
    if (!door_exists(folder))
        test_skip("no MNIST in ONESTEP_DATA or ../shared/data");
    assert_real(folder, SPLIT_TRAIN, 60000, 0.13066, "5041921314");
    assert_real(folder, SPLIT_TEST, 10000, 0.13251, "7210414959");
}

static int make_place(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    const char *temporary = getenv("TMPDIR");
    if (!place)
        return -1;
    if ((size_t)snprintf(place->root, sizeof place->root, "%s/onestep-data-XXXXXX", temporary ? temporary : "/tmp") >= sizeof place->root)
        snprintf(place->root, sizeof place->root, "/tmp/onestep-data-XXXXXX");
    if (!mkdtemp(place->root))
        return -1;
    snprintf(place->folder, sizeof place->folder, "%s/mnist", place->root);
    *state = place;
    return mkdir(place->folder, 0777);
}

static int remove_place(void **state)
{
    struct place *place = *state;
    take_away(place);
    int result = rmdir(place->folder) || rmdir(place->root);
    free(place);
    return result;
}

int test_data(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_and_gzipped_files_are_read),
        cmocka_unit_test(gzip_members_are_one_content),
        cmocka_unit_test(files_cut_at_any_byte_are_refused),
        cmocka_unit_test(wrong_files_are_named_with_byte_rule_and_finding),
        cmocka_unit_test(wrong_gzipped_files_too),
        cmocka_unit_test(missing_and_unreadable_files_are_named),
        cmocka_unit_test(memory_that_runs_out_is_an_error),
        cmocka_unit_test(absurd_sizes_allocate_nothing),
        cmocka_unit_test(datasets_have_names_limits_and_folders),
        cmocka_unit_test(auto_looks_in_the_environment_and_then_beside),
        cmocka_unit_test(real_mnist_is_read),
    };
    return cmocka_run_group_tests_name("data", tests, make_place, remove_place);
}
