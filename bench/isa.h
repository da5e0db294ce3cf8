/* The instruction set of a benchmark: ISA=v3 in its environment, or the best that the processor runs. */
#ifndef BENCH_ISA_H
#define BENCH_ISA_H

#include "cpu/isa.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The chosen one's name; NULL, and a line on stderr, where it does not run. Before anything else. */
static inline const char *bench_isa(void)
{
    const char *name = getenv("ISA");
    struct error error = { 0 };
    for (int isa = 0; name && isa < ISAS; isa++)
        if (strcmp(name, isa_name((enum isa)isa)) == 0) {
            if (isa_choose((enum isa)isa, &error) == 0)
                return isa_name((enum isa)isa);
            fprintf(stderr, "ISA: %s\n", error.text);
            return NULL;
        }
    if (name)
        fprintf(stderr, "ISA: want base, v3 or v4, got \"%s\"\n", name);
    return name ? NULL : isa_name(isa_chosen());
}

#endif
