/* The test binary: runs the subjects named on the command line, or all of them, and writes TAP for tests/count to read.
 *
 *     run [--list] [SUBJECT...]
 *
 * Each subject runs in a process of its own: a crash ends that subject alone, and so does a hang, after
 * ONESTEP_TEST_SECONDS. ONESTEP_TEST_VARIANT is a word that is put before the subjects' names. With ONESTEP_TEST_ISA
 * ("v3") they run as on a processor that runs no better instruction set. Lines for tests/count besides TAP:
 *
 *     # subject: [VARIANT] NAME
 *     # test: NAME             one for each test of a group, before the first of them runs
 *     # skip: REASON           before the line of a skipped test
 *     # died: HOW              the subject did not come to its end
 *     # took: SECONDS NAME     the last line of each subject */
#include "tests/tests.h"

#include "cpu/isa.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Read by the sanitizers, when the build has one: a size that no machine has must fail as it does without them. */
const char *__asan_default_options(void);
const char *__tsan_default_options(void);
/* gcc 14 switches the option on by default, and its frames are not aligned to the 64 bytes of sixteen floats. */
const char *__asan_default_options(void) { return "allocator_may_return_null=1:detect_stack_use_after_return=0"; }
const char *__tsan_default_options(void) { return "allocator_may_return_null=1"; }

struct subject { const char *name; int (*run)(void); };

static const struct subject subjects[] = {
#define X(name) { #name, test_##name },
    TEST_SUBJECTS(X)
#undef X
};
enum { N_SUBJECTS = sizeof subjects / sizeof *subjects };

/* For tests/harness.sh: they fail, so they run only if they are named. */
static const struct subject faulty[] = {
#define X(name) { #name, test_##name },
    FAULTY_SUBJECTS(X)
#undef X
};

/* The exit codes of a process that came to its end. Nothing else in a process exits with these. */
enum { ALL_PASSED = 100, SOME_FAILED = 101 };

static volatile sig_atomic_t running, expired;

static const struct subject *find_in(const struct subject *list, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i].name, name) == 0)
            return &list[i];
    return NULL;
}

static const struct subject *find(const char *name)
{
    const struct subject *subject = find_in(subjects, N_SUBJECTS, name);
    return subject ? subject : find_in(faulty, sizeof faulty / sizeof *faulty, name);
}

int run_group(const char *name, const struct CMUnitTest *tests, size_t n, CMFixtureFunction setup,
              CMFixtureFunction teardown)
{
    for (size_t i = 0; i < n; i++)
        printf("# test: %s\n", tests[i].name);
    return _cmocka_run_group_tests(name, tests, n, setup, teardown);
}

/* Seconds that a subject may take, far more than any needs on a slow machine; 0 where what was given is no number. */
static unsigned limit(void)
{
    const char *text = getenv("ONESTEP_TEST_SECONDS");
    char *end;
    if (!text)
        return 1200;
    const long seconds = strtol(text, &end, 10);
    return *end || seconds < 1 || seconds > 1000000 ? 0 : (unsigned)seconds;
}

/* False where it is no name of one, or the processor does not run it. */
static bool limit_isa(void)
{
    const char *name = getenv("ONESTEP_TEST_ISA");
    for (int isa = 0; name && isa < ISAS; isa++)
        if (strcmp(name, isa_name((enum isa)isa)) == 0 && isa_runs((enum isa)isa)) {
            isa_limit((enum isa)isa);
            return true;
        }
    return !name;
}

static void on_alarm(int number)
{
    (void)number;
    expired = 1;
    kill(-running, SIGKILL);
}

static void on_stop(int number)
{
    if (running)
        kill(-running, SIGKILL);
    signal(number, SIG_DFL);
    raise(number);
}

static void catch(void)
{
    struct sigaction action = { .sa_handler = on_alarm };
    sigaction(SIGALRM, &action, NULL);
    action.sa_handler = on_stop;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
}

static void run_here(const struct subject *subject)
{
    signal(SIGALRM, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    cmocka_set_message_output(CM_OUTPUT_TAP);
    exit(subject->run() ? SOME_FAILED : ALL_PASSED);
}

/* Prints how the process died; returns whether it came to its end and all passed. */
static bool judge(int status, unsigned seconds)
{
    if (expired)
        printf("# died: it was killed after %u s\n", seconds);
    else if (WIFSIGNALED(status))
        printf("# died: signal %d, %s\n", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) != ALL_PASSED && WEXITSTATUS(status) != SOME_FAILED)
        printf("# died: it left with exit code %d\n", WEXITSTATUS(status));
    return !expired && WIFEXITED(status) && WEXITSTATUS(status) == ALL_PASSED;
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Runs it in a process that leads a group of its own, so that processes which it has started end with it. Returns
 * waitpid's status, or -1 where there was no process to be had. */
static int run_apart(const struct subject *subject, unsigned seconds)
{
    int status;
    const pid_t child = fork();
    if (child < 0)
        return -1;
    setpgid(child, child); /* by both, so that it is done when either goes on */
    if (child == 0)
        run_here(subject);
    running = child;
    expired = 0;
    alarm(seconds);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    alarm(0);
    kill(-running, SIGKILL);
    running = 0;
    return status;
}

/* Whether all its tests passed. */
static bool run(const struct subject *subject, unsigned seconds)
{
    const char *variant = getenv("ONESTEP_TEST_VARIANT");
    const double begin = now();
    if (!variant)
        variant = "";
    const char *blank = *variant ? " " : "";
    printf("# subject: %s%s%s\n", variant, blank, subject->name);
    const int status = run_apart(subject, seconds);
    if (status < 0)
        printf("# died: no process for it: %s\n", strerror(errno));
    const bool passed = status >= 0 && judge(status, seconds);
    printf("# took: %.1f %s%s%s\n", now() - begin, variant, blank, subject->name);
    return passed;
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
    const unsigned seconds = limit();
    if (!seconds) {
        fprintf(stderr, "ONESTEP_TEST_SECONDS: want 1..1000000, got \"%s\"\n", getenv("ONESTEP_TEST_SECONDS"));
        return 2;
    }
    if (!limit_isa()) {
        fprintf(stderr, "ONESTEP_TEST_ISA: want what this processor runs, got \"%s\"\n", getenv("ONESTEP_TEST_ISA"));
        return 2;
    }
    catch();
    bool passed = true;
    for (int i = 1; i < argc; i++)
        passed &= run(find(argv[i]), seconds);
    for (int i = 0; i < N_SUBJECTS && argc == 1; i++)
        passed &= run(&subjects[i], seconds);
    return passed ? 0 : 1;
}
