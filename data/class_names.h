/* Class names from a text file: one a line in the order of the labels, then nothing but blank lines. */
#ifndef DATA_CLASS_NAMES_H
#define DATA_CLASS_NAMES_H

#include <stddef.h>

struct error;

enum { CLASS_NAME_MOST = 63 }; /* characters, printable ASCII */

struct class_names {
    const char **names; /* [n], into text */
    char *text;
};

/* Reads exactly n names. EXIT_INPUT with the line, EXIT_MEMORY. */
int class_names_open(struct class_names *names, const char *path, int n, struct error *error);
void class_names_release(struct class_names *names);

#endif
