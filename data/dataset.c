/* See dataset.h. */
#include "data/dataset.h"

#include "base/door.h"
#include "base/error.h"
#include "base/nearest.h"
#include "data/formats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct dataset_format *const dataset_formats[] = { &dataset_mnist, &dataset_cifar10, &dataset_synthetic, &dataset_synthetic_cifar10, &dataset_synthetic_imagenet, NULL };

enum { LISTED = sizeof dataset_formats / sizeof dataset_formats[0] };

static const struct dataset_format *find_format(const char *name, struct error *error)
{
    const char *names[LISTED] = { NULL };
    char known[256] = "";
    for (int i = 0; dataset_formats[i]; i++) {
        names[i] = dataset_formats[i]->name;
        if (strcmp(names[i], name) == 0)
            return dataset_formats[i];
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "", names[i]);
    }
    fail(error, EXIT_USAGE, "want one of %s, found \"%s\"; the nearest is %s", known, name, nearest_name(name, names));
    return NULL;
}

int dataset_open(struct dataset *dataset, const struct dataset_request *request, struct error *error)
{
    *dataset = (struct dataset){ 0 };
    const struct dataset_format *format = find_format(request->name, error);
    if (!format)
        return -1;
    if (format->folder && (!request->path || !*request->path))
        return fail(error, EXIT_USAGE, "dataset %s: want the folder that holds it, found none", format->name);
    if (request->limit < 0)
        return fail(error, EXIT_USAGE, "dataset %s: want a limit of 0 (all) or more samples, found %lld", format->name, (long long)request->limit);
    if (request->side && !format->side)
        return fail(error, EXIT_USAGE, "dataset %s: want data.size = 0, its images have a size of their own, found %d", format->name, request->side);
    if (format->open(dataset, request, error)) {
        *dataset = (struct dataset){ 0 };
        return -1;
    }
    dataset->format = format;
    if (request->limit && request->limit < dataset->n)
        dataset->n = request->limit;
    return 0;
}

void dataset_close(struct dataset *dataset)
{
    if (dataset->format)
        dataset->format->close(dataset);
    *dataset = (struct dataset){ 0 };
}

int dataset_find(const char *name, char *path, size_t path_bytes, struct error *error)
{
    const struct dataset_format *format = find_format(name, error);
    if (!format)
        return -1;
    snprintf(path, path_bytes, "%s", "");
    if (!format->folder)
        return 0;
    const char *root = getenv("ONESTEP_DATA"), *folder = format->folder;
    bool set = root && *root;
    if (set && (size_t)snprintf(path, path_bytes, "%s/%s", root, folder) < path_bytes && door_exists(path))
        return 0;
    if ((size_t)snprintf(path, path_bytes, "datasets/%s", folder) < path_bytes && door_exists(path))
        return 0;
    return set ? fail(error, EXIT_INPUT, "dataset %s: not in %s/%s, nor in datasets/%s", name, root, folder, folder)
               : fail(error, EXIT_INPUT, "dataset %s: not in datasets/%s, and ONESTEP_DATA is not set", name, folder);
}
