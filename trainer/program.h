/* This program, as a number. */
#ifndef TRAINER_PROGRAM_H
#define TRAINER_PROGRAM_H

#include <stdbool.h>
#include <stdint.h>

/* A hash of the program's file, which is another one for whatever was built otherwise. It is read once, some
 * milliseconds. A linker's build id would be cheaper, but a linker may be told to leave it out. False when the file
 * cannot be read. The main thread. */
bool program_hash(uint64_t *hash);

#endif
