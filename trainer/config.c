/* Reading a config. inih splits the lines; a reader of ours counts them, because Debian's build of inih gives no line numbers, cuts long
 * lines and takes an indented line for a continuation: overlong and indented lines are refused before it sees them. */
#include "trainer/config.h"

#include "base/door.h"
#include "base/file.h"
#include "base/nearest.h"
#include "trainer/config_table.h"

#include <ctype.h>
#include <ini.h>
#include <string.h>

enum { LINE_MOST = CONFIG_LINE - 1, FILE_LIMIT = 1 << 20 };

struct reading {
    struct config *config;
    const char *name; /* of the file */
    const char *at, *end;
    int line;         /* of the line last given to inih */
    int *set_at;      /* by row: the line that set it, 0 for none */
    struct error *error;
};

void config_defaults(struct config *config)
{
    memset(config, 0, sizeof *config);
    for (int i = 0; i < n_config_rows; i++)
        if (config_rows[i].fallback)
            ASSERT(config_value_parse(&config_rows[i], config, config_rows[i].fallback));
}

static const char *nearest_section(const char *section)
{
    const char *names[64];
    int n = 0;
    for (int i = 0; i < n_config_rows; i++)
        if (i == 0 || strcmp(config_rows[i].section, config_rows[i - 1].section) != 0)
            names[n++] = config_rows[i].section;
    names[n] = NULL;
    return nearest_name(section, names);
}

static const char *nearest_key(const char *section, const char *key)
{
    const char *names[64];
    int n = 0;
    for (int i = 0; i < n_config_rows; i++)
        if (strcmp(config_rows[i].section, section) == 0)
            names[n++] = config_rows[i].key;
    names[n] = NULL;
    return nearest_name(key, names);
}

/* `place`: "configs/lenet.ini:14" or "--set". Returns the row's number, or -1 with the error set. */
static int find_row(const char *place, const char *section, const char *key, struct error *error)
{
    bool section_known = false;
    for (int i = 0; i < n_config_rows; i++)
        if (strcmp(config_rows[i].section, section) == 0) {
            section_known = true;
            if (strcmp(config_rows[i].key, key) == 0)
                return i;
        }
    if (!section_known)
        return fail(error, EXIT_USAGE, "%s: unknown section [%s], the nearest is [%s]", place, section, nearest_section(section));
    return fail(error, EXIT_USAGE, "%s: [%s] has no key \"%s\", the nearest is %s", place, section, key, nearest_key(section, key));
}

/* What is set must be read back from the run's resolved config, which may write a number longer than it was. */
static bool fits_a_line(const struct config_row *row, const struct config *config)
{
    char value[CONFIG_VALUE];
    config_value_write(row, config, value, sizeof value);
    return strlen(row->key) + strlen(" = ") + strlen(value) <= LINE_MOST;
}

static int set_value(struct config *config, int row_number, const char *place, const char *text, struct error *error)
{
    const struct config_row *row = &config_rows[row_number];
    struct config tried = *config; /* a value that is refused changes nothing */
    char rule[256];
    if (config_value_parse(row, &tried, text)) {
        if (fits_a_line(row, &tried)) {
            *config = tried;
            return 0;
        }
        return fail(error, EXIT_USAGE, "%s: [%s] %s: want a list that fits a line of %d characters, got \"%.40s...\"", place, row->section, row->key, LINE_MOST, text);
    }
    config_value_rule(row, rule, sizeof rule);
    return fail(error, EXIT_USAGE, "%s: [%s] %s: want %s, got \"%s\"", place, row->section, row->key, rule, text);
}

static int refuse_line(struct reading *reading, const char *rule, const char *line, size_t n)
{
    return fail(reading->error, EXIT_USAGE, "%s:%d: want %s, got \"%.*s%s\"", reading->name, reading->line, rule, (int)(n < 40 ? n : 40), line, n > 40 ? "..." : "");
}

/* Blank lines and comments; they may be of any length, because inih does not see them. */
static bool is_left_out(const char *line, size_t n)
{
    size_t blank = 0;
    while (blank < n && isspace((unsigned char)line[blank]))
        blank++;
    return blank == n || line[0] == '#' || line[0] == ';';
}

/* Where inih takes the rest of the line for a comment. */
static size_t without_comment(const char *line, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (line[i] == ';' && isspace((unsigned char)line[i - 1]))
            return i;
    return n;
}

static bool is_section(const char *line, size_t n)
{
    const char *end = memchr(line, ']', n);
    size_t rest = end ? (size_t)(end - line) + 1 : 0;
    while (end && rest < n && isspace((unsigned char)line[rest]))
        rest++;
    return end && rest == n;
}

/* What must hold of a line before inih sees it. */
static int check_line(struct reading *reading, const char *line, size_t n)
{
    if (memchr(line, 0, n))
        return refuse_line(reading, "text without a zero byte", line, n);
    if (is_left_out(line, n))
        return 0;
    if (n > LINE_MOST)
        return fail(reading->error, EXIT_USAGE, "%s:%d: want a line of at most %d characters, got %zu", reading->name, reading->line, LINE_MOST, n);
    if (isspace((unsigned char)line[0]))
        return refuse_line(reading, "no blanks before a key or a section", line, n);
    size_t used = without_comment(line, n);
    if (line[0] == '[' ? !is_section(line, used) : line[0] == '=' || !memchr(line, '=', used))
        return refuse_line(reading, "[section], key = value, or a comment", line, n);
    return 0;
}

static char *next_line(char *to, int room, void *context)
{
    struct reading *reading = context;
    if (reading->at == reading->end || reading->error->code)
        return NULL;
    const char *newline = memchr(reading->at, '\n', (size_t)(reading->end - reading->at));
    size_t n = (size_t)((newline ? newline : reading->end) - reading->at);
    const char *line = reading->at;
    reading->at += n + (newline != NULL);
    reading->line++;
    if (n && line[n - 1] == '\r')
        n--;
    if (check_line(reading, line, n))
        return NULL;
    if (is_left_out(line, n))
        n = 0;
    ASSERT(n + 2 <= (size_t)room);
    memcpy(to, line, n);
    to[n] = '\n';
    to[n + 1] = 0;
    return to;
}

static int take_pair(void *context, const char *section, const char *key, const char *value)
{
    struct reading *reading = context;
    char place[512];
    snprintf(place, sizeof place, "%s:%d", reading->name, reading->line);
    if (!*section) {
        fail(reading->error, EXIT_USAGE, "%s: %s: want a [section] line before the first key", place, key);
        return 0;
    }
    int row = find_row(place, section, key, reading->error);
    if (row < 0)
        return 0;
    if (reading->set_at[row]) {
        fail(reading->error, EXIT_USAGE, "%s: [%s] %s: set twice, first at line %d", place, section, key, reading->set_at[row]);
        return 0;
    }
    reading->set_at[row] = reading->line;
    return set_value(reading->config, row, place, value, reading->error) == 0;
}

int config_parse(struct config *config, const char *name, const char *text, size_t bytes, struct error *error)
{
    static const char mark[] = "\xef\xbb\xbf"; /* some editors begin a file with a byte order mark */
    int set_at[256] = { 0 };
    ASSERT(n_config_rows <= 256);
    size_t skip = bytes >= 3 && memcmp(text, mark, 3) == 0 ? 3 : 0;
    struct reading reading = { .config = config, .name = name, .at = text + skip, .end = text + bytes, .set_at = set_at, .error = error };
    int bad_line = ini_parse_stream(next_line, &reading, take_pair, &reading);
    if (error->code)
        return -1;
    return bad_line ? fail(error, EXIT_USAGE, "%s:%d: want [section], key = value, or a comment", name, bad_line) : 0;
}

int config_read(struct config *config, const char *path, struct error *error)
{
    char *text;
    size_t bytes;
    if (file_read(path, FILE_LIMIT, &text, &bytes, error))
        return -1;
    int result = config_parse(config, path, text, bytes, error);
    door_free(text);
    return result;
}

int config_set(struct config *config, const char *assignment, struct error *error)
{
    char section[64], key[64];
    const char *equals = strchr(assignment, '='), *dot = strchr(assignment, '.');
    if (!equals || !dot || dot > equals || dot - assignment >= 64 || equals - dot - 1 >= 64)
        return fail(error, EXIT_USAGE, "--set: want section.key=value, got \"%s\"", assignment);
    snprintf(section, sizeof section, "%.*s", (int)(dot - assignment), assignment);
    snprintf(key, sizeof key, "%.*s", (int)(equals - dot - 1), dot + 1);
    return config_set_key(config, "--set", section, key, equals + 1, error);
}

int config_set_key(struct config *config, const char *place, const char *section, const char *key, const char *value, struct error *error)
{
    int row = find_row(place, section, key, error);
    if (row < 0 || set_value(config, row, place, value, error))
        return -1;
    config_replace(config, &config_rows[row]);
    return 0;
}

size_t config_write(const struct config *config, char *text, size_t bytes)
{
    size_t used = 0;
    for (int i = 0; i < n_config_rows; i++) {
        const struct config_row *row = &config_rows[i];
        char value[CONFIG_VALUE];
        config_value_write(row, config, value, sizeof value);
        bool new_section = i == 0 || strcmp(row->section, config_rows[i - 1].section) != 0;
        used += (size_t)snprintf(used < bytes ? text + used : NULL, used < bytes ? bytes - used : 0, "%s%s%s%s%s = %s\n",
                                 new_section && i ? "\n" : "", new_section ? "[" : "", new_section ? row->section : "", new_section ? "]\n" : "", row->key, value);
    }
    return used;
}

void config_word(const char *section, const char *key, int value, char *text, size_t bytes)
{
    snprintf(text, bytes, "?");
    for (int i = 0; i < n_config_rows; i++) {
        const struct config_row *row = &config_rows[i];
        if (row->type == TYPE_CHOICE && strcmp(row->section, section) == 0 && strcmp(row->key, key) == 0)
            config_word_write(row, value, text, bytes);
    }
}
