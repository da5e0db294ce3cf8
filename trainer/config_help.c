/* `onestep config --help` and docs/config.md, out of the table. */
#include "base/text.h"
#include "trainer/config_table.h"

#include <string.h>

enum { COLUMN = 19 }; /* where a terminal's text begins */

/* What a person may write there. Whether a text is one of those is found out later, where it is used. */
static void write_values(const struct config_row *row, char *text, size_t bytes)
{
    if (row->type == TYPE_TEXT)
        snprintf(text, bytes, "%s", row->words);
    else
        config_value_rule(row, text, bytes);
}

static void print_row(FILE *to, const struct config_row *row, bool markdown)
{
    char values[256], label[32];
    const char *fallback = !row->fallback ? "must be set" : *row->fallback ? row->fallback : "empty";
    write_values(row, values, sizeof values);
    if (markdown) {
        fprintf(to, "| `%s` | %s | `%s` | %s |\n", row->key, values, fallback, row->help);
        return;
    }
    snprintf(label, sizeof label, "  %s", row->key);
    text_print(to, COLUMN, label, "%s", row->help);
    text_print(to, COLUMN, "", "%s; default: %s", values, fallback);
}

void config_help(FILE *to, bool markdown)
{
    for (int i = 0; i < n_config_rows; i++) {
        const struct config_row *row = &config_rows[i];
        if (i == 0 || strcmp(row->section, config_rows[i - 1].section) != 0)
            fprintf(to, markdown ? "%s## [%s]\n\n| key | want | default | meaning |\n|---|---|---|---|\n" : "%s[%s]\n", i ? "\n" : "", row->section);
        print_row(to, row, markdown);
    }
}
