/* Writing weights: see weights.h. */
#include "trainer/weights_reading.h"

#include "base/door.h"
#include "base/file.h"
#include "base/sizes.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool add_tensor(cJSON *header, const struct param *param, const char *prefix, size_t base)
{
    char name[512];
    int length = snprintf(name, sizeof name, "%s%s", prefix, param->name);
    ASSERT(length > 0 && length < (int)sizeof name);
    cJSON *row = cJSON_AddObjectToObject(header, name);
    cJSON *shape, *offsets;
    if (!row || !cJSON_AddStringToObject(row, "dtype", "F32") || !(shape = cJSON_AddArrayToObject(row, "shape")) || !(offsets = cJSON_AddArrayToObject(row, "data_offsets")))
        return false;
    bool whole = true;
    for (int i = 0; i < param->rank; i++)
        whole &= cJSON_AddItemToArray(shape, cJSON_CreateNumber(param->dims[i]));
    whole &= cJSON_AddItemToArray(offsets, cJSON_CreateNumber((double)(base + param->offset * sizeof(float))));
    whole &= cJSON_AddItemToArray(offsets, cJSON_CreateNumber((double)(base + (param->offset + param->count) * sizeof(float))));
    return whole;
}

static bool add_tensors(cJSON *header, const struct param_map *map, const char *prefix, size_t base)
{
    for (int i = 0; i < map->n; i++)
        if (!add_tensor(header, &map->rows[i], prefix, base))
            return false;
    return true;
}

/* In the order of weights_save's parts. */
static bool add_all_tensors(cJSON *header, const struct graph *graph, bool averaged, size_t base)
{
    size_t params = graph->params.total * sizeof(float), stats = graph->stats.total * sizeof(float);
    if (!add_tensors(header, &graph->params, "", base) || !add_tensors(header, &graph->stats, "", base + params))
        return false;
    return !averaged || (add_tensors(header, &graph->stats, WEIGHTS_AVERAGE, base + params + stats) && add_tensors(header, &graph->params, WEIGHTS_AVERAGE, base + params + 2 * stats));
}

/* A value in the metadata must be text: lists stand there as JSON. The list is deleted. */
static bool add_list(cJSON *about, const char *name, cJSON *list)
{
    char *text = list ? cJSON_PrintUnformatted(list) : NULL;
    bool whole = text && cJSON_AddStringToObject(about, name, text);
    cJSON_free(text);
    cJSON_Delete(list);
    return whole;
}

/* Names, or numbers where there are none. */
static bool add_classes(cJSON *about, const char *const *names, int n)
{
    cJSON *list = cJSON_CreateArray();
    bool whole = list;
    for (int i = 0; whole && i < n; i++) {
        char number[16];
        snprintf(number, sizeof number, "%d", i);
        whole = cJSON_AddItemToArray(list, cJSON_CreateString(names ? names[i] : number));
    }
    return add_list(about, "classes", list) && whole;
}

static bool add_texts(cJSON *about, const struct weights_text *texts)
{
    for (; texts && texts->key; texts++)
        if (!cJSON_AddStringToObject(about, texts->key, texts->value))
            return false;
    return true;
}

static bool add_metadata(cJSON *about, const struct graph *graph, const struct weights_metadata *metadata)
{
    const struct shape input = graph->nodes[0].out;
    char iteration[32], offset[32];
    snprintf(iteration, sizeof iteration, "%lld", (long long)metadata->iteration);
    snprintf(offset, sizeof offset, "%lld", (long long)metadata->sample_offset);
    return cJSON_AddStringToObject(about, "format", "pt") && cJSON_AddStringToObject(about, "program", "onestep " ONESTEP_VERSION) &&
           cJSON_AddStringToObject(about, "checksum", "00000000") && cJSON_AddStringToObject(about, "net", graph->name) && cJSON_AddStringToObject(about, "iteration", iteration) &&
           cJSON_AddStringToObject(about, "sample_offset", offset) && cJSON_AddStringToObject(about, "config", metadata->config) &&
           add_list(about, "input", cJSON_CreateIntArray((const int[]){ input.c, input.h, input.w }, 3)) && add_classes(about, metadata->classes, graph->classes) &&
           add_texts(about, metadata->texts);
}

static size_t vector_bytes(const struct weights_contents *contents) { return contents->graph->params.total * sizeof(float); }
static size_t stats_bytes(const struct weights_contents *contents) { return contents->graph->stats.total * sizeof(float) * (contents->average ? 2 : 1); }

/* Integers lie before the network's tensors, so that they are aligned without gaps, which the format forbids; the other lists behind. */
static bool in_front(const struct weights_list *list) { return strcmp(list->dtype, "I64") == 0; }

static size_t front_bytes(const struct weights_contents *contents)
{
    size_t bytes = 0;
    for (int i = 0; i < contents->n_lists; i++)
        bytes += in_front(&contents->lists[i]) ? contents->lists[i].bytes : 0;
    return bytes;
}

static bool add_list_tensor(cJSON *header, const struct weights_list *list, size_t at)
{
    cJSON *row = cJSON_AddObjectToObject(header, list->name), *shape, *offsets;
    return row && cJSON_AddStringToObject(row, "dtype", list->dtype) && (shape = cJSON_AddArrayToObject(row, "shape")) && (offsets = cJSON_AddArrayToObject(row, "data_offsets")) &&
           cJSON_AddItemToArray(shape, cJSON_CreateNumber((double)list->count)) && cJSON_AddItemToArray(offsets, cJSON_CreateNumber((double)at)) &&
           cJSON_AddItemToArray(offsets, cJSON_CreateNumber((double)(at + list->bytes)));
}

static bool add_lists(cJSON *header, const struct weights_contents *contents)
{
    size_t front = 0, behind = front_bytes(contents) + vector_bytes(contents) * (contents->average ? 2 : 1) + stats_bytes(contents);
    for (int i = 0; i < contents->n_lists; i++) {
        size_t *at = in_front(&contents->lists[i]) ? &front : &behind;
        if (!add_list_tensor(header, &contents->lists[i], *at))
            return false;
        *at += contents->lists[i].bytes;
    }
    return true;
}

/* The header as text, padded with blanks to a multiple of 8 so that the tensors are aligned; NULL when memory is out. Freed with free. */
static char *make_header(const struct weights_contents *contents)
{
    cJSON *header = cJSON_CreateObject();
    cJSON *about = header ? cJSON_AddObjectToObject(header, "__metadata__") : NULL;
    char *text = NULL;
    bool whole = about && add_metadata(about, contents->graph, contents->metadata) && add_all_tensors(header, contents->graph, contents->average != NULL, front_bytes(contents)) && add_lists(header, contents);
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

static void write_checksum(char *header, size_t n, const struct file_part *data, int n_data)
{
    const char *digits = weights_checksum_digits(header, n);
    char text[16];
    snprintf(text, sizeof text, "%08x", (unsigned)weights_checksum(header, n, digits, data, n_data));
    memcpy(header + (digits - header), text, 8);
}

/* All that is written, in order; parts has room for five more than there are lists. Returns how many they are. */
static int list_parts(struct file_part *parts, const struct weights_contents *contents, const uint64_t *length, const char *header)
{
    int n = 0;
    parts[n++] = (struct file_part){ length, sizeof *length };
    parts[n++] = (struct file_part){ header, *length };
    for (int i = 0; i < contents->n_lists; i++)
        if (in_front(&contents->lists[i]))
            parts[n++] = (struct file_part){ contents->lists[i].data, contents->lists[i].bytes };
    parts[n++] = (struct file_part){ contents->weights, vector_bytes(contents) };
    parts[n++] = (struct file_part){ contents->stats, stats_bytes(contents) };
    if (contents->average)
        parts[n++] = (struct file_part){ contents->average, vector_bytes(contents) };
    for (int i = 0; i < contents->n_lists; i++)
        if (!in_front(&contents->lists[i]))
            parts[n++] = (struct file_part){ contents->lists[i].data, contents->lists[i].bytes };
    return n;
}

int weights_save(const char *path, const struct weights_contents *contents, uint64_t *bytes, struct error *error)
{
    void *parts;
    char *header = make_header(contents);
    if (!header || door_allocate(&parts, (size_t)(contents->n_lists + 5) * sizeof(struct file_part), path, error)) {
        free(header);
        return fail(error, EXIT_MEMORY, "%s: out of memory for the header", path);
    }
    uint64_t length = strlen(header), total = 0;
    int n = list_parts(parts, contents, &length, header);
    write_checksum(header, length, (const struct file_part *)parts + 2, n - 2);
    for (int i = 0; i < n; i++)
        total += ((const struct file_part *)parts)[i].n;
    if (bytes)
        *bytes = total;
    int result = file_replace(path, parts, n, error);
    door_free(parts);
    free(header);
    return result;
}
