/* The rows behind config.h. Inside config*.c only. */
#ifndef TRAINER_CONFIG_TABLE_H
#define TRAINER_CONFIG_TABLE_H

#include "trainer/config.h"

enum {
    CONFIG_LINE = 190,              /* one more than the characters of a line: Debian's inih cuts what is longer */
    CONFIG_VALUE = CONFIG_LIST * 26 /* room for any value as text */
};

enum config_type { TYPE_BOOL, TYPE_INTEGER, TYPE_REAL, TYPE_CHOICE, TYPE_TEXT, TYPE_REALS };

struct config_row {
    const char *section, *key;
    enum config_type type;
    size_t offset;            /* in struct config */
    double low, high;         /* numbers: the range, both included */
    int first;                /* choices: the value of the first word */
    const char *words;        /* choices: "ssgd|asgd"; texts: what it may be, for a person; reals: the word for "left to the program", kept as -1; or NULL */
    const char *fallback;     /* the default as it would stand in a file; NULL: must be set */
    const char *help;
};

extern const struct config_row config_rows[];
extern const int n_config_rows;

/* Text to the row's field. False: it is not of the row's type or range. */
bool config_value_parse(const struct config_row *row, struct config *config, const char *text);
void config_value_write(const struct config_row *row, const struct config *config, char *text, size_t bytes);

/* The word of choice number `value`. */
void config_word_write(const struct config_row *row, int value, char *text, size_t bytes);

/* The rule that decides whether a value parses: "1..65536", "ssgd, asgd or odsgd". */
void config_value_rule(const struct config_row *row, char *text, size_t bytes);

/* A key was set on the command line: takes back what the config says in another key that would contradict it. */
void config_replace(struct config *config, const struct config_row *row);

#endif
