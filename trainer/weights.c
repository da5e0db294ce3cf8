/* Writing weights: see weights.h. */
#include "trainer/weights.h"

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
static bool add_all_tensors(cJSON *header, const struct graph *graph, bool averaged)
{
    size_t params = graph->params.total * sizeof(float), stats = graph->stats.total * sizeof(float);
    if (!add_tensors(header, &graph->params, "", 0) || !add_tensors(header, &graph->stats, "", params))
        return false;
    return !averaged || (add_tensors(header, &graph->stats, WEIGHTS_AVERAGE, params + stats) && add_tensors(header, &graph->params, WEIGHTS_AVERAGE, params + 2 * stats));
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

/* The header as text, padded with blanks to a multiple of 8 so that the tensors are aligned; NULL when memory is out. Freed with free. */
static char *make_header(const struct graph *graph, bool averaged, const struct weights_metadata *metadata)
{
    cJSON *header = cJSON_CreateObject();
    cJSON *about = header ? cJSON_AddObjectToObject(header, "__metadata__") : NULL;
    const struct shape input = graph->nodes[0].out;
    char iteration[32], offset[32], *text = NULL;
    snprintf(iteration, sizeof iteration, "%lld", (long long)metadata->iteration);
    snprintf(offset, sizeof offset, "%lld", (long long)metadata->sample_offset);
    bool whole = about && cJSON_AddStringToObject(about, "format", "pt") && cJSON_AddStringToObject(about, "program", "onestep " ONESTEP_VERSION) &&
                 cJSON_AddStringToObject(about, "net", graph->name) && cJSON_AddStringToObject(about, "iteration", iteration) &&
                 cJSON_AddStringToObject(about, "sample_offset", offset) && cJSON_AddStringToObject(about, "config", metadata->config) &&
                 add_list(about, "input", cJSON_CreateIntArray((const int[]){ input.c, input.h, input.w }, 3)) && add_classes(about, metadata->classes, graph->classes) &&
                 add_all_tensors(header, graph, averaged);
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

int weights_save(const char *path, const struct graph *graph, const float *weights, const float *stats, const float *average, const struct weights_metadata *metadata,
                 struct error *error)
{
    char *header = make_header(graph, average != NULL, metadata);
    if (!header)
        return fail(error, EXIT_MEMORY, "%s: out of memory for the header", path);
    uint64_t n = strlen(header);
    size_t params_bytes = graph->params.total * sizeof(float), stats_bytes = graph->stats.total * sizeof(float) * (average ? 2 : 1);
    const struct file_part parts[] = { { &n, sizeof n }, { header, n }, { weights, params_bytes }, { stats, stats_bytes }, { average, params_bytes } };
    int result = file_replace(path, parts, average ? 5 : 4, error);
    free(header);
    return result;
}
