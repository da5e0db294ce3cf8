/* See interval.h. */
#include "trainer/interval.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST = 100000000 }; /* in any unit: minutes in nanoseconds still fit */

bool interval_parse(const char *text, struct interval *interval)
{
    static const struct { const char *singular, *plural; enum interval_unit unit; } words[] = {
        { "epoch", "epochs", EVERY_EPOCHS }, { "iteration", "iterations", EVERY_ITERATIONS }, { "minute", "minutes", EVERY_MINUTES },
    };
    char *end;
    if (strcmp(text, "off") == 0) {
        *interval = (struct interval){ EVERY_EPOCHS, 0 };
        return true;
    }
    double every = strtod(text, &end);
    if (end == text || *end != ' ' || !(every > 0) || !(every <= LONGEST) || strchr("+ \t", *text))
        return false;
    end += strspn(end, " ");
    for (unsigned i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(end, words[i].singular) == 0 || strcmp(end, words[i].plural) == 0) {
            *interval = (struct interval){ words[i].unit, every };
            return words[i].unit != EVERY_ITERATIONS || every == floor(every);
        }
    return false;
}

int64_t interval_next(double every, int64_t after)
{
    if (every < 1)
        every = 1;
    int64_t number = (int64_t)((double)after / every), next = (int64_t)((double)number * every);
    while (next <= after)
        next = (int64_t)((double)++number * every);
    return next;
}
