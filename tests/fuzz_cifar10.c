/* libFuzzer's entry to the CIFAR-10 reader. The input is the length of batches.meta.txt, a number of bytes too many, the names, and then a label for
 * each record of test_batch.bin: what is opened must follow from them, whatever they are. Seeds and past failures are in tests/inputs/cifar10. */
#include "base/error.h"
#include "data/dataset.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

enum { RECORD = 3073, MOST_RECORDS = 300 };

static char folder[] = "/tmp/onestep-fuzz-XXXXXX", names_path[64], records_path[64];

static void leave(void)
{
    unlink(names_path);
    unlink(records_path);
    rmdir(folder);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    ASSERT(mkdtemp(folder));
    snprintf(names_path, sizeof names_path, "%s/batches.meta.txt", folder);
    snprintf(records_path, sizeof records_path, "%s/test_batch.bin", folder);
    return atexit(leave);
}

static void put_names(const uint8_t *names, size_t n)
{
    unlink(names_path);
    if (!n)
        return;
    int fd = open(names_path, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    ASSERT(fd >= 0 && write(fd, names, n) == (ssize_t)n && close(fd) == 0);
}

/* All pixels are 0. */
static void put_records(const uint8_t *labels, size_t n, size_t extra)
{
    int fd = open(records_path, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    ASSERT(fd >= 0 && ftruncate(fd, (off_t)(n * RECORD + extra)) == 0);
    for (size_t i = 0; i < n; i++)
        ASSERT(pwrite(fd, &labels[i], 1, (off_t)(i * RECORD)) == 1);
    ASSERT(close(fd) == 0);
}

static void check_names(const char *const *names)
{
    for (int c = 0; c < 10; c++) {
        ASSERT(names[c][0] && strlen(names[c]) < 64);
        for (const char *at = names[c]; *at; at++)
            ASSERT(*at >= ' ' && *at <= '~');
    }
}

static void check_samples(const struct dataset *dataset, const uint8_t *labels)
{
    struct error error = { 0 };
    uint8_t pixels[RECORD - 1];
    for (int64_t i = 0; i < dataset->n; i++) {
        size_t bytes;
        int32_t label;
        ASSERT(dataset->format->read(dataset, i, pixels, &bytes, &label, &error) == 0);
        ASSERT(bytes == sizeof pixels && label == labels[i] && pixels[0] == 0 && pixels[bytes - 1] == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    if (n < 2 || n - 2 < bytes[0] || n - 2 - bytes[0] > MOST_RECORDS)
        return 0;
    const uint8_t *names = bytes + 2, *labels = names + bytes[0];
    size_t records = n - 2 - bytes[0];
    int in_range = 1;
    for (size_t i = 0; i < records; i++)
        in_range &= labels[i] < 10;
    put_names(names, bytes[0]);
    put_records(labels, records, bytes[1]);
    struct error error = { 0 };
    struct dataset dataset;
    if (dataset_open(&dataset, &(struct dataset_request){ .name = "cifar10", .path = folder, .split = SPLIT_TEST }, &error)) {
        ASSERT((error.code == EXIT_INPUT || error.code == EXIT_MEMORY) && error.text[0]);
        ASSERT(bytes[0] || bytes[1] || !records || !in_range || error.code == EXIT_MEMORY);
        return 0;
    }
    ASSERT(error.code == 0 && bytes[1] == 0 && in_range && (size_t)dataset.n == records);
    if (dataset.class_names)
        check_names(dataset.class_names);
    check_samples(&dataset, labels);
    dataset_close(&dataset);
    return 0;
}
