/* CIFAR-10 in its binary format: five files of training records and one of test records, each record a label byte and 3x32x32 pixels.
 *
 * Opening reads every file once and checks every label. After that a sample is one pread, so the pixels stay in the system's page cache
 * and not in the program's memory; each label is checked again, and a file cut in the meantime is an error of that read. */
#include "data/formats.h"

#include "base/door.h"
#include "base/error.h"
#include "base/text.h"
#include "data/class_names.h"
#include "data/dataset.h"

#include <errno.h>
#include <string.h>

#define FOLDER "cifar-10-batches-bin"

enum {
    CHANNELS = 3, SIDE = 32, PIXELS = CHANNELS * SIDE * SIDE, RECORD = 1 + PIXELS, CLASSES = 10,
    MOST_FILES = 5, AT_ONCE = 256, /* records in one read while opening */
    FOLDER_ROOM = 4000, PATH_ROOM = FOLDER_ROOM + 64,
};

static const char *const files[][MOST_FILES + 1] = {
    [SPLIT_TRAIN] = { "data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin" },
    [SPLIT_TEST] = { "test_batch.bin" },
};

struct records { int fd; int64_t n; };

struct cifar10 {
    char folder[FOLDER_ROOM];
    const char *const *files;           /* as many as there are parts */
    struct records parts[MOST_FILES];
    int n_parts;                        /* open ones */
    struct class_names names;
};

static void path_of(const struct cifar10 *cifar10, const char *file, char path[PATH_ROOM])
{
    struct text text;
    text_begin(&text, path, PATH_ROOM);
    text_add(&text, "%s/%s", cifar10->folder, file);
}

/* Records from..from+n-1 of one file, their labels checked. */
static int read_records(const struct cifar10 *cifar10, int part, int64_t from, int64_t n, uint8_t *to, struct error *error)
{
    const struct records *records = &cifar10->parts[part];
    const char *file = cifar10->files[part];
    int64_t got = door_read_at(records->fd, to, (size_t)n * RECORD, from * RECORD);
    if (got < 0)
        return fail_errno(error, EXIT_INPUT, errno, "%s/%s: record %lld (byte %lld): cannot read", cifar10->folder, file, (long long)from, (long long)from * RECORD);
    for (int64_t i = 0; i < n; i++) {
        long long record = from + i, byte = record * RECORD;
        if (got < (i + 1) * RECORD)
            return fail(error, EXIT_INPUT, "%s/%s: record %lld (byte %lld): the file ends at byte %lld now, it had %lld records when it was opened", cifar10->folder, file,
                        record, byte, (long long)(from * RECORD + got), (long long)records->n);
        if (to[i * RECORD] >= CLASSES)
            return fail(error, EXIT_INPUT, "%s/%s: record %lld (byte %lld): label %d, want 0..%d", cifar10->folder, file, record, byte, to[i * RECORD], CLASSES - 1);
    }
    return 0;
}

static int check_labels(const struct cifar10 *cifar10, int part, uint8_t *room, struct error *error)
{
    int64_t n = cifar10->parts[part].n;
    for (int64_t from = 0; from < n; from += AT_ONCE)
        if (read_records(cifar10, part, from, n - from < AT_ONCE ? n - from : AT_ONCE, room, error))
            return -1;
    return 0;
}

static int check_size(struct records *records, const char *path, struct error *error)
{
    int64_t bytes = door_file_bytes(records->fd);
    if (bytes < 0 && errno == EINVAL)
        return fail(error, EXIT_INPUT, "%s: want a regular file, found something else", path);
    if (bytes < 0)
        return fail_errno(error, EXIT_INPUT, errno, "%s: cannot read", path);
    records->n = bytes / RECORD;
    if (bytes % RECORD)
        return fail(error, EXIT_INPUT, "%s: record %lld (byte %lld): the file ends inside it, at byte %lld; want records of %d bytes", path,
                    (long long)records->n, (long long)records->n * RECORD, (long long)bytes, RECORD);
    if (!records->n)
        return fail(error, EXIT_INPUT, "%s: want at least one record of %d bytes, found an empty file", path, RECORD);
    return 0;
}

static int open_parts(struct cifar10 *cifar10, uint8_t *room, struct error *error)
{
    for (int part = 0; cifar10->files[part]; part++) {
        char path[PATH_ROOM];
        path_of(cifar10, cifar10->files[part], path);
        struct records *records = &cifar10->parts[part];
        records->fd = door_open_read(path);
        if (records->fd < 0)
            return fail_errno(error, EXIT_INPUT, errno, "%s: cannot open", path);
        cifar10->n_parts++;
        if (check_size(records, path, error) || check_labels(cifar10, part, room, error))
            return -1;
    }
    return 0;
}

/* The folder that was asked for, or the one of the archive's name in it. */
static int find_folder(struct cifar10 *cifar10, const char *path, struct error *error)
{
    size_t length = strlen(path);
    if (length + sizeof "/" FOLDER > FOLDER_ROOM)
        return fail(error, EXIT_INPUT, "%.60s...: want a path shorter than %zu characters", path, FOLDER_ROOM - sizeof "/" FOLDER + 1);
    memcpy(cifar10->folder, path, length);
    memcpy(cifar10->folder + length, "/" FOLDER, sizeof "/" FOLDER);
    if (!door_exists(cifar10->folder))
        cifar10->folder[length] = 0;
    return 0;
}

static int open_names(struct cifar10 *cifar10, struct error *error)
{
    char path[PATH_ROOM];
    path_of(cifar10, "batches.meta.txt", path);
    return door_exists(path) ? class_names_open(&cifar10->names, path, CLASSES, error) : 0;
}

static void cifar10_close(struct dataset *dataset)
{
    struct cifar10 *cifar10 = dataset->state;
    for (int part = 0; part < cifar10->n_parts; part++)
        door_close(cifar10->parts[part].fd); /* only read from: nothing can be lost */
    class_names_release(&cifar10->names);
    door_free(cifar10);
}

static int open_all(struct cifar10 *cifar10, const struct dataset_request *request, struct error *error)
{
    void *room;
    cifar10->files = files[request->split];
    if (find_folder(cifar10, request->path, error) || door_allocate(&room, (size_t)AT_ONCE * RECORD, "cifar10 records", error))
        return -1;
    int result = open_parts(cifar10, room, error);
    door_free(room);
    return result ? -1 : open_names(cifar10, error);
}

static int cifar10_open(struct dataset *dataset, const struct dataset_request *request, struct error *error)
{
    if (door_allocate(&dataset->state, sizeof(struct cifar10), "cifar10", error))
        return -1;
    struct cifar10 *cifar10 = dataset->state;
    if (open_all(cifar10, request, error)) {
        cifar10_close(dataset);
        return -1;
    }
    for (int part = 0; part < cifar10->n_parts; part++)
        dataset->n += cifar10->parts[part].n;
    dataset->channels = CHANNELS;
    dataset->height = dataset->width = SIDE;
    dataset->classes = CLASSES;
    dataset->class_names = cifar10->names.names;
    dataset->sample_bytes = PIXELS;
    return 0;
}

static int cifar10_read(const struct dataset *dataset, int64_t index, void *raw, size_t *bytes, int32_t *label, struct error *error)
{
    const struct cifar10 *cifar10 = dataset->state;
    uint8_t record[RECORD];
    int part = 0;
    for (; index >= cifar10->parts[part].n; part++)
        index -= cifar10->parts[part].n;
    if (read_records(cifar10, part, index, 1, record, error))
        return -1;
    *label = record[0];
    *bytes = PIXELS;
    memcpy(raw, record + 1, PIXELS);
    return 0;
}

const struct dataset_format dataset_cifar10 = {
    .name = "cifar10",
    .help = "the binary format: data_batch_1.bin to data_batch_5.bin and test_batch.bin, in a folder " FOLDER,
    .folder = FOLDER,
    .open = cifar10_open,
    .read = cifar10_read,
    .close = cifar10_close,
};
