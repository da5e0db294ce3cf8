/* What the server tells main. */
#include "trainer/server_parts.h"

#include "base/door.h"
#include "trainer/message.h"

enum { PROGRESS_EVERY_NS = 100000000 };

static double part(int64_t count, int64_t of) { return of ? (double)count / (double)of : 0; }
static double mean(double sum, int64_t of) { return of ? sum / (double)of : 0; }

static void report(struct server *server, uint8_t kind, const struct sums *sums)
{
    const struct loss_scale scale = server_told_scale(server);
    struct message message = {
        .kind = kind, .iteration = server->tally.iterations, .value = double_bits(mean(sums->loss, sums->samples)), .spare = double_bits(part(sums->correct, sums->samples)),
        .version = sums->samples, .sent_ns = server_training_ns(server),
        .slot = (uint32_t)scale.exponent, .bytes = (uint64_t)scale.skipped,
    };
    server_send(server, run_main_end(server->run), &message);
}

void server_step_done(struct server *server, const struct message *step)
{
    if (!tally_add(&server->tally, step))
        return;
    server_snapshot_iteration(server);
    server_report_iteration(server);
}

void server_report_iteration(struct server *server)
{
    const struct run *run = server->run;
    int64_t iterations = server->tally.iterations, log_every = run->config.train.log_every, now = door_now_ns();
    int64_t least = run->config.workers.stuck_after_s * 1000000000, usual = 50 * (server_training_ns(server) / iterations);
    server->patience_ns = usual > least ? usual : least;
    if (log_every && iterations % log_every == 0)
        report(server, REPORT_STEP, &server->tally.last);
    if (iterations % run->iterations_per_epoch == 0) {
        struct sums epoch = tally_take_epoch(&server->tally);
        report(server, REPORT_EPOCH, &epoch);
    }
    if (now - server->reported_ns >= PROGRESS_EVERY_NS) {
        struct sums recent = tally_take_recent(&server->tally);
        server->reported_ns = now;
        report(server, REPORT_PROGRESS, &recent);
    }
}

void server_report_rest(struct server *server)
{
    struct sums rest = tally_take_epoch(&server->tally);
    if (rest.samples)
        report(server, REPORT_EPOCH, &rest);
}

void server_report_end(struct server *server)
{
    server_report_rest(server);
    report(server, REPORT_FINISHED, &(struct sums){ 0 });
}
