/* Sizes that come from files or configs: products and sums that cannot wrap, numbers parsed to their end. */
#ifndef BASE_SIZES_H
#define BASE_SIZES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* True, and *result set, when the exact result fits; false, and *result untouched in meaning, when it does not. */
static inline bool size_product(size_t a, size_t b, size_t *result) { return !__builtin_mul_overflow(a, b, result); }
static inline bool size_sum(size_t a, size_t b, size_t *result) { return !__builtin_add_overflow(a, b, result); }

static inline size_t round_up(size_t n, size_t multiple) { return (n + multiple - 1) / multiple * multiple; }
static inline size_t size_min(size_t a, size_t b) { return a < b ? a : b; }
static inline size_t size_max(size_t a, size_t b) { return a > b ? a : b; }

/* Whole-string numbers, decimal, surrounding blanks not allowed. False when text is not exactly one number of that kind that fits. */
bool parse_int64(const char *text, int64_t *value);
bool parse_double(const char *text, double *value); /* finite only */

#endif
