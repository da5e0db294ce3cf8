/* See text.h. */
#include "base/text.h"

#include "base/sizes.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

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

/* The columns that some bytes take. */
static int columns_of(const char *text, size_t bytes)
{
    int n = 0;
    for (size_t i = 0; i < bytes; i++)
        n += ((unsigned char)text[i] & 0xc0) != 0x80;
    return n;
}

int text_columns(const char *text) { return columns_of(text, strlen(text)); }

void text_pad(struct text *text, size_t column)
{
    size_t line = text->used;
    while (line > 0 && text->start[line - 1] != '\n')
        line--;
    while (text->used - line < column && text->used + 1 < text->room)
        text_add(text, " ");
}

static void print_words(FILE *to, int at, int indent, const char *text)
{
    bool first = true;
    if (at < indent)
        at += fprintf(to, "%*s", indent - at, "");
    while (*text) {
        int blanks = (int)strspn(text, " ");
        const char *word = text + blanks;
        size_t bytes = strcspn(word, " ");
        int columns = columns_of(word, bytes);
        if (bytes && !first && at + blanks + columns > TEXT_COLUMNS) {
            at = fprintf(to, "\n%*s", indent, "") - 1;
            blanks = 0;
        }
        fprintf(to, "%*s%.*s", blanks, "", (int)bytes, word);
        at += blanks + columns;
        text = word + bytes;
        first = false;
    }
    putc('\n', to);
}

void text_print(FILE *to, int indent, const char *label, const char *format, ...)
{
    char text[4096];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fputs(label, to);
    print_words(to, text_columns(label), indent, text);
}
