/* The table of epochs: a header, and a row for each as it ends. */
#ifndef TRAINER_EPOCH_TABLE_H
#define TRAINER_EPOCH_TABLE_H

#include "trainer/metrics.h"

enum { EPOCH_ROW = 96 }; /* room for a line */

/* In lines of at most `columns`: in a narrow one the columns that matter least are left out. */
void epoch_table_header(char line[EPOCH_ROW], int columns);
void epoch_table_row(char line[EPOCH_ROW], int columns, const struct metrics *metrics, int i);

#endif
