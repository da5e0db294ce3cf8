/* What a worker does between computing: messages, waiting, time. Inside worker*.c, straggler.c and evaluation.c only; the worker's thread. */
#ifndef TRAINER_WORKER_WAIT_H
#define TRAINER_WORKER_WAIT_H

#include "trainer/worker.h"

/* To the server. Fills in the sender and the time. */
void worker_send(struct worker *worker, struct message *message);

/* The same, but the server is not woken before worker_wake_server, or before this thread sleeps. */
void worker_post(struct worker *worker, struct message *message);
void worker_wake_server(struct worker *worker);

/* The answer to the bucket's push of iteration needs - 1 is there, in that kind. */
bool worker_has_reply(const struct worker *worker, int64_t needs, int bucket, enum reply_kind kind);

/* Handles the messages that have come; when none had, sleeps until one may have. `what`, `needs`, `bucket`: what for, for the message when it takes too long. */
struct patience { int64_t until_ns; const char *what; int64_t needs; int bucket; };
void worker_patience(const struct worker *worker, struct patience *patience, const char *what, int64_t needs, int bucket);
int worker_wait_for_messages(struct worker *worker, const struct patience *patience, struct error *error);

/* Before iteration `worker->iteration`: waits until the weights that it starts from begin to arrive, an evaluation that is due is over, or it is not to be started
 * (*more false). */
int worker_wait_for_start(struct worker *worker, bool *more, struct error *error);
int worker_wait_for_leave(struct worker *worker, struct error *error);

/* Tells the server the loss of the step that it has not been told, if there is one; waits for that step's forward pass. */
int worker_report(struct worker *worker, struct error *error);

/* After a forward pass: running statistics go with the iteration's last push where somebody will evaluate with them. */
void worker_publish_stats(struct worker *worker);

/* The number of the batch that its next iteration takes; -1 when there is no more work (worker.c). */
int64_t worker_take_ticket(struct worker *worker);

/* Its part of a snapshot whose boundary is this iteration (worker_snapshot.c). Asynchronous: on reaching it, before any wait, since an answer that it waits for may come after
 * what is held back for the snapshot. Synchronous: before the iteration and after it. Or when none is to be started. */
int worker_snapshot_reached(struct worker *worker, struct error *error);
void worker_snapshot_before(struct worker *worker);
void worker_snapshot_after(struct worker *worker);
int worker_snapshot_at_rest(struct worker *worker, struct error *error);

/* Goes on from there, before its thread starts. */
void worker_resume(struct worker *worker, const struct snapshot *start);

/* Compute time is what lies between these two; a straggler sleeps at the end of it. */
void worker_resume_computing(struct worker *worker);
void worker_stop_computing(struct worker *worker);

#endif
