/* See text.h. */
#include "base/text.h"

#include "base/sizes.h"

#include <stdarg.h>
#include <stdio.h>

void text_begin(struct text *text, char *start, size_t room)
{
    *text = (struct text){ start, room, 0 };
    *start = 0;
}

void text_add(struct text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(text->start + text->used, text->room - text->used, format, arguments);
    va_end(arguments);
    if (n > 0)
        text->used = size_min(text->used + (size_t)n, text->room - 1);
}

int text_columns(const char *text)
{
    int n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

void text_pad(struct text *text, size_t column)
{
    size_t line = text->used;
    while (line > 0 && text->start[line - 1] != '\n')
        line--;
    while (text->used - line < column && text->used + 1 < text->room)
        text_add(text, " ");
}
