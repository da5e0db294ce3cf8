/* What a checkpoint's file holds, and reading it back: see checkpoint.h. */
#include "trainer/checkpoint.h"

#include "base/door.h"
#include "base/sizes.h"
#include "trainer/weights_reading.h"

#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Numbers of the metadata. */
struct numbers { struct snapshot *snapshot; struct metrics_mark *mark; };
enum number_type { NUMBER_INTEGER, NUMBER_REAL };
struct number { const char *key; enum number_type type; bool of_mark; size_t offset; };

#define OF_SNAPSHOT(key, type, field) { key, type, false, offsetof(struct snapshot, field) }
#define OF_MARK(key, type, field) { key, type, true, offsetof(struct metrics_mark, field) }

static const struct number rows[] = {
    OF_SNAPSHOT("iteration", NUMBER_INTEGER, iteration),
    OF_SNAPSHOT("sample_offset", NUMBER_INTEGER, samples),
    OF_SNAPSHOT("reported", NUMBER_INTEGER, reported),
    OF_SNAPSHOT("evaluate_at", NUMBER_INTEGER, evaluate_at),
    OF_SNAPSHOT("next_ticket", NUMBER_INTEGER, next_ticket),
    OF_SNAPSHOT("steps", NUMBER_INTEGER, came),
    OF_SNAPSHOT("epoch_loss", NUMBER_REAL, epoch.loss),
    OF_SNAPSHOT("epoch_correct", NUMBER_INTEGER, epoch.correct),
    OF_SNAPSHOT("epoch_samples", NUMBER_INTEGER, epoch.samples),
    OF_SNAPSHOT("last_loss", NUMBER_REAL, last.loss),
    OF_SNAPSHOT("last_correct", NUMBER_INTEGER, last.correct),
    OF_SNAPSHOT("last_samples", NUMBER_INTEGER, last.samples),
    OF_SNAPSHOT("training_ns", NUMBER_INTEGER, training_ns),
    OF_MARK("metrics_bytes", NUMBER_INTEGER, bytes),
    OF_MARK("metrics_seconds", NUMBER_REAL, seconds),
    OF_MARK("best_accuracy", NUMBER_REAL, best_accuracy),
    OF_MARK("best_iteration", NUMBER_INTEGER, best_iteration),
};
enum { ROWS = sizeof rows / sizeof *rows, NUMBER_ROOM = 40, GIVEN = 2 /* the first rows, which every weights file has */ };

static void *place_of(const struct number *row, const struct numbers *numbers) { return (char *)(row->of_mark ? (void *)numbers->mark : (void *)numbers->snapshot) + row->offset; }

static int write_numbers(const struct numbers *numbers, char values[ROWS][NUMBER_ROOM], struct weights_text *texts)
{
    int n = 0;
    for (int i = GIVEN; i < ROWS; i++) {
        const void *from = place_of(&rows[i], numbers);
        if (rows[i].type == NUMBER_REAL)
            snprintf(values[i], NUMBER_ROOM, "%.17g", *(const double *)from);
        else
            snprintf(values[i], NUMBER_ROOM, "%lld", (long long)*(const int64_t *)from);
        texts[n++] = (struct weights_text){ rows[i].key, values[i] };
    }
    texts[n] = (struct weights_text){ NULL, NULL };
    return n;
}

static int read_number(const struct reading *reading, const struct number *row, const struct numbers *numbers)
{
    const char *text = reading_text(reading, row->key);
    void *to = place_of(row, numbers);
    if (text && (row->type == NUMBER_REAL ? parse_double(text, to) : parse_int64(text, to)))
        return 0;
    return fail(reading->error, EXIT_INPUT, "%s: metadata \"%s\": want a number, found %.80s", reading->name, row->key, text ? text : "none: these are weights, not a run's state");
}

/* The averages of weights go by the parameters' names, so that others can use them. */
static bool is_list(const struct snapshot *snapshot, const struct snapshot_tensor *tensor) { return tensor->data != snapshot->states[SERVER_AVERAGE]; }
static bool is_record(const struct snapshot *snapshot, const struct snapshot_tensor *tensor) { return tensor->data == snapshot->record; }

static int fill_lists(const struct snapshot *snapshot, struct weights_list *lists)
{
    int n = 0;
    for (int i = 0; i < snapshot->n_tensors; i++) {
        const struct snapshot_tensor *tensor = &snapshot->tensors[i];
        size_t count = is_record(snapshot, tensor) ? 2 * (size_t)snapshot->n_record : tensor->count;
        bool floats = tensor->type == SNAPSHOT_F32;
        if (is_list(snapshot, tensor))
            lists[n++] = (struct weights_list){ tensor->name, floats ? "F32" : "I64", count, count * (floats ? sizeof(float) : sizeof(int64_t)), tensor->data };
    }
    return n;
}

static int check_numbers(const char *path, const char *name, const float *values, size_t n, struct error *error)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(values[i]))
            return fail(error, EXIT_NOT_FINITE, "%s: is not written: %s[%zu] is %g", path, name, i, (double)values[i]);
    return 0;
}

/* A state that has diverged would not load, and would take the place of one that does. */
static int check_finite(const char *path, const struct run *run, struct error *error)
{
    const struct snapshot *snapshot = run->snapshot;
    if (check_numbers(path, "weights", snapshot->weights, run->graph->params.total, error) || check_numbers(path, "statistics", snapshot->stats, run->n_stats, error))
        return -1;
    for (int i = 0; i < snapshot->n_tensors; i++)
        if (snapshot->tensors[i].type == SNAPSHOT_F32 && check_numbers(path, snapshot->tensors[i].name, snapshot->tensors[i].data, snapshot->tensors[i].count, error))
            return -1;
    return 0;
}

int checkpoint_write(const char *folder, const struct run *run, const struct weights_metadata *about, const struct metrics_mark *mark, char path[CHECKPOINT_PATH], uint64_t *bytes,
                     struct error *error)
{
    struct snapshot *snapshot = run->snapshot;
    struct metrics_mark marked = *mark;
    const struct numbers numbers = { snapshot, &marked };
    char values[ROWS][NUMBER_ROOM];
    struct weights_text texts[ROWS + 1];
    struct weights_metadata metadata = *about;
    void *lists;
    write_numbers(&numbers, values, texts);
    metadata.iteration = snapshot->iteration;
    metadata.sample_offset = snapshot->samples;
    metadata.texts = texts;
    if (checkpoint_path(folder, snapshot->iteration, path, error) || check_finite(path, run, error) || door_allocate(&lists, ((size_t)snapshot->n_tensors + 1) * sizeof(struct weights_list), path, error))
        return -1;
    const struct weights_contents contents = {
        .graph = run->graph, .weights = snapshot->weights, .stats = snapshot->stats, .average = snapshot->states[SERVER_AVERAGE],
        .lists = lists, .n_lists = fill_lists(snapshot, lists), .metadata = &metadata,
    };
    int result = weights_save(path, &contents, bytes, error);
    door_free(lists);
    return result;
}

static int read_lists(const struct reading *reading, struct snapshot *snapshot)
{
    for (int i = 0; i < snapshot->n_tensors; i++) {
        const struct snapshot_tensor *tensor = &snapshot->tensors[i];
        size_t count = tensor->count;
        if (!is_list(snapshot, tensor))
            continue;
        if (tensor->type == SNAPSHOT_F32 ? reading_floats(reading, tensor->name, tensor->data, tensor->count)
                                         : reading_integers(reading, tensor->name, tensor->data, tensor->count, is_record(snapshot, tensor) ? &count : NULL))
            return -1;
        if (is_record(snapshot, tensor))
            snapshot->n_record = (int64_t)count / 2;
    }
    return 0;
}

static int read_all(const struct reading *reading, const struct run *run, struct metrics_mark *mark)
{
    struct snapshot *snapshot = run->snapshot;
    const struct numbers numbers = { snapshot, mark };
    float *average = snapshot->states[SERVER_AVERAGE];
    if (!reading->checksum)
        return fail(reading->error, EXIT_INPUT, "%s: want a checkpoint, which has a checksum: it is damaged, or another program's", reading->name);
    for (int i = 0; i < ROWS; i++)
        if (read_number(reading, &rows[i], &numbers))
            return -1;
    if (reading_tensors(reading, "", snapshot->weights, snapshot->stats) || read_lists(reading, snapshot))
        return -1;
    return average ? reading_tensors(reading, WEIGHTS_AVERAGE, average, snapshot->stats + run->graph->stats.total) : 0;
}

int checkpoint_load(const char *path, const struct run *run, struct metrics_mark *mark, struct error *error)
{
    struct reading reading;
    int result = reading_open(&reading, path, run->graph, error) ? -1 : read_all(&reading, run, mark);
    reading_close(&reading);
    return result;
}
