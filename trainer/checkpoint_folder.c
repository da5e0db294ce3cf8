/* A folder's checkpoints: see checkpoint.h. */
#include "trainer/checkpoint.h"

#include "base/door.h"
#include "base/list.h"
#include "base/sizes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char prefix[] = "checkpoint-", suffix[] = ".safetensors", unfinished[] = ".safetensors.part", ahead[] = ".ahead";

int checkpoint_path(const char *folder, int64_t iteration, char path[CHECKPOINT_PATH], struct error *error)
{
    if (snprintf(path, CHECKPOINT_PATH, "%s/%s%09lld%s", folder, prefix, (long long)iteration, suffix) < CHECKPOINT_PATH)
        return 0;
    return fail(error, EXIT_OUTPUT, "%.200s: want a shorter path", folder);
}

/* "checkpoint-000001234.safetensors" is 1234; -1 for any other name. */
static int64_t iteration_of(const char *name, const char *ending)
{
    char digits[24], own[24];
    int64_t iteration;
    size_t length = strlen(name), tail = strlen(ending), head = sizeof prefix - 1;
    if (length <= head + tail || memcmp(name, prefix, head) != 0 || strcmp(name + length - tail, ending) != 0 || length - head - tail >= sizeof digits)
        return -1;
    snprintf(digits, sizeof digits, "%.*s", (int)(length - head - tail), name + head);
    if (strspn(digits, "0123456789") != strlen(digits) || !parse_int64(digits, &iteration))
        return -1;
    snprintf(own, sizeof own, "%09lld", (long long)iteration);
    return strcmp(own, digits) == 0 ? iteration : -1; /* another spelling is another file than checkpoint_path's */
}

/* Names are taken one by one while the folder is read. */
struct gathering { struct checkpoint_list *list; const char *ending; struct error *error; };

static int take_name(void *context, const char *name)
{
    struct gathering *gathering = context;
    struct checkpoint_list *list = gathering->list;
    int64_t iteration = iteration_of(name, gathering->ending);
    void *rows = list->iterations;
    if (iteration < 0)
        return 0;
    if (list_grow(&rows, list->n, &list->room, sizeof *list->iterations, "the list of checkpoints", gathering->error))
        return -1;
    list->iterations = rows;
    list->iterations[list->n++] = iteration;
    return 0;
}

static int newest_first(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x < y) - (x > y);
}

static int gather(struct checkpoint_list *list, const char *folder, const char *ending, int code, struct error *error)
{
    struct gathering gathering = { list, ending, error };
    memset(list, 0, sizeof *list);
    if (door_list_folder(folder, take_name, &gathering))
        return fail_errno(error, code, errno, "%s: cannot read the folder", folder);
    if (list->n) /* else there is no array */
        qsort(list->iterations, (size_t)list->n, sizeof *list->iterations, newest_first);
    return 0;
}

int checkpoint_list(struct checkpoint_list *list, const char *folder, struct error *error) { return gather(list, folder, suffix, EXIT_INPUT, error); }

static int remove_from(const char *folder, const char *ending, int64_t keep, struct error *error)
{
    struct checkpoint_list list;
    char path[CHECKPOINT_PATH + 8];
    int result = gather(&list, folder, ending, EXIT_OUTPUT, error);
    for (int64_t i = keep; i < list.n && result == 0; i++) {
        result = checkpoint_path(folder, list.iterations[i], path, error);
        if (result == 0 && strcmp(ending, unfinished) == 0)
            strcat(path, ".part");
        if (result == 0 && door_remove(path) && errno != ENOENT)
            result = fail_errno(error, EXIT_OUTPUT, errno, "%s: cannot remove", path);
    }
    door_free(list.iterations);
    return result;
}

int checkpoint_prune(const char *folder, int64_t keep, struct error *error)
{
    return remove_from(folder, suffix, keep, error) || remove_from(folder, unfinished, 0, error) ? -1 : 0;
}

int checkpoint_set_aside(const char *folder, int64_t iteration, int *n, struct error *error)
{
    struct checkpoint_list list;
    char from[CHECKPOINT_PATH], to[CHECKPOINT_PATH + sizeof ahead];
    int result = gather(&list, folder, suffix, EXIT_OUTPUT, error);
    for (*n = 0; result == 0 && *n < list.n && list.iterations[*n] > iteration; ++*n) {
        result = checkpoint_path(folder, list.iterations[*n], from, error);
        snprintf(to, sizeof to, "%s%s", from, ahead);
        if (result == 0 && door_rename(from, to))
            result = fail_errno(error, EXIT_OUTPUT, errno, "%s: cannot rename to %s", from, to);
    }
    door_free(list.iterations);
    return result;
}
