/* The list of test subjects. Each tests/test_NAME.c defines `int test_NAME(void)`, which runs one cmocka group and returns the number of failures.
 * A test that cannot run here says why through test_skip. */
#ifndef TESTS_TESTS_H
#define TESTS_TESTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* `fail` is ours (base/error.h): cmocka's macro of that name goes, and the one that needs it is spelled out. */
#undef fail
#undef fail_msg
#define fail_msg(...) do { print_error(__VA_ARGS__); print_error("\n"); _fail(__FILE__, __LINE__); } while (0)

/* cmocka 2 has it by another name. */
#ifdef assert_uint_in_range
#undef assert_in_range
#define assert_in_range assert_uint_in_range
#endif

/* Prints the reason, then skips the test that is running. */
#define test_skip(reason) do { print_message("# skip: %s\n", reason); skip(); } while (0)

/* As cmocka's, which it calls. It prints the tests' names first: tests/count names those that did not run after a
 * crash. */
#undef cmocka_run_group_tests_name
#define cmocka_run_group_tests_name(name, tests, setup, teardown) \
    run_group(name, tests, sizeof(tests) / sizeof *(tests), setup, teardown)
int run_group(const char *name, const struct CMUnitTest *tests, size_t n, CMFixtureFunction setup,
              CMFixtureFunction teardown);

/* X(name): one row per subject. */
#define TEST_SUBJECTS(X) \
    X(base) \
    X(elementary) \
    X(ring) \
    X(data) \
    X(image) \
    X(cifar10) \
    X(augment) \
    X(loader) \
    X(order) \
    X(synthetic) \
    X(synthetic_imagenet) \
    X(choosing) \
    X(algorithms) \
    X(identities) \
    X(service) \
    X(stops) \
    X(resume) \
    X(checkpoint) \
    X(interval) \
    X(schedule) \
    X(trainer_parts) \
    X(ops) \
    X(pool) \
    X(winograd) \
    X(gradients) \
    X(flat) \
    X(bits) \
    X(bits_deep) \
    X(isa) \
    X(cuda_flat) \
    X(cuda_order) \
    X(graph) \
    X(nets) \
    X(resnet_imagenet) \
    X(plan) \
    X(precision) \
    X(scaling) \
    X(config) \
    X(weights) \
    X(eval) \
    X(imported) \
    X(gpus) \
    X(emulated) \
    X(emulated_libraries) \
    X(deep) \
    X(cudnn_offers) \
    X(cuda_plans) \
    X(cuda_training)

/* Those of tests/faulty.c, for tests/harness.sh. */
#define FAULTY_SUBJECTS(X) \
    X(faulty_checks) \
    X(faulty_assert) \
    X(faulty_abort) \
    X(faulty_segfault) \
    X(faulty_exit) \
    X(faulty_hang) \
    X(faulty_setup)

#define X(name) int test_##name(void);
TEST_SUBJECTS(X)
FAULTY_SUBJECTS(X)
#undef X

#endif
