/* What was chosen by measuring, remembered: in this process and, where there is a home for it, in one file per kind of GPU and versions in $XDG_CACHE_HOME/onestep or
 * ~/.cache/onestep. Inside cuda/ only.
 *
 * A file holds a line per choice: checksum, key, value; of two lines with one key the last holds. Lines are appended whole, so processes may write at the same time, and a
 * line that is torn or altered is none. What is not in a file any more is measured again. */
#ifndef CUDA_CHOICES_H
#define CUDA_CHOICES_H

#include <stdbool.h>

struct device;
struct error;

enum { CHOICE_MACHINE = 256, CHOICE_KEY = 512, CHOICE_VALUE = 512 };

/* All of what the choices of a device hold for: model and processors of the GPU, versions of CUDA's libraries and of this program. */
int choices_machine(char machine[CHOICE_MACHINE], const struct device *device, struct error *error);

/* Held from looking up to remembering: threads that want the same choice wait for who measures it, and no two measure at the same time. */
void choices_lock(void);
void choices_unlock(void);

/* Keys and values are one line, without a tab. Inside the lock. */
bool choices_find(const char *machine, const char *key, char value[CHOICE_VALUE]);
void choices_remember(const char *machine, const char *key, const char *value); /* by this process */
void choices_keep(const char *machine, const char *key, const char *value);     /* in the file too */

void choices_forget(void); /* what this process remembers: for tests */

#endif
