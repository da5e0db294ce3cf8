/* See isa.h. */
#include "cpu/isa.h"

#include "base/text.h"

#include <stdatomic.h>

/* Each is cpu/lanes.c's `backend_lanes`, compiled for that instruction set. */
extern const struct backend backend_lanes_base;
#ifdef __x86_64__
#include <cpuid.h>
extern const struct backend backend_lanes_v3, backend_lanes_v4;
#endif

static const struct { const char *name, *vectors; const struct backend *lanes; } sets[ISAS] = {
#ifdef __x86_64__
    [ISA_BASE] = { "base", "SSE2", &backend_lanes_base },
    [ISA_V3] = { "v3", "AVX2", &backend_lanes_v3 },
    [ISA_V4] = { "v4", "AVX-512", &backend_lanes_v4 },
#else
#ifdef __aarch64__
    [ISA_BASE] = { "base", "NEON", &backend_lanes_base },
#else
    [ISA_BASE] = { "base", "the compiler's", &backend_lanes_base },
#endif
    [ISA_V3] = { "v3", "AVX2", NULL },
    [ISA_V4] = { "v4", "AVX-512", NULL },
#endif
};

static _Atomic int limit = ISAS - 1;
static _Atomic int chosen = -1;

const char *isa_name(enum isa isa) { return sets[isa].name; }
const char *isa_vectors(enum isa isa) { return sets[isa].vectors; }

#ifdef __x86_64__

/* Bits that compilers of these years do not all know by name. What uses vectors is asked through them, because the
 * system has to know it too. */
static bool has_scalars_of_v3(void)
{
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_MOVBE) || !(c & bit_F16C))
        return false;
    return __get_cpuid(0x80000001, &a, &b, &c, &d) && (c & bit_LZCNT);
}

static bool processor_runs(enum isa isa)
{
    if (isa >= ISA_V3 && !(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")
                           && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") && has_scalars_of_v3()))
        return false;
    return isa < ISA_V4 || (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
                            && __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq")
                            && __builtin_cpu_supports("avx512vl"));
}

#else

static bool processor_runs(enum isa isa) { return isa == ISA_BASE; }

#endif

bool isa_runs(enum isa isa) { return sets[isa].lanes && (int)isa <= limit && processor_runs(isa); }

bool isa_fuses(enum isa isa)
{
#ifdef __aarch64__
    return isa == ISA_BASE;
#else
    return isa != ISA_BASE;
#endif
}

static enum isa best(void)
{
    enum isa isa = ISAS - 1;
    while (!isa_runs(isa))
        isa--;
    return isa;
}

/* Threads that come here together find the same. */
enum isa isa_chosen(void)
{
    if (chosen < 0)
        chosen = (int)best();
    return (enum isa)chosen;
}

int isa_choose(enum isa isa, struct error *error)
{
    char names[64];
    struct text text;
    text_begin(&text, names, sizeof names);
    for (int i = ISAS - 1, n = 0; i >= 0; i--)
        if (isa_runs((enum isa)i))
            text_add(&text, "%s%s", n++ ? ", " : "", isa_name((enum isa)i));
    if (!isa_runs(isa))
        return fail(error, EXIT_USAGE, "want what this processor runs (%s), got %s", names, isa_name(isa));
    chosen = (int)isa;
    return 0;
}

const struct backend *isa_lanes(enum isa isa) { return isa_runs(isa) ? sets[isa].lanes : NULL; }

void isa_limit(enum isa most)
{
    limit = (int)most;
    chosen = -1;
}
