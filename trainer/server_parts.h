/* What the server's files share. Inside server*.c only; the server's thread. */
#ifndef TRAINER_SERVER_PARTS_H
#define TRAINER_SERVER_PARTS_H

#include "trainer/server.h"

/* To a worker, or to main; waits where main is behind. */
void server_send(struct server *server, int to, const struct message *message);

/* Puts a reply on the emulated link; returns when it arrives. */
int64_t server_occupy_link(struct server *server, const struct message *reply);

/* The bucket has reached its next version, whose weights these are: counts it, and takes it into a snapshot that is due. */
void server_version_done(struct server *server, int bucket, const struct vector *weights);

/* The active workers' gradients of (iteration, bucket), in worker order; how many. */
int server_gradients(const struct server *server, int64_t iteration, int bucket, const float **gradients);

/* ---- between devices (server_post.c). Pointers are to the bucket's first element ---- */

int server_post_open(struct server *server, struct error *error); /* when the workers are there */
void server_post_close(struct server *server);

/* A push has come: what is enqueued for its bucket from now on runs after the gradient is there, and beside it. */
void server_fetch(struct server *server, const struct message *push);
const float *server_gradient_at(const struct server *server, int worker, int turn, int bucket);

/* The order that carries what passes between the worker and that bucket. */
struct device *server_ferry(const struct server *server, int worker, int bucket);

/* Waits for everything that was enqueued for the server. */
int server_sync(const struct server *server, struct error *error);

/* Whether any of it has failed so far; waits for nothing. */
int server_check(const struct server *server, struct error *error);

/* Before a reply is sent: what it names is on its way to the worker. */
void server_deliver(struct server *server, int worker, int bucket, enum reply_kind kind, uint32_t slot);

/* Any thread, after the reply: where the worker finds it, and when it is there. */
const float *server_answer_at(const struct server *server, int worker, int bucket, enum reply_kind kind, uint32_t slot);
struct event *server_answer_event(const struct server *server, int worker, int bucket, enum reply_kind kind, uint32_t slot);

/* The row of fetched vectors that a slot is. */
size_t server_reply_row(const struct server *server, uint32_t slot);

/* ---- copies on all GPUs (server_replicas.c) ---- */

int server_replicas_open(struct server *server, struct error *error); /* when the workers are there */
void server_replicas_close(struct server *server);
int server_replicas_start(struct server *server, struct error *error); /* they become copies of the server's */
int server_replicas_update(struct server *server, const struct update *first, int64_t iteration, struct error *error); /* first: that of the server's own */
void server_replicas_abort(struct server *server);

/* ---- sums that do not end (server_watch.c) ---- */

void server_watch_for(struct server *server); /* the server's thread, each time around */
int server_watch_fail(struct error *error);

/* ---- gathered gradients (server_clip.c) ---- */

void server_clip_resume(struct server *server, int worker, int64_t iteration); /* asynchronous: its push of that iteration is whole, and goes on */
int server_clip_judge(struct server *server, int worker, int64_t iteration, struct error *error); /* asynchronous: that gradient, whose pushes may still be on their way, now */
int server_clip_init(struct server *server, struct error *error);
void server_clip_release(struct server *server);

/* Takes a push. *n is 0 while its gradient is not whole; then the number of its pushes, *whole, which may be served now; they stay until the next call. EXIT_NOT_FINITE. */
int server_clip_hold(struct server *server, const struct message *push, const struct message **whole, size_t *n, struct error *error);
bool server_clip_holds(const struct server *server, int64_t iteration, int bucket, int worker);

/* Of the gradient that is being served; a factor of 1 where none are gathered. */
const struct verdict *server_verdict(const struct server *server, int64_t iteration, int worker);

/* What a worker's next iteration that starts from the newest answer is to be scaled with. */
const struct loss_scale *server_loss_scale(const struct server *server, int worker);

/* What main is told: asynchronous, the lowest of the workers' scales, and all their overflows. */
struct loss_scale server_told_scale(const struct server *server);

/* ---- evaluation (server_evaluation.c) ---- */

/* The version after `version` that is to be evaluated; INT64_MAX when none is. Asynchronous versions are pushes, K to an iteration. */
int64_t server_next_evaluation(const struct server *server, int64_t version);
int64_t server_newest_version(const struct server *server); /* of any bucket */

/* When the snapshot is complete: the workers' running statistics are merged and everybody is told to go. */
int server_evaluate_if_due(struct server *server, struct error *error);

/* MESSAGE_EVALUATED has come: the sums go to main, the next one may be prepared. */
void server_evaluated(struct server *server);

/* Serving that push now would run over the next snapshot while this one is not evaluated. */
bool server_must_hold(const struct server *server, int bucket);

/* Training time so far: without evaluations. */
int64_t server_training_ns(const struct server *server);

/* ---- snapshots: when, and up to where (server_cut.c) ---- */

/* By worker, an iteration that it has not started and will reach: nobody can have begun it, since what is sent now is read before the answer that it needs. When every worker
 * stops there, each gets there. */
void server_cut(const struct server *server, int64_t *cut);

/* Whether one is to be announced now, with these boundaries. */
bool server_snapshot_due(const struct server *server, int64_t *cut);

/* ---- what they hold (server_capture.c) ---- */

void server_capture_bucket(struct server *server, int bucket, const struct vector *weights, int64_t version);
void server_capture_place(struct server *server, bool reported); /* where the run is, and the mark in what main is told */
int server_capture_all(struct server *server, struct error *error); /* asynchronous: all of the server's part, at one moment */

/* ---- their course (server_snapshot.c) ---- */

void server_snapshot_start(struct server *server);
int server_snapshot_advance(struct server *server, bool *released, struct error *error); /* announces what is due, hands over what is complete; *released: pushes were held back until now */
bool server_snapshot_at_rest(struct server *server); /* all workers have ended: takes the last one; true when it is over */
void server_snapshot_abandon(struct server *server);
bool server_snapshot_holds(const struct server *server, const struct message *message); /* it lies behind its worker's boundary, and must not be served yet */
bool server_snapshot_holds_step(struct server *server, const struct message *step);     /* the same; and it is kept */
void server_snapshot_bucket(struct server *server, int bucket, const struct vector *weights);   /* the bucket has reached its next version */
void server_snapshot_iteration(struct server *server);                                  /* the tally has; main has not been told */
void server_snapshot_taken(struct server *server, const struct message *message);

/* Goes on from there (server_resume.c); before the thread starts. */
void server_resume(struct server *server, const struct snapshot *start);
void server_resume_pushes(struct server *server); /* asynchronous, when the workers' gradients are back */

/* ---- reports to main (server_report.c) ---- */
void server_step_done(struct server *server, const struct message *step);
void server_report_iteration(struct server *server); /* what main gets to know of the tally's newest iteration */
void server_report_rest(struct server *server); /* the epoch that is not whole, if there is one */
void server_report_end(struct server *server);  /* that, and that nothing more will come */

#endif
