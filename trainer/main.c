/* onestep: trains image classifiers with one-step-delay SGD and the algorithms it is compared with. Only this file prints errors and exits. */
#include "trainer/command.h"

#include "base/door.h"
#include "base/error.h"
#include "base/nearest.h"
#include "base/text.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct command { const char *name, *help; int (*run)(int n, char **words, struct error *error); };

static const struct command commands[] = {
    { "train", "train a network as a config says, or go on with a run", command_train },
    { "eval", "how good trained weights are: accuracy, loss, a table of the classes, a confusion matrix", command_eval },
    { "predict", "what is on pictures (PNG, JPEG), as trained weights see it", command_predict },
    { "config", "every key of a config: type, range, default, meaning; or check a config", command_config },
    { "info", "devices, cores, libraries, versions", command_info },
};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

static const char *const help_words[] = { "-h", "--help", "help", NULL };
static const char *const version_words[] = { "version", "--version", "-V", NULL };

static bool is_one_of(const char *word, const char *const *words)
{
    for (; *words; words++)
        if (strcmp(word, *words) == 0)
            return true;
    return false;
}

static int print_help(void)
{
    printf("usage: onestep COMMAND [ARGUMENTS]\n\n");
    for (int i = 0; i < N_COMMANDS; i++) {
        char label[16];
        snprintf(label, sizeof label, "  %s", commands[i].name);
        text_print(stdout, 11, label, "%s", commands[i].help);
    }
    printf("  help     this list; help COMMAND, COMMAND --help and COMMAND -h tell more\n  version  the version\n");
    return 0;
}

static int print_version(void)
{
    printf("onestep %s\n", ONESTEP_VERSION);
    return 0;
}

static const struct command *find_command(const char *name, struct error *error)
{
    const char *names[N_COMMANDS + 3] = { [N_COMMANDS] = "help", "version" };
    for (int i = 0; i < N_COMMANDS; i++) {
        names[i] = commands[i].name;
        if (strcmp(name, names[i]) == 0)
            return &commands[i];
    }
    fail(error, EXIT_USAGE, "no command \"%s\", the nearest is %s; onestep --help lists them", name,
         nearest_name(name, names));
    return NULL;
}

/* A command that is asked for its help gets that word alone, wherever it stands: nothing else is to be done then. */
static int run_command(const char *name, int n, char **words, struct error *error)
{
    static char asks[] = "--help";
    const struct command *command = find_command(name, error);
    if (!command)
        return -1;
    for (int i = 0; i < n; i++)
        if (is_one_of(words[i], (const char *const[]){ "-h", "--help", NULL }))
            return command->run(1, (char *[]){ asks }, error);
    return command->run(n, words, error);
}

static int dispatch(int n, char **words, struct error *error)
{
    static char asks[] = "--help";
    const char *first = n > 1 ? words[1] : "help"; /* without a command: the list of them */
    if (is_one_of(first, version_words))
        return print_version();
    if (!is_one_of(first, help_words))
        return run_command(first, n - 2, words + 2, error);
    if (n > 2 && !is_one_of(words[2], help_words) && !is_one_of(words[2], version_words))
        return run_command(words[2], 1, (char *[]){ asks }, error);
    return print_help();
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
