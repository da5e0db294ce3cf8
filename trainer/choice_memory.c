/* See choice_memory.h. */
#include "trainer/choice_memory.h"

#include "base/door.h"
#include "base/file.h"
#include "base/philox.h"
#include "base/text.h"
#include "cpu/cpu.h"
#include "cpu/isa.h"
#include "trainer/program.h"

#include <stdlib.h>
#include <string.h>

static const char prefix[] = "backend-";

static const char *libraries(void)
{
#ifdef HAVE_ONEDNN
    return onednn_version();
#else
    return "";
#endif
}

static bool find_folder(char *folder, size_t bytes)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (cache && *cache)
        snprintf(folder, bytes, "%s", cache);
    else if (home && *home)
        snprintf(folder, bytes, "%s/.cache", home);
    else
        return false;
    door_mkdir(folder);
    strncat(folder, "/onestep", bytes - strlen(folder) - 1);
    door_mkdir(folder);
    return true;
}

bool choice_memory_path(char *path, size_t bytes, const struct choice_key *key)
{
    const struct graph *graph = key->graph;
    char about[1536], folder[1024];
    uint64_t program;
    struct text text;
    if (!program_hash(&program) || !find_folder(folder, sizeof folder))
        return false;
    text_begin(&text, about, sizeof about);
    text_add(&text, "%s|%s|%016llx|%s|%s|%zu|%zu|%d", key->processor, isa_name(isa_chosen()),
             (unsigned long long)program, libraries(), graph->name, graph->params.total,
             shape_count(graph->nodes[0].out), key->batch);
    for (int i = 0; i < key->n; i++)
        text_add(&text, "|%s %s", key->candidates[i].backend->name, precision_name(key->candidates[i].precision));
    return (size_t)snprintf(path, bytes, "%s/%s%016llx", folder, prefix, (unsigned long long)hash_name(about)) < bytes;
}

static void choice_line(char *line, size_t bytes, const struct choice *choice)
{
    snprintf(line, bytes, "%s %s\n", choice->backend->name, precision_name(choice->precision));
}

bool choice_recall(struct choice *choice, const struct choice_key *key, const char *path)
{
    struct error ignored = { 0 };
    char *text, line[64];
    size_t bytes;
    bool found = false;
    if (!door_exists(path) || file_read(path, sizeof line, &text, &bytes, &ignored))
        return false;
    for (int i = 0; i < key->n && !found; i++) {
        choice_line(line, sizeof line, &key->candidates[i]);
        found = strcmp(line, text) == 0;
        if (!found)
            continue;
        *choice = key->candidates[i];
        choice->source = CHOICE_REMEMBERED;
    }
    door_free(text);
    if (found)
        door_touch(path); /* where that cannot be done, nobody else can remove the file either */
    return found;
}

/* Removes that file of the folder if it is one of ours, and too old. */
static int expire(void *folder, const char *name)
{
    char path[1300];
    int n = snprintf(path, sizeof path, "%s/%s", (const char *)folder, name);
    if (strncmp(name, prefix, sizeof prefix - 1) != 0 || n >= (int)sizeof path)
        return 0;
    if (door_age_seconds(path) > (int64_t)CHOICE_MEMORY_DAYS * 24 * 3600)
        door_remove(path);
    return 0;
}

void choice_remember(const struct choice *choice, const char *path)
{
    struct error error = { 0 };
    char line[64], folder[1200];
    choice_line(line, sizeof line, choice);
    if (file_replace(path, &(struct file_part){ line, strlen(line) }, 1, &error))
        fprintf(stderr, "onestep: the choice of a backend is not remembered: %s\n", error.text);
    snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(path, '/') - path), path);
    door_list_folder(folder, expire, folder);
}
