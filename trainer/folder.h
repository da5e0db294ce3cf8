/* The folder that a run writes into. Main thread. */
#ifndef TRAINER_FOLDER_H
#define TRAINER_FOLDER_H

#include "trainer/config.h"

struct folder { char path[1024]; };

/* Makes it: config->output.dir, or runs/NAME-NNN, the first that is free. A folder that exists is refused (EXIT_USAGE) unless output.overwrite; EXIT_OUTPUT. */
int folder_make(struct folder *folder, const struct config *config, const char *name, struct error *error);

/* "<folder>/<file>". */
int folder_file(const struct folder *folder, const char *file, char *path, size_t bytes, struct error *error);

#endif
