/* The nearest of a list of names, for messages about a name that does not exist. */
#ifndef BASE_NEAREST_H
#define BASE_NEAREST_H

/* The candidate with the fewest single-letter edits (insert, delete, replace, swap two neighbours; case ignored) from `name`; the first of equals.
 * Only the first 63 characters count. `candidates` ends with NULL; NULL when it is empty. Pure. */
const char *nearest_name(const char *name, const char *const *candidates);

#endif
