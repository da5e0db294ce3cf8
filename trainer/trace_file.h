/* trace.json: the threads' records in Chrome's trace format (an array of complete events; microseconds since the first record). */
#ifndef TRAINER_TRACE_FILE_H
#define TRAINER_TRACE_FILE_H

struct error;
struct run;

/* After the join; main thread. EXIT_OUTPUT. */
int trace_file_write(const char *path, const struct run *run, struct error *error);

#endif
