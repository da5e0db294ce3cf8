/* See weights_about.h. */
#include "trainer/weights_about.h"

#include "base/door.h"
#include "base/sizes.h"
#include "trainer/weights.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <string.h>

enum { LENGTH = sizeof(uint64_t), HEADER_LIMIT = 100 << 20, SIDE_MOST = 1 << 14 };

/* The header's text, a zero after it. */
static int read_header(const char *path, int fd, char **header, uint64_t *n, struct error *error)
{
    void *block;
    int64_t bytes = door_file_bytes(fd);
    if (bytes < 0)
        return fail_errno(error, EXIT_INPUT, errno, "%s: cannot read", path);
    int64_t got = door_read_at(fd, n, LENGTH, 0);
    if (got < 0)
        return fail_errno(error, EXIT_INPUT, errno, "%s: cannot read", path);
    if (got < LENGTH)
        return fail(error, EXIT_INPUT, "%s: want a safetensors file, found %lld bytes", path, (long long)bytes);
    if (*n > HEADER_LIMIT || (int64_t)*n > bytes - LENGTH)
        return fail(error, EXIT_INPUT, "%s: want a safetensors file, which begins with its header's length, found %llu there and %lld bytes behind it", path, (unsigned long long)*n,
                    (long long)bytes - LENGTH);
    if (door_allocate(&block, (size_t)*n + 1, path, error))
        return -1;
    *header = block;
    got = door_read_at(fd, block, (size_t)*n, LENGTH);
    if (got < 0)
        return fail_errno(error, EXIT_INPUT, errno, "%s: cannot read", path);
    return got == (int64_t)*n ? 0 : fail(error, EXIT_INPUT, "%s: changed while it was read", path);
}

/* A text of the metadata; NULL, and a message, when it is not there. */
static const char *text_of(const cJSON *metadata, const char *key, const char *path, struct error *error)
{
    const cJSON *text = cJSON_GetObjectItemCaseSensitive(metadata, key);
    if (cJSON_IsString(text))
        return text->valuestring;
    fail(error, EXIT_INPUT, "%s: want a file that onestep train wrote: its metadata has no \"%s\"", path, key);
    return NULL;
}

static int take_config(struct weights_about *about, const char *path, const char *text, struct error *error)
{
    char place[400];
    snprintf(place, sizeof place, "%.300s: its config", path);
    config_defaults(&about->config);
    if (config_parse(&about->config, place, text, strlen(text), error) || config_check(&about->config, place, error)) {
        error->code = EXIT_INPUT; /* nothing on the command line would mend it */
        return -1;
    }
    return 0;
}

static int take_input(struct weights_about *about, const char *path, const char *text, struct error *error)
{
    cJSON *list = cJSON_Parse(text);
    int sides[3] = { 0 };
    bool right = cJSON_IsArray(list) && cJSON_GetArraySize(list) == 3;
    for (int i = 0; i < 3 && right; i++) {
        const cJSON *side = cJSON_GetArrayItem(list, i);
        right = cJSON_IsNumber(side) && side->valuedouble >= 1 && side->valuedouble <= (i ? SIDE_MOST : 4);
        sides[i] = right ? (int)side->valuedouble : 0;
    }
    about->input = (struct shape){ sides[0], sides[1], sides[2] };
    cJSON_Delete(list);
    return right ? 0 : fail(error, EXIT_INPUT, "%s: metadata \"input\": want [channels, rows, columns], found %.80s", path, text);
}

static int take_classes(struct weights_about *about, const char *path, const char *text, struct error *error)
{
    about->names = cJSON_Parse(text);
    void *block;
    int n = 0;
    bool right = cJSON_IsArray(about->names) && cJSON_GetArraySize(about->names) >= 1;
    if (right && door_allocate(&block, (size_t)cJSON_GetArraySize(about->names) * sizeof(char *), "the classes' names", error))
        return -1;
    if (right)
        about->class_names = block;
    for (const cJSON *name = right ? about->names->child : NULL; name; name = name->next) {
        right &= cJSON_IsString(name);
        about->class_names[n++] = name->valuestring;
    }
    about->classes = n;
    return right ? 0 : fail(error, EXIT_INPUT, "%s: metadata \"classes\": want a list of names, found %.80s", path, text);
}

static bool has_average(const cJSON *header)
{
    for (const cJSON *tensor = header->child; tensor; tensor = tensor->next)
        if (strncmp(tensor->string, WEIGHTS_AVERAGE, strlen(WEIGHTS_AVERAGE)) == 0)
            return true;
    return false;
}

static int take_header(struct weights_about *about, const char *path, const cJSON *header, struct error *error)
{
    const cJSON *metadata = cJSON_GetObjectItemCaseSensitive(header, "__metadata__");
    const char *config, *iteration, *input, *classes;
    if (!cJSON_IsObject(header))
        return fail(error, EXIT_INPUT, "%s: want a safetensors file: its header is no JSON object", path);
    if (!(config = text_of(metadata, "config", path, error)) || !(iteration = text_of(metadata, "iteration", path, error)) || !(input = text_of(metadata, "input", path, error)) ||
        !(classes = text_of(metadata, "classes", path, error)))
        return -1;
    if (!parse_int64(iteration, &about->iteration) || about->iteration < 0)
        return fail(error, EXIT_INPUT, "%s: metadata \"iteration\": want a number, found %.80s", path, iteration);
    about->average = has_average(header);
    return take_config(about, path, config, error) || take_input(about, path, input, error) || take_classes(about, path, classes, error) ? -1 : 0;
}

int weights_about_read(struct weights_about *about, const char *path, struct error *error)
{
    char *header = NULL;
    uint64_t n = 0;
    memset(about, 0, sizeof *about);
    int fd = door_open_read(path);
    if (fd < 0)
        return fail_errno(error, EXIT_INPUT, errno, "%s: cannot open", path);
    int result = read_header(path, fd, &header, &n, error);
    if (door_close(fd) && result == 0)
        result = fail_errno(error, EXIT_INPUT, errno, "%s: cannot close", path);
    if (result == 0) {
        cJSON *tree = cJSON_ParseWithLength(header, n);
        result = take_header(about, path, tree, error);
        cJSON_Delete(tree);
    }
    door_free(header);
    return result;
}

void weights_about_release(struct weights_about *about)
{
    cJSON_Delete(about->names);
    door_free(about->class_names);
    memset(about, 0, sizeof *about);
}
