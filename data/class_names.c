/* See class_names.h. */
#include "data/class_names.h"

#include "base/door.h"
#include "base/error.h"
#include "base/file.h"

#include <string.h>

enum { LINE_MOST = CLASS_NAME_MOST + 2 };

/* Takes the line at *text off the rest, without its end ("\n" or "\r\n"). */
static char *next_line(char **text, size_t *left, size_t *length)
{
    char *line = *text, *end = memchr(line, '\n', *left);
    size_t taken = end ? (size_t)(end - line) + 1 : *left;
    *length = taken - (end != NULL);
    *text += taken;
    *left -= taken;
    if (*length && line[*length - 1] == '\r')
        --*length;
    return line;
}

static int check_name(const char *path, int number, const char *line, size_t length, struct error *error)
{
    if (length < 1 || length > CLASS_NAME_MOST)
        return fail(error, EXIT_INPUT, "%s: line %d: want a class name of 1..%d characters, found %zu", path, number, CLASS_NAME_MOST, length);
    for (size_t i = 0; i < length; i++)
        if (line[i] < ' ' || line[i] > '~')
            return fail(error, EXIT_INPUT, "%s: line %d: want a class name in printable ASCII, found byte 0x%02x", path, number, (unsigned char)line[i]);
    return 0;
}

static int split(struct class_names *names, size_t bytes, const char *path, int n, struct error *error)
{
    char *rest = names->text;
    for (int number = 1; bytes; number++) {
        size_t length;
        char *line = next_line(&rest, &bytes, &length);
        if (number > n) {
            if (length)
                return fail(error, EXIT_INPUT, "%s: line %d: want nothing after %d class names, found %zu characters", path, number, n, length);
            continue;
        }
        if (check_name(path, number, line, length, error))
            return -1;
        line[length] = 0; /* file_read leaves a zero after the last byte */
        names->names[number - 1] = line;
    }
    if (!names->names[n - 1])
        return fail(error, EXIT_INPUT, "%s: want %d class names, one a line, found fewer", path, n);
    return 0;
}

int class_names_open(struct class_names *names, const char *path, int n, struct error *error)
{
    size_t bytes;
    *names = (struct class_names){ 0 };
    if (door_allocate((void **)&names->names, (size_t)n * sizeof *names->names, "class names", error) ||
        file_read(path, (size_t)n * LINE_MOST + LINE_MOST, &names->text, &bytes, error) || split(names, bytes, path, n, error)) {
        class_names_release(names);
        return -1;
    }
    return 0;
}

void class_names_release(struct class_names *names)
{
    door_free(names->names);
    door_free(names->text);
    *names = (struct class_names){ 0 };
}
