/* See epoch_table.h. */
#include "trainer/epoch_table.h"

#include "base/text.h"
#include "trainer/progress.h"

enum column { EPOCH, ITERATION, TRAIN_LOSS, TRAIN_ACCURACY, TEST_LOSS, TEST_ACCURACY, RATE, SECONDS, COLUMNS };

static const struct { const char *name; int width; } heads[COLUMNS] = {
    [EPOCH] = { "epoch", 7 }, [ITERATION] = { "iteration", 11 }, [TRAIN_LOSS] = { "train loss", 11 },
    [TRAIN_ACCURACY] = { "accuracy", 10 },
    [TEST_LOSS] = { "test loss", 10 }, [TEST_ACCURACY] = { "accuracy", 10 }, [RATE] = { "images/s", 10 },
    [SECONDS] = { "seconds", 10 },
};

/* Bits of the columns that fit. */
static unsigned columns_of(int columns)
{
    static const enum column first_to_go[] = { SECONDS, ITERATION, RATE, TRAIN_ACCURACY, TRAIN_LOSS, TEST_LOSS };
    unsigned shown = (1u << COLUMNS) - 1;
    int width = 0;
    for (int column = 0; column < COLUMNS; column++)
        width += heads[column].width;
    for (size_t i = 0; i < sizeof first_to_go / sizeof *first_to_go && width > columns; i++) {
        shown &= ~(1u << first_to_go[i]);
        width -= heads[first_to_go[i]].width;
    }
    return shown;
}

static void write_cell(char cell[32], enum column column, const struct metrics *metrics, int i)
{
    const struct epoch *row = &metrics->epochs[i];
    bool train = column == TRAIN_LOSS || column == TRAIN_ACCURACY || column == RATE;
    bool test = column == TEST_LOSS || column == TEST_ACCURACY;
    double epoch = (double)row->iteration / (double)metrics->schedule->iterations_per_epoch;
    *cell = 0;
    if ((train && !row->trained) || (test && !row->evaluated))
        return;
    switch (column) {
    case EPOCH: snprintf(cell, 32, "%.4g", epoch); break;
    case ITERATION: snprintf(cell, 32, "%lld", (long long)row->iteration); break;
    case TRAIN_LOSS: snprintf(cell, 32, "%.4f", row->train_loss); break;
    case TRAIN_ACCURACY: snprintf(cell, 32, "%.2f %%", 100 * row->train_accuracy); break;
    case TEST_LOSS: snprintf(cell, 32, "%.4f", row->test_loss); break;
    case TEST_ACCURACY: snprintf(cell, 32, "%.2f %%", 100 * row->test_accuracy); break;
    case RATE: grouped((int64_t)metrics_rate(metrics, i), cell); break;
    case SECONDS: snprintf(cell, 32, "%.2f", row->seconds); break;
    case COLUMNS: break;
    }
}

void epoch_table_header(char line[EPOCH_ROW], int columns)
{
    unsigned shown = columns_of(columns);
    struct text text;
    text_begin(&text, line, EPOCH_ROW);
    for (int column = 0; column < COLUMNS; column++)
        if (shown >> column & 1)
            text_add(&text, "%*s", heads[column].width, heads[column].name);
}

void epoch_table_row(char line[EPOCH_ROW], int columns, const struct metrics *metrics, int i)
{
    unsigned shown = columns_of(columns);
    struct text text;
    char cell[32];
    text_begin(&text, line, EPOCH_ROW);
    for (int column = 0; column < COLUMNS; column++)
        if (shown >> column & 1) {
            write_cell(cell, (enum column)column, metrics, i);
            text_add(&text, "%*s", heads[column].width, cell);
        }
}
