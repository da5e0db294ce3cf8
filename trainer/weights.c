/* Writing weights: see weights.h. */
#include "trainer/weights.h"

#include "base/file.h"
#include "base/sizes.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool add_tensor(cJSON *header, const struct param *param, size_t base)
{
    cJSON *row = cJSON_AddObjectToObject(header, param->name);
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
static char *make_header(const struct graph *graph, const struct weights_metadata *metadata)
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
                 add_list(about, "input", cJSON_CreateIntArray((const int[]){ input.c, input.h, input.w }, 3)) && add_classes(about, metadata->classes, graph->classes);
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
