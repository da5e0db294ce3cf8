/* See choices.h. */
#include "cuda/choices.h"

#include "base/door.h"
#include "base/error.h"
#include "base/file.h"
#include "base/list.h"
#include "base/philox.h"
#include "base/text.h"
#include "cuda/cuda.h"
#include "cuda/device.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_ROOM = 1200, FILE_MOST = 16 << 20, LINE_ROOM = CHOICE_KEY + CHOICE_VALUE + 32 };

struct choice { char machine[CHOICE_MACHINE], key[CHOICE_KEY], value[CHOICE_VALUE]; };

static struct {
    pthread_mutex_t lock;
    void *rows;
    int n, room;
    bool told; /* that they are not written */
} table = { .lock = PTHREAD_MUTEX_INITIALIZER };

void choices_lock(void) { pthread_mutex_lock(&table.lock); }
void choices_unlock(void) { pthread_mutex_unlock(&table.lock); }

int choices_machine(char machine[CHOICE_MACHINE], const struct device *device, struct error *error)
{
    struct gpu gpu;
    struct text text;
    if (cuda_gpu_read(&gpu, device->ordinal, error))
        return -1;
    text_begin(&text, machine, CHOICE_MACHINE);
    text_add(&text, "%s, %d processors, cuDNN %zu, cuBLASLt %zu, onestep " ONESTEP_VERSION, gpu.name, gpu.processors, cudnnGetVersion(), cublasLtGetVersion());
    return 0;
}

/* False when there is no home for it. */
static bool path_of(char path[PATH_ROOM], const char *machine)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    struct text text;
    text_begin(&text, path, PATH_ROOM);
    if (cache && *cache)
        text_add(&text, "%s", cache);
    else if (home && *home)
        text_add(&text, "%s/.cache", home);
    else
        return false;
    door_mkdir(path);
    text_add(&text, "/onestep");
    door_mkdir(path);
    text_add(&text, "/cuda-%016llx", (unsigned long long)hash_name(machine));
    return text.used + 1 < text.room;
}

/* The checksum covers the machine too, so that a file under another's name says nothing. */
static void write_line(char line[LINE_ROOM], const char *machine, const char *key, const char *value)
{
    char covered[CHOICE_MACHINE + LINE_ROOM];
    snprintf(covered, sizeof covered, "%s\t%s\t%s", machine, key, value);
    snprintf(line, LINE_ROOM, "%016llx\t%s\t%s\n", (unsigned long long)hash_name(covered), key, value);
}

static struct choice *row_of(const char *machine, const char *key)
{
    struct choice *rows = table.rows;
    for (int i = 0; i < table.n; i++)
        if (strcmp(rows[i].key, key) == 0 && strcmp(rows[i].machine, machine) == 0)
            return &rows[i];
    return NULL;
}

void choices_remember(const char *machine, const char *key, const char *value)
{
    struct error ignored = { 0 };
    struct choice *row = row_of(machine, key);
    if (!row && list_grow(&table.rows, table.n, &table.room, sizeof *row, "choices", &ignored) == 0)
        row = (struct choice *)table.rows + table.n++;
    if (!row)
        return;
    snprintf(row->machine, sizeof row->machine, "%s", machine);
    snprintf(row->key, sizeof row->key, "%s", key);
    snprintf(row->value, sizeof row->value, "%s", value);
}

static bool read_line(char value[CHOICE_VALUE], const char *line, size_t n, const char *machine, const char *key)
{
    char found[LINE_ROOM], again[LINE_ROOM];
    if (n >= sizeof found)
        return false;
    snprintf(found, sizeof found, "%.*s\n", (int)n, line);
    char *key_at = strchr(found, '\t'), *value_at = key_at ? strchr(key_at + 1, '\t') : NULL;
    if (!value_at || (size_t)(value_at - key_at - 1) != strlen(key) || memcmp(key_at + 1, key, strlen(key)) != 0 || strlen(value_at + 1) > CHOICE_VALUE)
        return false;
    char candidate[CHOICE_VALUE];
    snprintf(candidate, sizeof candidate, "%.*s", (int)strlen(value_at + 1) - 1, value_at + 1);
    write_line(again, machine, key, candidate);
    if (strcmp(again, found) != 0)
        return false;
    memcpy(value, candidate, sizeof candidate);
    return true;
}

static bool find_in_file(const char *machine, const char *key, char value[CHOICE_VALUE])
{
    struct error ignored = { 0 };
    char path[PATH_ROOM], *text;
    size_t bytes;
    bool found = false;
    if (!path_of(path, machine) || !door_exists(path) || file_read(path, FILE_MOST, &text, &bytes, &ignored))
        return false;
    for (const char *line = text, *end; (end = memchr(line, '\n', bytes - (size_t)(line - text))) != NULL; line = end + 1)
        found |= read_line(value, line, (size_t)(end - line), machine, key);
    door_free(text);
    return found;
}

bool choices_find(const char *machine, const char *key, char value[CHOICE_VALUE])
{
    const struct choice *row = row_of(machine, key);
    if (row) {
        snprintf(value, CHOICE_VALUE, "%s", row->value);
        return true;
    }
    if (!find_in_file(machine, key, value))
        return false;
    choices_remember(machine, key, value);
    return true;
}

/* In one write. Whatever a torn line before it ends with, it begins a line of its own. */
static int append(const char *path, const char *machine, const char *key, const char *value, struct error *error)
{
    char line[LINE_ROOM], record[CHOICE_MACHINE + LINE_ROOM + 8];
    write_line(line, machine, key, value);
    snprintf(record, sizeof record, "\n%s", line);
    if (!door_exists(path))
        snprintf(record, sizeof record, "%s\n%s", machine, line);
    int fd = door_open_append(path);
    if (fd < 0)
        return fail(error, EXIT_OUTPUT, "%s: cannot open", path);
    int result = file_append(fd, path, record, strlen(record), error);
    return door_close(fd) ? fail(error, EXIT_OUTPUT, "%s: cannot close", path) : result;
}

void choices_keep(const char *machine, const char *key, const char *value)
{
    struct error error = { 0 };
    char path[PATH_ROOM];
    choices_remember(machine, key, value);
    if (!path_of(path, machine) || append(path, machine, key, value, &error) == 0 || table.told)
        return;
    table.told = true;
    fprintf(stderr, "onestep: what is measured on the GPU is not remembered: %s\n", error.text);
}

void choices_forget(void)
{
    choices_lock();
    door_free(table.rows);
    table.rows = NULL;
    table.n = table.room = 0;
    table.told = false;
    choices_unlock();
}
