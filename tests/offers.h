/* The CPU's backends for tests: which this build has, and in which precisions they compute on this processor. A test of
 * one backend is a row ON(function, name); the function asks backend_or_skip. */
#ifndef TESTS_OFFERS_H
#define TESTS_OFFERS_H

#include "nets/backend.h"

/* A row of cmocka's table; `name` in quotes is the function's state. */
#define ON(function, name) { #function " on " name, function, NULL, NULL, (void *)name }

/* The backend that the row of the running test names. Where this build is without it, or it does not compute in
 * `precision` here, the test is skipped with that reason. */
const struct backend *backend_or_skip(void *const *state, enum precision precision);

#endif
