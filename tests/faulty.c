/* Subjects with faults, each in its second test, for tests/harness.sh. Nothing else runs them. */
#include "base/error.h"
#include "tests/tests.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void passes(void **state) { (void)state; }
static void is_skipped(void **state) { (void)state; test_skip("it has a reason"); }
static void fails(void **state) { (void)state; fail_msg("two is not three"); }

static void asserts(void **state)
{
    const int two = 2;
    (void)state;
    ASSERT(two == 3);
}

static void aborts(void **state)
{
    (void)state;
    print_error("a library does not like this\n");
    abort();
}

/* cmocka catches the signal and calls the test failed; in another thread, or with the stack used up, it cannot. */
static void segfaults(void **state)
{
    (void)state;
    signal(SIGSEGV, SIG_DFL);
    raise(SIGSEGV);
}

static void leaves(void **state)
{
    (void)state;
    exit(0);
}

/* With a process that would keep the pipe to tests/count open. */
static void hangs(void **state)
{
    (void)state;
    fork();
    for (;;)
        pause();
}

static int broken(void **state)
{
    (void)state;
    print_error("no folder\n");
    return -1;
}

static int run_second(const char *name, CMUnitTestFunction second, const char *second_name, CMFixtureFunction setup)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passes), { second_name, second, NULL, NULL, NULL },
        cmocka_unit_test(is_skipped), cmocka_unit_test(passes),
    };
    return cmocka_run_group_tests_name(name, tests, setup, NULL);
}

int test_faulty_checks(void) { return run_second("faulty_checks", fails, "fails", NULL); }
int test_faulty_assert(void) { return run_second("faulty_assert", asserts, "asserts", NULL); }
int test_faulty_abort(void) { return run_second("faulty_abort", aborts, "aborts", NULL); }
int test_faulty_segfault(void) { return run_second("faulty_segfault", segfaults, "segfaults", NULL); }
int test_faulty_exit(void) { return run_second("faulty_exit", leaves, "leaves", NULL); }
int test_faulty_hang(void) { return run_second("faulty_hang", hangs, "hangs", NULL); }
int test_faulty_setup(void) { return run_second("faulty_setup", passes, "passes", broken); }
