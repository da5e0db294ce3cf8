/* Things that happen again and again: "every 2 epochs". */
#ifndef TRAINER_INTERVAL_H
#define TRAINER_INTERVAL_H

#include <stdbool.h>
#include <stdint.h>

enum interval_unit { EVERY_EPOCHS, EVERY_ITERATIONS, EVERY_MINUTES };

struct interval { enum interval_unit unit; double every; }; /* every 0: never */

/* "2 epochs", "500 iterations", "10 minutes", "off"; the singular too. False for anything else. */
bool interval_parse(const char *text, struct interval *interval);

/* The smallest multiple of `every` (at least 1), rounded down, that is above `after`. */
int64_t interval_next(double every, int64_t after);

#endif
