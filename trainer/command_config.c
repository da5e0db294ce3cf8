/* onestep config: what a config may say, and whether one is right. */
#include "trainer/command.h"

#include "trainer/config.h"

#include <string.h>

static const char help[] =
    "usage: onestep config --help           every key\n"
    "       onestep config --markdown       the same, as docs/config.md\n"
    "       onestep config FILE [--set section.key=value]...\n"
    "                                       checks a config and prints it whole,\n"
    "                                       defaults filled in\n\n";

static int print_whole(int n, char **words, struct error *error)
{
    struct config config;
    char text[16384];
    config_defaults(&config);
    if (config_read(&config, words[0], error))
        return -1;
    for (int i = 1; i < n; i += 2) {
        if (strcmp(words[i], "--set") != 0)
            return fail(error, EXIT_USAGE, "config: want --set section.key=value, got \"%s\"", words[i]);
        if (i + 1 == n)
            return fail(error, EXIT_USAGE, "config: --set: want section.key=value after it, got nothing");
        if (config_set(&config, words[i + 1], error))
            return -1;
    }
    if (config_check(&config, words[0], error))
        return -1;
    config_write(&config, text, sizeof text);
    fputs(text, stdout);
    return 0;
}

int command_config(int n, char **words, struct error *error)
{
    bool markdown = n == 1 && strcmp(words[0], "--markdown") == 0;
    if (n && words[0][0] == '-' && !markdown && strcmp(words[0], "--help") != 0)
        return fail(error, EXIT_USAGE, "config: want a config file first, got \"%s\"; onestep config --help", words[0]);
    if (n && !markdown && strcmp(words[0], "--help") != 0)
        return print_whole(n, words, error);
    if (markdown)
        printf("# Every key of a config\n\nWritten by `onestep config --markdown`; `make lint` checks that it is up to date.\n\n");
    else
        fputs(help, stdout);
    config_help(stdout, markdown);
    return 0;
}
