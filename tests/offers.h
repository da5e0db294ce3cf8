/* The CPU's backends for tests: what this build has and this processor can do. A test of one backend is a row ON(function, name), and asks backend_or_skip. */
#ifndef TESTS_OFFERS_H
#define TESTS_OFFERS_H

#include "nets/backend.h"

/* A row of cmocka's table; `name` in quotes is the function's state. */
#define ON(function, name) { #function " on " name, function, NULL, NULL, (void *)name }

/* That of this name in the row of the test that is running. NULL: this build lacks it, or it does not compute in `precision` here, and the test has been skipped by name. */
const struct backend *backend_or_skip(void *const *state, enum precision precision);

#endif
