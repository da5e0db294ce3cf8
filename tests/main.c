/* The test binary: runs the subjects named on the command line, or all of them, and writes TAP for tests/count to read.
 *
 *     run [--list] [SUBJECT...] */
#include "tests/tests.h"

#include <stdio.h>
#include <string.h>

/* Read by the sanitizers, when the build has one: a size that no machine has must fail as it does without them. */
const char *__asan_default_options(void);
const char *__tsan_default_options(void);
const char *__asan_default_options(void) { return "allocator_may_return_null=1"; }
const char *__tsan_default_options(void) { return "allocator_may_return_null=1"; }

static const struct subject { const char *name; int (*run)(void); } subjects[] = {
#define X(name) { #name, test_##name },
    TEST_SUBJECTS(X)
#undef X
};
enum { N_SUBJECTS = sizeof subjects / sizeof *subjects };

static const struct subject *find(const char *name)
{
    for (int i = 0; i < N_SUBJECTS; i++)
        if (strcmp(subjects[i].name, name) == 0)
            return &subjects[i];
    return NULL;
}

static int run(const struct subject *subject)
{
    printf("# subject: %s\n", subject->name);
    return subject->run();
}

int main(int argc, char **argv)
{
    /* Lines come in order even through a pipe, and none is lost when a test ends the process. */
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        for (int i = 0; i < N_SUBJECTS; i++)
            puts(subjects[i].name);
        return 0;
    }
    for (int i = 1; i < argc; i++)
        if (!find(argv[i])) {
            fprintf(stderr, "%s: no subject \"%s\"; --list shows them\n", argv[0], argv[i]);
            return 2;
        }
    cmocka_set_message_output(CM_OUTPUT_TAP);
    int failed = 0;
    for (int i = 1; i < argc; i++)
        failed += run(find(argv[i])) != 0;
    for (int i = 0; i < N_SUBJECTS && argc == 1; i++)
        failed += run(&subjects[i]) != 0;
    return failed != 0;
}
