/* Instruction sets: the kernels of `lanes` and the flat passes are in the program once for each, and the processor that
 * it runs on decides which of them is used. The Makefile says how they are compiled; docs/design.md tells more.
 *
 * The choice is one for the whole process. backend_lanes (cpu/cpu.h) and every CPU backend's flat passes follow it.
 * isa_choose and isa_limit are called before threads start and before a plan is made: an operation stays with the
 * kernels that it was made with. All other functions: any thread, at any time. */
#ifndef CPU_ISA_H
#define CPU_ISA_H

#include "nets/backend.h"

/* The best last. */
enum isa {
    ISA_BASE, /* what the compiler takes without being told: SSE2 on x86-64; on ARM (aarch64) NEON, with its FMA */
    ISA_V3,   /* x86-64-v3: AVX2 and FMA */
    ISA_V4,   /* x86-64-v4: AVX-512 */
    ISAS
};

/* "v3", and its vectors in words: "AVX2". */
const char *isa_name(enum isa isa);
const char *isa_vectors(enum isa isa);

/* Whether it is in this program, and the processor and the system run it. ISA_BASE always is. */
bool isa_runs(enum isa isa);

/* Whether its multiply-adds are fused. `lanes` has the same bits with every one that does. */
bool isa_fuses(enum isa isa);

/* The chosen one; until one is chosen, the best that runs. */
enum isa isa_chosen(void);

/* EXIT_USAGE where it does not run; the message names those that do. */
int isa_choose(enum isa isa, struct error *error);

/* The kernels of one instruction set alone, a whole backend named "lanes"; NULL where it does not run. */
const struct backend *isa_lanes(enum isa isa);

/* For tests: from now on as on a processor that runs nothing better, and nothing chosen. */
void isa_limit(enum isa best);

#endif
