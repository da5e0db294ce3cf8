/* See settings.h. Written once, before threads and devices are there. */
#include "cuda/settings.h"

static struct cuda_settings settings = { .workspace_bytes = (size_t)512 << 20, .measure = true };

void cuda_configure(const struct cuda_settings *now) { settings = *now; }

const struct cuda_settings *cuda_settings(void) { return &settings; }
