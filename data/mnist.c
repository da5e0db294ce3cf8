/* MNIST and its likes: images and labels in IDX files, both read whole when the dataset is opened. */
#include "data/formats.h"

#include "base/door.h"
#include "base/error.h"
#include "data/dataset.h"
#include "data/idx.h"

#include <stdio.h>
#include <string.h>

enum { CLASSES = 10, PATH_ROOM = 4096 };

struct mnist { struct idx images, labels; };

const char *const digit_names[CLASSES] = { "0", "1", "2", "3", "4", "5", "6", "7", "8", "9" };

static const char *const prefixes[] = { [SPLIT_TRAIN] = "train", [SPLIT_TEST] = "t10k" };

static int open_part(struct idx *idx, const struct dataset_request *request, const char *part, int dimensions, char *path, struct error *error)
{
    if ((size_t)snprintf(path, PATH_ROOM, "%s/%s-%s", request->path, prefixes[request->split], part) >= PATH_ROOM)
        return fail(error, EXIT_INPUT, "%.60s...: want a path shorter than %d characters", request->path, PATH_ROOM - 32);
    return idx_open(idx, path, dimensions, error);
}

static int check_labels(const struct idx *labels, const char *path, struct error *error)
{
    for (int64_t i = 0; i < labels->n; i++)
        if (labels->items[i] >= CLASSES)
            return fail(error, EXIT_INPUT, "%s%s: %s %lld: label %d of sample %lld, want 0..%d", path, labels->gzipped ? ".gz" : "",
                        labels->gzipped ? "unpacked byte" : "byte", (long long)labels->header_bytes + i, labels->items[i], (long long)i, CLASSES - 1);
    return 0;
}

static int read_files(struct mnist *mnist, const struct dataset_request *request, struct error *error)
{
    char images[PATH_ROOM], labels[PATH_ROOM];
    if (open_part(&mnist->images, request, "images-idx3-ubyte", 3, images, error) ||
        open_part(&mnist->labels, request, "labels-idx1-ubyte", 1, labels, error) || check_labels(&mnist->labels, labels, error))
        return -1;
    if (mnist->labels.n != mnist->images.n)
        return fail(error, EXIT_INPUT, "%s%s: byte 4: want as many labels as there are images in %s-images-idx3-ubyte (%lld), found %lld", labels,
                    mnist->labels.gzipped ? ".gz" : "", prefixes[request->split], (long long)mnist->images.n, (long long)mnist->labels.n);
    return 0;
}

static void mnist_close(struct dataset *dataset)
{
    struct mnist *mnist = dataset->state;
    idx_release(&mnist->images);
    idx_release(&mnist->labels);
    door_free(mnist);
}

static int mnist_open(struct dataset *dataset, const struct dataset_request *request, struct error *error)
{
    if (door_allocate(&dataset->state, sizeof(struct mnist), "mnist", error))
        return -1;
    struct mnist *mnist = dataset->state;
    if (read_files(mnist, request, error)) {
        mnist_close(dataset);
        return -1;
    }
    dataset->n = mnist->images.n;
    dataset->channels = 1;
    dataset->height = (int)mnist->images.sides[0];
    dataset->width = (int)mnist->images.sides[1];
    dataset->classes = CLASSES;
    dataset->class_names = digit_names;
    dataset->sample_bytes = mnist->images.item_bytes;
    return 0;
}

static int mnist_read(const struct dataset *dataset, int64_t index, void *raw, size_t *bytes, int32_t *label, struct error *error)
{
    const struct mnist *mnist = dataset->state;
    (void)error;
    *bytes = dataset->sample_bytes;
    *label = mnist->labels.items[index];
    memcpy(raw, mnist->images.items + (size_t)index * dataset->sample_bytes, dataset->sample_bytes);
    return 0;
}

const struct dataset_format dataset_mnist = {
    .name = "mnist",
    .help = "a folder of four IDX files, plain or gzipped: train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-...",
    .folder = "mnist",
    .open = mnist_open,
    .read = mnist_read,
    .close = mnist_close,
};
