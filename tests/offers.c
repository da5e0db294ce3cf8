/* See offers.h. */
#include "tests/offers.h"

#include "tests/tests.h"
#include "trainer/choose.h"

#include <stdio.h>
#include <string.h>

const struct backend *backend_or_skip(void *const *state, enum precision precision)
{
    const char *name = *state;
    char reason[80];
    int i = 0;
    while (backends[i] && strcmp(backends[i]->name, name) != 0)
        i++;
    if (backends[i] && backends[i]->offers(precision))
        return backends[i];
    if (backends[i])
        snprintf(reason, sizeof reason, "%s offers no %s on this processor", name, precision_name(precision));
    else
        snprintf(reason, sizeof reason, "this build is without %s", name);
    test_skip(reason);
    return NULL;
}
