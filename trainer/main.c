/* onestep: trains image classifiers with one-step-delay SGD and the algorithms it is compared with. Only this file prints errors and exits. */
#include "trainer/command.h"

#include "base/door.h"
#include "base/error.h"
#include "base/nearest.h"

#include <stdio.h>
#include <string.h>

static const struct { const char *name, *help; int (*run)(int n, char **words, struct error *error); } commands[] = {
    { "train", "train a network as a config says", command_train },
    { "eval", "how good trained weights are: accuracy, loss, a table of the classes, a confusion matrix", command_eval },
    { "predict", "what is on pictures (PNG, JPEG), as trained weights see it", command_predict },
    { "config", "every key of a config: type, range, default, meaning; or check a config", command_config },
    { "info", "devices, cores, libraries, versions", command_info },
};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

static void print_help(void)
{
    printf("usage: onestep COMMAND [ARGUMENTS]\n\n");
    for (int i = 0; i < N_COMMANDS; i++)
        printf("  %-8s %s\n", commands[i].name, commands[i].help);
    printf("\nonestep COMMAND --help tells more; onestep --version, the version.\n");
}

static int unknown(const char *name, struct error *error)
{
    const char *names[N_COMMANDS + 1] = { NULL };
    for (int i = 0; i < N_COMMANDS; i++)
        names[i] = commands[i].name;
    return fail(error, EXIT_USAGE, "no command \"%s\", the nearest is %s; onestep --help lists them", name, nearest_name(name, names));
}

static int dispatch(int n, char **words, struct error *error)
{
    if (n < 2)
        return fail(error, EXIT_USAGE, "want a command; onestep --help lists them");
    if (strcmp(words[1], "--help") == 0 || strcmp(words[1], "help") == 0) {
        print_help();
        return 0;
    }
    if (strcmp(words[1], "--version") == 0) {
        printf("onestep %s\n", ONESTEP_VERSION);
        return 0;
    }
    for (int i = 0; i < N_COMMANDS; i++)
        if (strcmp(words[1], commands[i].name) == 0)
            return commands[i].run(n - 2, words + 2, error);
    return unknown(words[1], error);
}

int main(int n, char **words)
{
    struct error error = { 0 };
    int code = door_faults_from_environment(&error) ? -1 : dispatch(n, words, &error);
    if ((fflush(stdout) || ferror(stdout)) && code == 0)
        code = fail(&error, EXIT_OUTPUT, "standard output cannot be written");
    if (error.code)
        fprintf(stderr, "onestep: %s\n", error.text);
    return code < 0 ? error.code : code;
}
