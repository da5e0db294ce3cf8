/* See devices.h. */
#include "trainer/devices.h"

#include "base/sizes.h"
#include "base/text.h"

#include <string.h>

static int refuse(const char *name, const char *got, struct error *error)
{
    return fail(error, EXIT_USAGE, "%s: [workers] devices: want auto, cpu or a list as cuda:0,0,1, got \"%s\"", name, got);
}

/* "0,0,1" behind "cuda:". */
static int read_list(struct devices *devices, const char *devices_word, const char *list, const char *name, struct error *error)
{
    for (const char *at = list;; at++) {
        char number[16];
        int64_t place;
        size_t length = strcspn(at, ",");
        if (length >= sizeof number)
            return refuse(name, devices_word, error);
        memcpy(number, at, length);
        number[length] = 0;
        if (!parse_int64(number, &place) || place < 0 || place > 1023)
            return refuse(name, devices_word, error);
        if (devices->n == WORKERS_MAX)
            return fail(error, EXIT_USAGE, "%s: [workers] devices: want at most %d workers, got more", name, WORKERS_MAX);
        devices->places[devices->n++] = (int)place;
        at += length;
        if (!*at)
            return 0;
    }
}

static int read_workers(struct devices *devices, const struct config *config, int gpus, const char *name, struct error *error)
{
    const char *word = config->workers.devices;
    int64_t count = config->workers.count;
    if (strcmp(word, "cpu") == 0 || (strcmp(word, "auto") == 0 && gpus == 0))
        return 0;
    if (strcmp(word, "auto") == 0) {
        devices->n = (int)(count ? count : gpus < WORKERS_MAX ? gpus : WORKERS_MAX);
        for (int k = 0; k < devices->n; k++)
            devices->places[k] = k % gpus;
        return 0;
    }
    if (strncmp(word, "cuda:", 5) != 0)
        return refuse(name, word, error);
    if (read_list(devices, word, word + 5, name, error))
        return -1;
    if (count && count != devices->n)
        return fail(error, EXIT_USAGE, "%s: [workers] count: want 0 or %d, as many as devices lists, got %lld; with 0 the list decides", name, devices->n, (long long)count);
    for (int k = 0; k < devices->n; k++)
        if (devices->places[k] >= gpus)
            return fail(error, EXIT_USAGE, "%s: [workers] devices: want GPUs 0 to %d, got cuda:%d; onestep info lists them", name, gpus - 1, devices->places[k]);
    return 0;
}

static bool holds(const struct devices *devices, int place)
{
    for (int i = 0; i < devices->n_server; i++)
        if (devices->server[i] == place)
            return true;
    return false;
}

static int read_server(struct devices *devices, const struct config *config, int gpus, const char *name, struct error *error)
{
    const char *word = config->workers.server;
    bool gathers = config->optimizer.clip_norm > 0 || config->train.precision == PRECISION_FP16, one = strcmp(word, "auto") == 0 && gathers;
    int64_t place;
    if (config->workers.reduce == REDUCE_NCCL) {
        if (strcmp(word, "auto") != 0)
            return fail(error, EXIT_USAGE, "%s: [workers] server: with reduce = nccl every GPU holds the weights: want auto, got \"%s\"", name, word);
        for (int k = 0; k < devices->n; k++)
            for (int other = 0; other < k; other++)
                if (devices->places[k] == devices->places[other])
                    return fail(error, EXIT_USAGE, "%s: [workers] reduce: nccl wants a GPU for each worker, and workers %d and %d share cuda:%d", name, other, k, devices->places[k]);
        devices->server[devices->n_server++] = devices->places[0];
        return 0;
    }
    if (strncmp(word, "cuda:", 5) == 0) {
        if (!parse_int64(word + 5, &place) || place < 0 || place >= gpus)
            return fail(error, EXIT_USAGE, "%s: [workers] server: want cuda:0 to cuda:%d, got \"%s\"", name, gpus - 1, word);
        devices->server[devices->n_server++] = (int)place;
        return 0;
    }
    if (strcmp(word, "host") == 0)
        return 0;
    if (strcmp(word, "auto") != 0 && strcmp(word, "sharded") != 0)
        return fail(error, EXIT_USAGE, "%s: [workers] server: want auto, sharded, host or cuda:N, got \"%s\"", name, word);
    for (int k = 0; k < devices->n && devices->n_server < (one ? 1 : SHARDS_MAX); k++)
        if (!holds(devices, devices->places[k]))
            devices->server[devices->n_server++] = devices->places[k];
    if (gathers && devices->n_server > 1)
        return fail(error, EXIT_USAGE, "%s: [workers] server: with %s whole gradients meet on one GPU: want auto, host or cuda:N, got \"%s\"", name,
                    config->optimizer.clip_norm > 0 ? "clip_norm" : "fp16", word);
    return 0;
}

int devices_read(struct devices *devices, const struct config *config, int gpus, const char *name, struct error *error)
{
    *devices = (struct devices){ 0 };
    if (read_workers(devices, config, gpus, name, error))
        return -1;
    if (devices->n)
        return read_server(devices, config, gpus, name, error);
    if (strcmp(config->workers.server, "auto") != 0)
        return fail(error, EXIT_USAGE, "%s: [workers] server: without GPUs want auto, got \"%s\"", name, config->workers.server);
    if (config->workers.reduce == REDUCE_NCCL)
        return fail(error, EXIT_USAGE, "%s: [workers] reduce: nccl wants GPUs, and the workers run on the CPU", name);
    return 0;
}

void devices_write(const struct devices *devices, char *buffer, size_t bytes)
{
    struct text text;
    text_begin(&text, buffer, bytes);
    text_add(&text, "%s", devices->n ? "cuda:" : "cpu");
    for (int k = 0; k < devices->n; k++)
        text_add(&text, "%s%d", k ? "," : "", devices->places[k]);
}
