/* See error.h. */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void write_message(struct error *error, int code, const char *format, va_list arguments)
{
    error->code = code;
    vsnprintf(error->text, sizeof error->text, format, arguments);
    for (char *c = error->text; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 127) /* bytes of a bad file must not steer a terminal */
            *c = ' ';
}

int fail(struct error *error, int code, const char *format, ...)
{
    if (error->code)
        return -1;
    va_list arguments;
    va_start(arguments, format);
    write_message(error, code, format, arguments);
    va_end(arguments);
    return -1;
}

int fail_errno(struct error *error, int code, int number, const char *format, ...)
{
    if (error->code)
        return -1;
    va_list arguments;
    va_start(arguments, format);
    write_message(error, code, format, arguments);
    va_end(arguments);
    char reason[128];
    size_t n = (size_t)snprintf(reason, sizeof reason, ": %.100s", strerror(number));
    size_t used = strlen(error->text), room = sizeof error->text - 1 - n; /* the reason is kept whole */
    memcpy(error->text + (used < room ? used : room), reason, n + 1);
    return -1;
}

int error_place(struct error *error, const char *place)
{
    char text[sizeof error->text];
    memcpy(text, error->text, sizeof text);
    size_t n = (size_t)snprintf(error->text, sizeof error->text, "%.300s: ", place);
    size_t kept = strnlen(text, sizeof text - 1 - n);
    memcpy(error->text + n, text, kept);
    error->text[n + kept] = 0;
    return -1;
}

void assert_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr, "onestep: %s:%d: an invariant is broken: %s\n", file, line, condition);
    fflush(stderr);
    _Exit(EXIT_INVARIANT);
}
