/* What went wrong, for a person to mend.
 *
 * Functions that can fail return 0 or -1 and take `struct error *` last. Whoever detects a fault writes the message; callers pass
 * it up; only main prints it and exits with its code. A message names the place the user can mend, the rule, and what was found. */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

enum exit_code {
    EXIT_DONE = 0,
    EXIT_USAGE = 2,      /* wrong usage or config; nothing was started */
    EXIT_OUTPUT = 3,     /* output cannot be written */
    EXIT_INPUT = 4,      /* input data missing or bad */
    EXIT_MEMORY = 5,     /* out of host memory */
    EXIT_NOT_FINITE = 6, /* a loss or a weight is NaN or infinite */
    EXIT_DEVICE = 7,     /* a device or its library failed */
    EXIT_WORKERS = 8,    /* workers lost or stuck */
    EXIT_NO_RESUME = 9,  /* nothing valid to resume from */
    EXIT_INVARIANT = 10, /* an invariant of ours is broken */
    EXIT_BAND = 11,      /* reproduce: outside its expected band */
    EXIT_SIGNAL = 128,   /* plus the signal's number, after a stop on request */
};

struct error {
    int code;       /* enum exit_code; 0 while nothing failed */
    char text[768]; /* one line, no newline at its end */
};

/* Write the message, unless one is there already: the first failure is the one to report. Returns -1. */
int fail(struct error *error, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The same, with ": " and strerror(number) at the end. */
int fail_errno(struct error *error, int code, int number, const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Puts "place: " before the message of a failure, where the caller knows the place and whoever found the fault did not. Returns -1. */
int error_place(struct error *error, const char *place);

/* Impossible states only, never what a user can cause; stays in release builds and exits with EXIT_INVARIANT. */
#define ASSERT(condition) ((condition) ? (void)0 : assert_failed(#condition, __FILE__, __LINE__))
void assert_failed(const char *condition, const char *file, int line) __attribute__((noreturn));

#endif
