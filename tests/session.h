/* A small run in memory, for tests: the built-in digits pooled to 7 x 7, one hidden layer, sixteen buckets. Everything the program does, but for files
 * and the terminal; settings are those of a config. It runs on the CPU where they name no GPUs; the environment's ONESTEP_SESSIONS ("cuda:0,1") deals the workers of
 * sessions on the CPU's fast backend to GPUs in turn, so that every subject runs there too. */
#ifndef TESTS_SESSION_H
#define TESTS_SESSION_H

#include "trainer/devices.h"
#include "trainer/run.h"

enum { SESSION_ITERATIONS = 60 }; /* the most that evaluations are kept of */

struct session {
    struct config config;
    struct dataset train, test;
    struct graph graph;
    const struct backend *backend;
    struct devices devices;   /* n 0: the CPU */
    const int *processors;    /* by worker: where each is pinned, and none is left for the server; NULL: nowhere */
    struct run *run;
    float *weights;           /* of session_weights */
    struct error error;       /* of run_open, run_start or run_join */
    int64_t ask_stop_at;      /* reported step to ask for a stop at; 0: right after the start; negative (as opened): never */
    int64_t ask_after_ns;     /* and how long after it */
    int64_t busy_ns;          /* how long main does not read reports after the first has come; then it calls the run off */
    int evaluations;          /* reported so far */
    double test_loss[SESSION_ITERATIONS + 1]; /* of the evaluation after so many iterations; 0: none */
    void (*keep_snapshot)(struct session *session, const struct snapshot *snapshot); /* NULL: they are passed over */
    void *kept;               /* its own */
    void (*prepare_resume)(struct session *session, struct snapshot *snapshot); /* fills the snapshot that the run resumes from; NULL: it begins */
    int64_t allocations;      /* between run_start and run_join */
};

/* "section.key=value", ended by NULL; they must be right. On top of the session's own, and a later one wins. */
void session_open(struct session *session, const char *const *settings);
void session_set(struct session *session, const char *format, ...) __attribute__((format(printf, 2, 3)));
void session_close(struct session *session);

/* Runs it to its end; run_open's or the run's result. The run stays to be looked at. */
int session_run(struct session *session);

/* The same, and it must succeed. */
void session_train(struct session *session);

/* The bytes of the final weights, owned by the session; how many floats. */
const float *session_weights(struct session *session);
size_t session_floats(const struct session *session);

/* A copy of the final weights of a run with those settings; free(). */
float *session_trained(const char *const *settings);

/* The floats of its weights; and whether runs with those settings end on the same bytes. */
size_t session_length(const char *const *settings);
bool session_same(const char *const *first, const char *const *second);

/* The settings of `first`, then those of `second`. */
enum { SETTINGS_MOST = 40 };
struct settings { const char *rows[SETTINGS_MOST + 1]; };
struct settings settings_join(const char *const *first, const char *const *second);

#endif
