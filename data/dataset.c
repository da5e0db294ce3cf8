/* See dataset.h. */
#include "data/dataset.h"

#include "base/door.h"
#include "base/error.h"
#include "data/formats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct dataset_format *const dataset_formats[] = { &dataset_mnist, &dataset_synthetic, NULL };

enum { NAME_ROOM = 32, DISTANCE_WORTH_SUGGESTING = 3 };

/* Insertions, deletions and replacements that lead from a to b: one row of the dynamic programme at a time. */
static int edit_distance(const char *a, const char *b)
{
    int row[NAME_ROOM], n = (int)strnlen(b, NAME_ROOM - 1);
    for (int j = 0; j <= n; j++)
        row[j] = j;
    for (int i = 1; a[i - 1]; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= n; j++) {
            int replaced = diagonal + (a[i - 1] != b[j - 1]), gap = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = replaced < gap ? replaced : gap;
        }
    }
    return row[n];
}

static int unknown_name(const char *name, struct error *error)
{
    char known[256] = "", nearest[64] = "";
    int least = DISTANCE_WORTH_SUGGESTING + 1;
    for (int i = 0; dataset_formats[i]; i++) {
        const char *candidate = dataset_formats[i]->name;
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "", candidate);
        int distance = edit_distance(name, candidate);
        if (distance < least) {
            least = distance;
            snprintf(nearest, sizeof nearest, "; did you mean %s?", candidate);
        }
    }
    return fail(error, EXIT_USAGE, "no dataset is called \"%s\": want one of %s%s", name, known, nearest);
}

static const struct dataset_format *find_format(const char *name, struct error *error)
{
    for (int i = 0; dataset_formats[i]; i++)
        if (strcmp(dataset_formats[i]->name, name) == 0)
            return dataset_formats[i];
    unknown_name(name, error);
    return NULL;
}

int dataset_open(struct dataset *dataset, const struct dataset_request *request, struct error *error)
{
    *dataset = (struct dataset){ 0 };
    const struct dataset_format *format = find_format(request->name, error);
    if (!format)
        return -1;
    if (format->needs_folder && (!request->path || !*request->path))
        return fail(error, EXIT_USAGE, "dataset %s: want the folder that holds it, found none", format->name);
    if (request->limit < 0)
        return fail(error, EXIT_USAGE, "dataset %s: want a limit of 0 (all) or more samples, found %lld", format->name, (long long)request->limit);
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
    if (!format->needs_folder)
        return 0;
    const char *root = getenv("ONESTEP_DATA"), *roots[] = { root && *root ? root : NULL, "datasets" };
    for (int i = 0; i < 2; i++)
        if (roots[i] && (size_t)snprintf(path, path_bytes, "%s/%s", roots[i], name) < path_bytes && door_exists(path))
            return 0;
    return fail(error, EXIT_INPUT, "dataset %s: not in %s%s%s, nor in datasets/%s", name, roots[0] ? roots[0] : "ONESTEP_DATA (not set)", roots[0] ? "/" : "",
                roots[0] ? name : "", name);
}
