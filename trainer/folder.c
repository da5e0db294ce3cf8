/* See folder.h. */
#include "trainer/folder.h"

#include "base/door.h"

#include <errno.h>
#include <string.h>

/* All folders above `path`. */
static int make_parents(const char *path, struct error *error)
{
    char part[1024];
    snprintf(part, sizeof part, "%s", path);
    for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        if (door_mkdir(part) && errno != EEXIST)
            return fail_errno(error, EXIT_OUTPUT, errno, "%s: cannot make the folder", part);
        *slash = '/';
    }
    return 0;
}

static int make_named(struct folder *folder, bool overwrite, struct error *error)
{
    if (make_parents(folder->path, error))
        return -1;
    if (door_mkdir(folder->path) == 0)
        return 0;
    if (errno != EEXIST)
        return fail_errno(error, EXIT_OUTPUT, errno, "%s: cannot make the folder", folder->path);
    if (overwrite)
        return 0;
    return fail(error, EXIT_USAGE, "%s: exists already; want a new folder, or --set output.overwrite=true", folder->path);
}

int folder_make(struct folder *folder, const struct config *config, const char *name, struct error *error)
{
    if (*config->output.dir) {
        snprintf(folder->path, sizeof folder->path, "%s", config->output.dir);
        for (size_t n = strlen(folder->path); n > 1 && folder->path[n - 1] == '/'; n--)
            folder->path[n - 1] = 0;
        return make_named(folder, config->output.overwrite, error);
    }
    for (int number = 1; number < 1000000; number++) {
        snprintf(folder->path, sizeof folder->path, "runs/%s-%03d", name, number);
        if (make_parents(folder->path, error))
            return -1;
        if (door_mkdir(folder->path) == 0)
            return 0;
        if (errno != EEXIST)
            return fail_errno(error, EXIT_OUTPUT, errno, "%s: cannot make the folder", folder->path);
    }
    return fail(error, EXIT_OUTPUT, "runs/%s-NNN: no free number is left", name);
}

int folder_file(const struct folder *folder, const char *file, char *path, size_t bytes, struct error *error)
{
    if ((size_t)snprintf(path, bytes, "%s/%s", folder->path, file) < bytes)
        return 0;
    return fail(error, EXIT_OUTPUT, "%s: want a shorter path", folder->path);
}
