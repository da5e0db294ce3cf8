/* Values of a config: text to field and back, by the row's type. A real may have one word, which stands for "left to the program" and is kept as -1. */
#include "base/sizes.h"
#include "trainer/config_table.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static void *field(const struct config_row *row, struct config *config) { return (char *)config + row->offset; }
static const void *field_of(const struct config_row *row, const struct config *config) { return (const char *)config + row->offset; }

/* The number of `text` among "a|b|c", or -1. */
static int word_number(const char *words, const char *text)
{
    size_t length = strlen(text);
    for (int number = 0;; number++) {
        const char *bar = strchr(words, '|');
        size_t n = bar ? (size_t)(bar - words) : strlen(words);
        if (n == length && memcmp(words, text, n) == 0)
            return number;
        if (!bar)
            return -1;
        words = bar + 1;
    }
}

void config_word_write(const struct config_row *row, int value, char *text, size_t bytes)
{
    const char *words = row->words;
    for (int number = value - row->first; number > 0 && strchr(words, '|'); number--)
        words = strchr(words, '|') + 1;
    snprintf(text, bytes, "%.*s", (int)strcspn(words, "|"), words);
}

/* The shortest decimal that reads back to the same double. Returns its length. */
static size_t write_real(double value, char *text, size_t bytes)
{
    int n = 0;
    for (int digits = 1; digits <= 17; digits++) {
        n = snprintf(text, bytes, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    return (size_t)n;
}

static bool parse_reals(const struct config_row *row, struct real_list *list, const char *text)
{
    struct real_list parsed = { 0 };
    while (*text) {
        char number[64];
        size_t n = strcspn(text, ",");
        const char *from = text + strspn(text, " \t");
        size_t length = n - (size_t)(from - text);
        while (length && strchr(" \t", from[length - 1]))
            length--;
        if ((size_t)(from - text) > n || length >= sizeof number || parsed.n == CONFIG_LIST)
            return false;
        memcpy(number, from, length);
        number[length] = 0;
        double *value = &parsed.values[parsed.n++];
        if (!parse_double(number, value) || *value < row->low || *value > row->high)
            return false;
        text += n;
        if (*text == ',' && !*++text)
            return false;
    }
    if (!parsed.n && !(row->fallback && !*row->fallback))
        return false;
    *list = parsed;
    return true;
}

/* Whether a text is the same after it was written to a config and read again: blanks at its ends go, and " ;" begins a comment. */
static bool survives_a_file(const char *text)
{
    size_t n = strlen(text);
    if (n && (isspace((unsigned char)text[0]) || isspace((unsigned char)text[n - 1]) || text[0] == ';'))
        return false;
    for (size_t i = 0; i < n; i++)
        if (iscntrl((unsigned char)text[i]) || (i && text[i] == ';' && isspace((unsigned char)text[i - 1])))
            return false;
    return true;
}

bool config_value_parse(const struct config_row *row, struct config *config, const char *text)
{
    void *to = field(row, config);
    int64_t integer;
    double real;
    int word;
    switch (row->type) {
    case TYPE_BOOL:
        word = word_number("false|true", text);
        if (word < 0)
            return false;
        *(bool *)to = word;
        return true;
    case TYPE_INTEGER:
        if (!parse_int64(text, &integer) || (double)integer < row->low || (double)integer > row->high)
            return false;
        *(int64_t *)to = integer;
        return true;
    case TYPE_REAL:
        if (row->words && strcmp(text, row->words) == 0)
            real = -1;
        else if (!parse_double(text, &real) || real < row->low || real > row->high)
            return false;
        *(double *)to = real;
        return true;
    case TYPE_CHOICE:
        word = word_number(row->words, text);
        if (word < 0)
            return false;
        *(int *)to = row->first + word;
        return true;
    case TYPE_TEXT:
        if (strlen(text) >= CONFIG_TEXT || (!*text && !row->fallback) || !survives_a_file(text))
            return false;
        strcpy(to, text);
        return true;
    case TYPE_REALS:
        return parse_reals(row, to, text);
    }
    return false;
}

void config_value_write(const struct config_row *row, const struct config *config, char *text, size_t bytes)
{
    const void *from = field_of(row, config);
    const struct real_list *list = from;
    switch (row->type) {
    case TYPE_BOOL: snprintf(text, bytes, "%s", *(const bool *)from ? "true" : "false"); break;
    case TYPE_INTEGER: snprintf(text, bytes, "%lld", (long long)*(const int64_t *)from); break;
    case TYPE_REAL:
        if (row->words && *(const double *)from < 0)
            snprintf(text, bytes, "%s", row->words);
        else
            write_real(*(const double *)from, text, bytes);
        break;
    case TYPE_CHOICE: config_word_write(row, *(const int *)from, text, bytes); break;
    case TYPE_TEXT: snprintf(text, bytes, "%s", (const char *)from); break;
    case TYPE_REALS:
        *text = 0;
        for (int i = 0, used = 0; i < list->n; i++) {
            used += snprintf(text + used, bytes - (size_t)used, "%s", i ? "," : "");
            used += (int)write_real(list->values[i], text + used, bytes - (size_t)used);
        }
        break;
    }
}

void config_value_rule(const struct config_row *row, char *text, size_t bytes)
{
    char words[200];
    switch (row->type) {
    case TYPE_BOOL: snprintf(text, bytes, "true or false"); break;
    case TYPE_INTEGER: snprintf(text, bytes, "%.0f..%.0f", row->low, row->high); break;
    case TYPE_REAL: snprintf(text, bytes, "%g..%g%s%s", row->low, row->high, row->words ? " or " : "", row->words ? row->words : ""); break;
    case TYPE_CHOICE:
        snprintf(words, sizeof words, "%s", row->words);
        *text = 0;
        for (char *word = words, *bar; *word; word = bar) {
            bar = word + strcspn(word, "|");
            bool last = !*bar;
            if (!last)
                *bar++ = 0;
            size_t used = strlen(text);
            snprintf(text + used, bytes - used, "%s%s", !used ? "" : last ? " or " : ", ", word);
        }
        break;
    case TYPE_TEXT: snprintf(text, bytes, "%d to %d characters, no blanks at its ends, no \" ;\"", row->fallback ? 0 : 1, CONFIG_TEXT - 1); break;
    case TYPE_REALS: snprintf(text, bytes, "numbers in %g..%g, with commas between them", row->low, row->high); break;
    }
}
