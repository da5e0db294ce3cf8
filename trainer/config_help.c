/* `onestep config --help` and docs/config.md, out of the table. */
#include "trainer/config_table.h"

#include <string.h>

void config_help(FILE *to, bool markdown)
{
    for (int i = 0; i < n_config_rows; i++) {
        const struct config_row *row = &config_rows[i];
        char rule[256];
        config_value_rule(row, rule, sizeof rule);
        const char *fallback = !row->fallback ? "must be set" : *row->fallback ? row->fallback : "empty";
        if (i == 0 || strcmp(row->section, config_rows[i - 1].section) != 0)
            fprintf(to, markdown ? "%s## [%s]\n\n| key | want | default | meaning |\n|---|---|---|---|\n" : "%s[%s]\n", i ? "\n" : "", row->section);
        if (markdown)
            fprintf(to, "| `%s` | %s | `%s` | %s |\n", row->key, rule, fallback, row->help);
        else
            fprintf(to, "  %-16s %s\n  %-16s %s; default: %s\n", row->key, row->help, "", rule, fallback);
    }
}
