/* Reading weights: see weights.h. The header is JSON by cJSON; names, and byte ranges against the file and each other, are checked before anything is copied. */
#include "trainer/weights_reading.h"

#include "base/door.h"
#include "base/file.h"
#include "base/sizes.h"
#include "base/text.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LENGTH = sizeof(uint64_t),  /* of the header, at the file's beginning */
    HEADER_LIMIT = 100 << 20,
    COUNTER = sizeof(int64_t),  /* PyTorch's count of a normalization's batches */
    VECTORS_MOST = 1024,        /* as long as the weights, in one file: state of a run is beside them */
};

static const char counter_name[] = "num_batches_tracked", mean_name[] = "running_mean";

/* A tensor's bytes within the data. */
struct range { size_t begin, end; const char *name; };

static const cJSON *member(const cJSON *tensor, const char *name) { return cJSON_GetObjectItemCaseSensitive(tensor, name); }

static bool is_offset(const cJSON *number)
{
    return cJSON_IsNumber(number) && number->valuedouble >= 0 && number->valuedouble < 0x1p53 && number->valuedouble == (double)(size_t)number->valuedouble;
}

static int range_of(const struct reading *reading, const cJSON *tensor, struct range *range)
{
    const cJSON *offsets = member(tensor, "data_offsets"), *first = cJSON_GetArrayItem(offsets, 0), *last = cJSON_GetArrayItem(offsets, 1);
    if (!cJSON_IsArray(offsets) || cJSON_GetArraySize(offsets) != 2 || !is_offset(first) || !is_offset(last) || first->valuedouble > last->valuedouble)
        return fail(reading->error, EXIT_INPUT, "%s: tensor %.80s: want data_offsets [begin, end], found something else", reading->name, tensor->string);
    *range = (struct range){ (size_t)first->valuedouble, (size_t)last->valuedouble, tensor->string };
    if (range->end > reading->n)
        return fail(reading->error, EXIT_INPUT, "%s: tensor %.80s: ends at byte %zu of the data, but the file has %zu: it was cut short", reading->name, tensor->string, range->end,
                    reading->n);
    return 0;
}

static const struct param *row_named(const struct param_map *map, const char *name, size_t length)
{
    for (int i = 0; i < map->n; i++)
        if (strlen(map->rows[i].name) == length && memcmp(map->rows[i].name, name, length) == 0)
            return &map->rows[i];
    return NULL;
}

/* "bn1.num_batches_tracked", where the network has bn1.running_mean. */
static bool is_counter(const struct graph *graph, const char *name)
{
    char mean[NAME_ROOM];
    const char *dot = strrchr(name, '.');
    if (!dot || strcmp(dot + 1, counter_name) != 0)
        return false;
    int n = snprintf(mean, sizeof mean, "%.*s.%s", (int)size_min((size_t)(dot - name), sizeof mean), name, mean_name);
    return n < (int)sizeof mean && row_named(&graph->stats, mean, (size_t)n);
}

static bool is_known(const struct graph *graph, const char *name)
{
    size_t n = strlen(name);
    return row_named(&graph->params, name, n) || row_named(&graph->stats, name, n) || is_counter(graph, name);
}

/* What ports to CIFAR call otherwise than torchvision gets the network's name, where it has one of that name only. */
static void rename_as_torchvision(const struct graph *graph, cJSON *tensor)
{
    static const struct { const char *port, *own; } words[] = { { "linear.", "fc." }, { "shortcut.", "downsample." } };
    char name[NAME_ROOM];
    for (size_t i = 0; i < sizeof words / sizeof *words && !is_known(graph, tensor->string); i++) {
        const char *at = strstr(tensor->string, words[i].port);
        int n = at ? snprintf(name, sizeof name, "%.*s%s%s", (int)(at - tensor->string), tensor->string, words[i].own, at + strlen(words[i].port)) : -1;
        char *copy = n > 0 && n < NAME_ROOM && is_known(graph, name) ? cJSON_malloc((size_t)n + 1) : NULL;
        if (!copy)
            continue;
        cJSON_free(tensor->string);
        tensor->string = memcpy(copy, name, (size_t)n + 1);
    }
}

static int check_name(const struct reading *reading, const cJSON *tensor)
{
    const char *name = tensor->string;
    if (strncmp(name, WEIGHTS_OWN, strlen(WEIGHTS_OWN)) == 0)
        return 0;
    if (!is_known(reading->graph, name))
        return fail(reading->error, EXIT_INPUT, "%s: tensor %.80s: want the tensors of %s only", reading->name, name, reading->graph->name);
    return 0;
}

static int by_name(const void *a, const void *b) { return strcmp(((const struct range *)a)->name, ((const struct range *)b)->name); }

static int check_once(const struct reading *reading, struct range *ranges, int n)
{
    qsort(ranges, (size_t)n, sizeof *ranges, by_name);
    for (int i = 1; i < n; i++)
        if (strcmp(ranges[i - 1].name, ranges[i].name) == 0)
            return fail(reading->error, EXIT_INPUT, "%s: tensor %.80s: is there twice", reading->name, ranges[i].name);
    return 0;
}

static int by_place(const void *a, const void *b)
{
    const struct range *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end);
}

/* One behind the other they fill the data, as the format demands. */
static int check_ranges(const struct reading *reading, struct range *ranges, int n)
{
    size_t end = 0;
    qsort(ranges, (size_t)n, sizeof *ranges, by_place);
    for (int i = 0; i < n; i++) {
        if (ranges[i].begin < end)
            return fail(reading->error, EXIT_INPUT, "%s: tensors %.80s and %.80s share byte %zu of the data", reading->name, ranges[i - 1].name, ranges[i].name, ranges[i].begin);
        if (ranges[i].begin > end)
            return fail(reading->error, EXIT_INPUT, "%s: bytes %zu to %zu of the data belong to no tensor", reading->name, end, ranges[i].begin);
        end = ranges[i].end;
    }
    return end == reading->n ? 0 : fail(reading->error, EXIT_INPUT, "%s: bytes %zu to %zu of the data belong to no tensor", reading->name, end, reading->n);
}

/* Every tensor must be one of the network's or our own, once, in bytes of its own. */
static int check_all(const struct reading *reading)
{
    void *block;
    if (door_allocate(&block, ((size_t)cJSON_GetArraySize(reading->header) + 1) * sizeof(struct range), "the tensors' ranges", reading->error))
        return -1;
    struct range *ranges = block;
    int n = 0, result = 0;
    for (cJSON *tensor = reading->header->child; tensor; tensor = tensor->next)
        rename_as_torchvision(reading->graph, tensor);
    for (const cJSON *tensor = reading->header->child; tensor && result == 0; tensor = tensor->next)
        if (strcmp(tensor->string, "__metadata__") != 0)
            result = check_name(reading, tensor) || range_of(reading, tensor, &ranges[n++]) ? -1 : 0;
    if (result == 0)
        result = check_once(reading, ranges, n) || check_ranges(reading, ranges, n) ? -1 : 0;
    door_free(block);
    return result;
}

static bool shape_is(const cJSON *shape, const struct param *param)
{
    if (!cJSON_IsArray(shape) || cJSON_GetArraySize(shape) != param->rank)
        return false;
    for (int i = 0; i < param->rank; i++)
        if (!cJSON_IsNumber(cJSON_GetArrayItem(shape, i)) || cJSON_GetArrayItem(shape, i)->valuedouble != param->dims[i])
            return false;
    return true;
}

/* "[20, 1, 5, 5]" */
static void write_shape(char *text, size_t bytes, const struct param *param)
{
    struct text to;
    text_begin(&to, text, bytes);
    for (int i = 0; i < param->rank; i++)
        text_add(&to, "%s%d", i ? ", " : "[", param->dims[i]);
    text_add(&to, "]");
}

static int wrong_shape(const struct reading *reading, const char *name, const cJSON *shape, const struct param *param)
{
    char want[64], *found = cJSON_PrintUnformatted(shape);
    write_shape(want, sizeof want, param);
    fail(reading->error, EXIT_INPUT, "%s: tensor %s: want shape %s for %s, found %.80s", reading->name, name, want, reading->graph->name, found ? found : "none");
    cJSON_free(found);
    return -1;
}

static int check_finite(const struct reading *reading, const char *name, const struct param *param, const float *values)
{
    for (size_t i = 0; i < param->count; i++)
        if (!isfinite(values[i]))
            return fail(reading->error, EXIT_INPUT, "%s: tensor %s: want finite numbers, found %g at place %zu", reading->name, name, (double)values[i], i);
    return 0;
}

static int read_tensor(const struct reading *reading, const char *name, const struct param *param, float *to)
{
    const cJSON *tensor = member(reading->header, name), *dtype = member(tensor, "dtype"), *shape = member(tensor, "shape");
    struct range range;
    if (!cJSON_IsString(dtype) || strcmp(dtype->valuestring, "F32") != 0)
        return fail(reading->error, EXIT_INPUT, "%s: tensor %s: want dtype F32, found %.16s", reading->name, name, cJSON_IsString(dtype) ? dtype->valuestring : "none");
    if (!shape_is(shape, param))
        return wrong_shape(reading, name, shape, param);
    if (range_of(reading, tensor, &range))
        return -1;
    if (range.end - range.begin != param->count * sizeof(float))
        return fail(reading->error, EXIT_INPUT, "%s: tensor %s: want %zu bytes for its shape, found %zu", reading->name, name, param->count * sizeof(float), range.end - range.begin);
    if (range.begin % sizeof(float))
        return fail(reading->error, EXIT_INPUT, "%s: tensor %s: want a begin that %zu divides, found %zu", reading->name, name, sizeof(float), range.begin);
    memcpy(to + param->offset, reading->data + range.begin, range.end - range.begin);
    return check_finite(reading, name, param, to + param->offset);
}

int reading_tensors(const struct reading *reading, const char *prefix, float *weights, float *stats)
{
    const struct graph *graph = reading->graph;
    char name[sizeof WEIGHTS_AVERAGE + NAME_ROOM];
    for (int i = 0; i < graph->params.n; i++) {
        const struct param *param = &graph->params.rows[i];
        snprintf(name, sizeof name, "%s%s", prefix, param->name);
        if (!member(reading->header, name))
            return fail(reading->error, EXIT_INPUT, "%s: tensor %s is missing: want all of %s", reading->name, name, graph->name);
        if (read_tensor(reading, name, param, weights))
            return -1;
    }
    for (int i = 0; i < graph->stats.n; i++) {
        const struct param *stat = &graph->stats.rows[i];
        snprintf(name, sizeof name, "%s%s", prefix, stat->name);
        const char *found = member(reading->header, name) ? name : stat->name;
        if (member(reading->header, found) && read_tensor(reading, found, stat, stats))
            return -1;
    }
    return 0;
}

int reading_floats(const struct reading *reading, const char *name, float *to, size_t count)
{
    const struct param param = { .rank = 1, .dims = { (int)count }, .count = count };
    if (!member(reading->header, name))
        return fail(reading->error, EXIT_INPUT, "%s: tensor %s is missing: want the whole state of the run", reading->name, name);
    return read_tensor(reading, name, &param, to);
}

int reading_integers(const struct reading *reading, const char *name, int64_t *to, size_t most, size_t *count)
{
    const cJSON *tensor = member(reading->header, name), *dtype = member(tensor, "dtype"), *shape = member(tensor, "shape"), *length = cJSON_GetArrayItem(shape, 0);
    struct range range;
    if (!tensor)
        return fail(reading->error, EXIT_INPUT, "%s: tensor %s is missing: want the whole state of the run", reading->name, name);
    if (range_of(reading, tensor, &range))
        return -1;
    size_t n = (range.end - range.begin) / sizeof *to;
    bool right = cJSON_IsString(dtype) && strcmp(dtype->valuestring, "I64") == 0 && cJSON_GetArraySize(shape) == 1 && cJSON_IsNumber(length) && length->valuedouble == (double)n;
    if (!right || (range.end - range.begin) % sizeof *to || range.begin % sizeof *to || n > most || (!count && n != most))
        return fail(reading->error, EXIT_INPUT, "%s: tensor %s: want a list of %s%zu aligned I64, found %zu bytes at %zu", reading->name, name, count ? "at most " : "", most,
                    range.end - range.begin, range.begin);
    memcpy(to, reading->data + range.begin, range.end - range.begin);
    if (count)
        *count = n;
    return 0;
}

const char *reading_text(const struct reading *reading, const char *key)
{
    const cJSON *text = member(member(reading->header, "__metadata__"), key);
    return cJSON_IsString(text) ? text->valuestring : NULL;
}

static int check_checksum(struct reading *reading, const char *header, size_t header_bytes)
{
    char right[16];
    const char *digits = weights_checksum_digits(header, header_bytes);
    if (!digits)
        return 0;
    snprintf(right, sizeof right, "%08x", (unsigned)weights_checksum(header, header_bytes, digits, &(struct file_part){ reading->data, reading->n }, 1));
    if (memcmp(digits, right, 8) != 0)
        return fail(reading->error, EXIT_INPUT, "%s: want the checksum that it was written with, %.8s, found %s: it is damaged", reading->name, digits, right);
    reading->checksum = true;
    return 0;
}

int reading_parse(struct reading *reading, const char *name, const char *bytes, size_t n, const struct graph *graph, struct error *error)
{
    uint64_t header_bytes;
    *reading = (struct reading){ .name = name, .graph = graph, .error = error };
    if (n < LENGTH)
        return fail(error, EXIT_INPUT, "%s: want a safetensors file, found %zu bytes", name, n);
    memcpy(&header_bytes, bytes, LENGTH);
    if (header_bytes > HEADER_LIMIT || header_bytes > n - LENGTH)
        return fail(error, EXIT_INPUT, "%s: want a safetensors file, which begins with its header's length, found %llu there and %zu bytes behind it", name,
                    (unsigned long long)header_bytes, n - LENGTH);
    const char *header = bytes + LENGTH;
    reading->data = header + header_bytes;
    reading->n = n - LENGTH - header_bytes;
    reading->header = cJSON_ParseWithLength(header, header_bytes);
    if (!cJSON_IsObject(reading->header))
        return fail(error, EXIT_INPUT, "%s: want a safetensors file: its header is no JSON object", name);
    return check_all(reading) || check_checksum(reading, header, header_bytes) ? -1 : 0;
}

int reading_open(struct reading *reading, const char *path, const struct graph *graph, struct error *error)
{
    char *bytes;
    size_t n, values = (graph->params.total + graph->stats.total) * sizeof(float) + (size_t)graph->stats.n * COUNTER;
    *reading = (struct reading){ .name = path };
    if (file_read(path, LENGTH + HEADER_LIMIT + VECTORS_MOST * values, &bytes, &n, error))
        return -1;
    int result = reading_parse(reading, path, bytes, n, graph, error);
    reading->bytes = bytes;
    return result;
}

void reading_close(struct reading *reading)
{
    cJSON_Delete(reading->header);
    door_free(reading->bytes);
    memset(reading, 0, sizeof *reading);
}

int weights_parse(const char *name, const char *bytes, size_t n, const struct graph *graph, float *weights, float *stats, struct error *error)
{
    struct reading reading;
    int result = reading_parse(&reading, name, bytes, n, graph, error) || reading_tensors(&reading, "", weights, stats) ? -1 : 0;
    reading_close(&reading);
    return result;
}

static int load(const char *path, const char *prefix, const struct graph *graph, float *weights, float *stats, struct error *error)
{
    struct reading reading;
    int result = reading_open(&reading, path, graph, error) || reading_tensors(&reading, prefix, weights, stats) ? -1 : 0;
    reading_close(&reading);
    return result;
}

int weights_load(const char *path, const struct graph *graph, float *weights, float *stats, struct error *error) { return load(path, "", graph, weights, stats, error); }

int weights_load_average(const char *path, const struct graph *graph, float *weights, float *stats, struct error *error)
{
    return load(path, WEIGHTS_AVERAGE, graph, weights, stats, error);
}
