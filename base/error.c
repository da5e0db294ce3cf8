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
        if (*c == '\n' || *c == '\r')
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
    size_t used = strlen(error->text);
    snprintf(error->text + used, sizeof error->text - used, ": %s", strerror(number));
    return -1;
}

void assert_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr, "onestep: %s:%d: an invariant is broken: %s\n", file, line, condition);
    fflush(stderr);
    _Exit(EXIT_INVARIANT);
}
