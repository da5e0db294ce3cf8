/* A small font, drawn for this program. Inside picture.c only. */
#ifndef TRAINER_FONT_H
#define TRAINER_FONT_H

#include <stdint.h>

enum { FONT_FIRST = ' ', FONT_LAST = '~', FONT_COLUMNS = 5, FONT_ROWS = 8 };

extern const uint8_t font[FONT_LAST - FONT_FIRST + 1][FONT_COLUMNS];

#endif
