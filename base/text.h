/* Text built piece by piece in a caller's buffer; what does not fit is cut, and the text always ends with a zero. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stddef.h>
#include <stdio.h>

struct text { char *start; size_t room, used; }; /* used < room, the ending zero not counted */

/* room at least 1. */
void text_begin(struct text *text, char *start, size_t room);
void text_add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Columns that a UTF-8 text takes on a terminal, counting one for each character. */
int text_columns(const char *text);

/* Blanks until the line is `column` characters long. */
void text_pad(struct text *text, size_t column);

enum { TEXT_COLUMNS = 80 }; /* of whatever is printed for a person to read */

/* Prints a label, and from column `indent` on a text, whose words go into as many lines of TEXT_COLUMNS as they take,
 * each from that column on. A word that is longer than a line stays whole. */
void text_print(FILE *to, int indent, const char *label, const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
