/* Text built piece by piece in a caller's buffer; what does not fit is cut, and the text always ends with a zero. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stddef.h>

struct text { char *start; size_t room, used; }; /* used < room, the ending zero not counted */

/* room at least 1. */
void text_begin(struct text *text, char *start, size_t room);
void text_add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Columns that a UTF-8 text takes on a terminal, counting one for each character. */
int text_columns(const char *text);

/* Blanks until the line is `column` characters long. */
void text_pad(struct text *text, size_t column);

#endif
