/* libFuzzer's entry to the config: whatever the bytes, they are refused with a line's number, or read; and what was read is written and read back the same. The
 * first line is taken for a --set as well. Seeds and past failures are in tests/inputs/config. */
#include "trainer/config.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

enum { TEXT_ROOM = 16384 };

static void check_error(const struct error *error, const char *begins)
{
    ASSERT(error->code == EXIT_USAGE && strncmp(error->text, begins, strlen(begins)) == 0 && !strchr(error->text, '\n'));
}

static void check_reads_back(const struct config *config)
{
    char text[TEXT_ROOM], again[TEXT_ROOM];
    struct config read;
    struct error error = { 0 };
    size_t n = config_write(config, text, sizeof text);
    ASSERT(n < sizeof text);
    config_defaults(&read);
    if (!*config->data.dataset || !*config->net.name)
        return; /* a key that must be set is not */
    ASSERT(config_parse(&read, "again", text, n, &error) == 0 && error.code == 0);
    ASSERT(config_write(&read, again, sizeof again) == n && strcmp(text, again) == 0);
}

static void set(const uint8_t *bytes, size_t n)
{
    const uint8_t *newline = memchr(bytes, '\n', n);
    size_t length = newline ? (size_t)(newline - bytes) : n;
    char *assignment = malloc(length + 1);
    struct config config;
    struct error error = { 0 };
    memcpy(assignment, bytes, length);
    assignment[length] = 0;
    config_defaults(&config);
    strcpy(config.data.dataset, "mnist");
    strcpy(config.net.name, "mlp");
    if (config_set(&config, assignment, &error))
        check_error(&error, "--set: ");
    check_reads_back(&config);
    free(assignment);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct config config;
    struct error error = { 0 };
    config_defaults(&config);
    if (config_parse(&config, "input", (const char *)bytes, n, &error))
        check_error(&error, "input:");
    else
        check_reads_back(&config);
    if (n)
        set(bytes, n);
    struct error unused = { 0 };
    config_check(&config, "input", &unused);
    return 0;
}
