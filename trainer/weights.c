/* See weights.h. The header is JSON by cJSON; byte ranges are checked against the file and against each other before anything is copied. */
#include "trainer/weights.h"

#include "base/door.h"
#include "base/file.h"
#include "base/sizes.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER_LIMIT = 100 << 20, FILE_LIMIT_SHIFT = 36 };

static bool add_tensor(cJSON *header, const struct param *param, size_t base)
{
    cJSON *row = cJSON_AddObjectToObject(header, param->name);
    cJSON *shape, *offsets;
    if (!row || !cJSON_AddStringToObject(row, "dtype", "F32") || !(shape = cJSON_AddArrayToObject(row, "shape")) || !(offsets = cJSON_AddArrayToObject(row, "data_offsets")))
        return false;
    for (int i = 0; i < param->rank; i++)
        cJSON_AddItemToArray(shape, cJSON_CreateNumber(param->dims[i]));
    cJSON_AddItemToArray(offsets, cJSON_CreateNumber((double)(base + param->offset * sizeof(float))));
    cJSON_AddItemToArray(offsets, cJSON_CreateNumber((double)(base + (param->offset + param->count) * sizeof(float))));
    return true;
}

/* The header as text, padded with blanks to a multiple of 8 so that the tensors are aligned; NULL when memory is out. Freed with free. */
static char *make_header(const struct graph *graph, const struct weights_metadata *metadata)
{
    cJSON *header = cJSON_CreateObject();
    cJSON *about = header ? cJSON_AddObjectToObject(header, "__metadata__") : NULL;
    char iteration[32], offset[32], *text = NULL;
    snprintf(iteration, sizeof iteration, "%lld", (long long)metadata->iteration);
    snprintf(offset, sizeof offset, "%lld", (long long)metadata->sample_offset);
    bool whole = about && cJSON_AddStringToObject(about, "format", "pt") && cJSON_AddStringToObject(about, "program", "onestep " ONESTEP_VERSION) &&
                 cJSON_AddStringToObject(about, "net", graph->name) && cJSON_AddStringToObject(about, "iteration", iteration) &&
                 cJSON_AddStringToObject(about, "sample_offset", offset) && cJSON_AddStringToObject(about, "config", metadata->config);
    for (int i = 0; whole && i < graph->params.n; i++)
        whole = add_tensor(header, &graph->params.rows[i], 0);
    for (int i = 0; whole && i < graph->stats.n; i++)
        whole = add_tensor(header, &graph->stats.rows[i], graph->params.total * sizeof(float));
    char *plain = whole ? cJSON_PrintUnformatted(header) : NULL;
    if (plain) {
        size_t n = strlen(plain), padded = round_up(n, 8);
        text = malloc(padded + 1);
        if (text) {
            memset(text, ' ', padded);
            memcpy(text, plain, n);
            text[padded] = 0;
        }
        cJSON_free(plain);
    }
    cJSON_Delete(header);
    return text;
}

int weights_save(const char *path, const struct graph *graph, const float *weights, const float *stats, const struct weights_metadata *metadata, struct error *error)
{
    char *header = make_header(graph, metadata);
    if (!header)
        return fail(error, EXIT_MEMORY, "%s: out of memory for the header", path);
    uint64_t n = strlen(header);
    const struct file_part parts[] = { { &n, sizeof n }, { header, n }, { weights, graph->params.total * sizeof(float) }, { stats, graph->stats.total * sizeof(float) } };
    int result = file_replace(path, parts, 4, error);
    free(header);
    return result;
}

/* A file being read. */
struct reading {
    const char *path;
    cJSON *header;
    const char *data;
    size_t n; /* bytes of data */
    struct error *error;
};

static int wrong(const struct reading *reading, const char *name, const char *rule)
{
    return fail(reading->error, EXIT_INPUT, "%s: tensor %s: want %s", reading->path, name, rule);
}

static bool range_of(const cJSON *tensor, size_t n, size_t *begin, size_t *end)
{
    const cJSON *offsets = cJSON_GetObjectItemCaseSensitive(tensor, "data_offsets");
    const cJSON *first = cJSON_GetArrayItem(offsets, 0), *last = cJSON_GetArrayItem(offsets, 1);
    if (!cJSON_IsArray(offsets) || cJSON_GetArraySize(offsets) != 2 || !cJSON_IsNumber(first) || !cJSON_IsNumber(last))
        return false;
    double a = first->valuedouble, b = last->valuedouble;
    if (!(a >= 0 && a <= b && b <= (double)n) || a != (double)(size_t)a || b != (double)(size_t)b)
        return false;
    *begin = (size_t)a;
    *end = (size_t)b;
    return true;
}

static bool shape_is(const cJSON *tensor, const struct param *param)
{
    const cJSON *shape = cJSON_GetObjectItemCaseSensitive(tensor, "shape");
    if (!cJSON_IsArray(shape) || cJSON_GetArraySize(shape) != param->rank)
        return false;
    for (int i = 0; i < param->rank; i++)
        if (!cJSON_IsNumber(cJSON_GetArrayItem(shape, i)) || cJSON_GetArrayItem(shape, i)->valuedouble != param->dims[i])
            return false;
    return true;
}

static int read_tensor(const struct reading *reading, const struct param *param, float *to, bool required)
{
    const cJSON *tensor = cJSON_GetObjectItemCaseSensitive(reading->header, param->name);
    const cJSON *dtype = cJSON_GetObjectItemCaseSensitive(tensor, "dtype");
    size_t begin, end;
    if (!tensor)
        return required ? wrong(reading, param->name, "it to be there") : 0;
    if (!cJSON_IsString(dtype) || strcmp(dtype->valuestring, "F32") != 0)
        return wrong(reading, param->name, "dtype F32");
    if (!shape_is(tensor, param))
        return wrong(reading, param->name, "the shape that the network has");
    if (!range_of(tensor, reading->n, &begin, &end) || begin % sizeof(float) || end - begin != param->count * sizeof(float))
        return wrong(reading, param->name, "data_offsets inside the file, aligned, as long as its shape says");
    memcpy(to + param->offset, reading->data + begin, end - begin);
    return 0;
}

static bool map_has(const struct param_map *map, const char *name)
{
    for (int i = 0; i < map->n; i++)
        if (strcmp(map->rows[i].name, name) == 0)
            return true;
    return false;
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static int by_begin(const void *a, const void *b)
{
    const size_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* Every tensor must be one of the network's, and no two may share bytes. */
static int check_all(const struct reading *reading, const struct graph *graph)
{
    int n = cJSON_GetArraySize(reading->header), used = 0;
    void *block;
    if (door_allocate(&block, (size_t)(n + 1) * 2 * sizeof(size_t), "the tensors' ranges", reading->error))
        return -1;
    size_t(*ranges)[2] = block;
    int result = 0;
    for (const cJSON *tensor = reading->header->child; tensor && result == 0; tensor = tensor->next) {
        if (strcmp(tensor->string, "__metadata__") == 0)
            continue;
        if (!map_has(&graph->params, tensor->string) && !map_has(&graph->stats, tensor->string) && !ends_with(tensor->string, ".num_batches_tracked"))
            result = fail(reading->error, EXIT_INPUT, "%s: tensor %.80s: want tensors of %s only", reading->path, tensor->string, graph->name);
        else if (!range_of(tensor, reading->n, &ranges[used][0], &ranges[used][1]))
            result = wrong(reading, tensor->string, "data_offsets inside the file");
        used++;
    }
    if (result == 0)
        qsort(ranges, (size_t)used, sizeof *ranges, by_begin);
    for (int i = 1; i < used && result == 0; i++)
        if (ranges[i][0] < ranges[i - 1][1])
            result = fail(reading->error, EXIT_INPUT, "%s: two tensors share byte %zu: want ranges that do not overlap", reading->path, ranges[i][0]);
    door_free(block);
    return result;
}

static int read_tensors(struct reading *reading, const struct graph *graph, float *weights, float *stats)
{
    if (check_all(reading, graph))
        return -1;
    for (int i = 0; i < graph->params.n; i++)
        if (read_tensor(reading, &graph->params.rows[i], weights, true))
            return -1;
    for (int i = 0; i < graph->stats.n; i++)
        if (read_tensor(reading, &graph->stats.rows[i], stats, false))
            return -1;
    return 0;
}

int weights_load(const char *path, const struct graph *graph, float *weights, float *stats, struct error *error)
{
    char *bytes;
    size_t n;
    uint64_t header_bytes = 0;
    if (file_read(path, (size_t)1 << FILE_LIMIT_SHIFT, &bytes, &n, error))
        return -1;
    if (n >= sizeof header_bytes)
        memcpy(&header_bytes, bytes, sizeof header_bytes);
    int result;
    if (n < sizeof header_bytes || header_bytes > HEADER_LIMIT || header_bytes > n - sizeof header_bytes) {
        result = fail(error, EXIT_INPUT, "%s: want a safetensors file: a header of at most %zu bytes, found %llu", path,
                      n < sizeof header_bytes ? 0 : size_min(HEADER_LIMIT, n - sizeof header_bytes), (unsigned long long)header_bytes);
    } else {
        const char *data = bytes + sizeof header_bytes + header_bytes;
        struct reading reading = { path, cJSON_ParseWithLength(bytes + sizeof header_bytes, header_bytes), data, n - sizeof header_bytes - header_bytes, error };
        result = cJSON_IsObject(reading.header) ? read_tensors(&reading, graph, weights, stats) : fail(error, EXIT_INPUT, "%s: want a JSON object as header", path);
        cJSON_Delete(reading.header);
    }
    door_free(bytes);
    return result;
}
