/* The CPU backends: one table each, sharing memory and flat passes. */
#ifndef CPU_CPU_H
#define CPU_CPU_H

#include "nets/backend.h"

extern const struct backend backend_reference; /* plain loops over NCHW: the definition of every operation */
extern const struct backend backend_lanes;     /* own kernels, samples side by side in a vector (lanes.h), of the instruction set chosen (isa.h) */
#ifdef HAVE_ONEDNN
extern const struct backend backend_onednn;      /* oneDNN, the layout each primitive likes best */
extern const struct backend backend_onednn_nhwc; /* oneDNN, NHWC throughout */

/* "2.6.3". Any thread. */
const char *onednn_version(void);
#endif

#endif
