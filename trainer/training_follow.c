/* What main does while a run trains: see training.h. */
#include "trainer/training.h"

#include "base/door.h"
#include "trainer/message.h"
#include "trainer/signals.h"

#include <stdio.h>
#include <string.h>

struct weights_metadata training_metadata(const struct training *training, const char *config)
{
    return (struct weights_metadata){ .config = config, .classes = training->test.class_names };
}

static int write_checkpoint(struct training *training, struct error *error)
{
    struct written *written = &training->written;
    const struct weights_metadata about = training_metadata(training, training->about_run);
    char path[CHECKPOINT_PATH];
    int64_t began = door_now_ns();
    uint64_t bytes;
    if (checkpoint_write(training->folder.path, training->run, &about, &training->mark, path, &bytes, error))
        return -1;
    snprintf(written->last, sizeof written->last, "%s", path);
    if (checkpoint_prune(training->folder.path, training->config.checkpoint.keep, error))
        return -1;
    written->n++;
    written->bytes = bytes;
    written->ns += door_now_ns() - began;
    return 0;
}

static void take_snapshot(struct training *training, struct error *error)
{
    struct run *run = training->run;
    if (!error->code)
        write_checkpoint(training, error);
    /* release; pairs with the server's acquire: it may be written over */
    atomic_store_explicit(&run->snapshot->busy, false, memory_order_release);
    run->transport.calls->wake(&run->transport, run_server_end(run));
}

static void take_report(struct training *training, const struct message *report, struct error *error)
{
    if (report->kind == REPORT_SNAPSHOT)
        take_snapshot(training, error);
    else if (report->kind == REPORT_MARK && !error->code)
        metrics_mark(&training->metrics, &training->mark, error);
    else if (report->kind != REPORT_PROGRESS && !error->code)
        metrics_take(&training->metrics, report, error);
    progress_report(&training->progress, report, &training->metrics);
}

void training_follow(struct training *training, struct error *error)
{
    struct run *run = training->run;
    struct transport *transport = &run->transport;
    struct message report;
    bool asked = false;
    for (;;) {
        if (!asked && (signals_caught() || error->code)) {
            asked = true;
            run_ask_stop(run);
        }
        if (!transport->calls->receive(transport, run_main_end(run), &report)) {
            transport->calls->wait(transport, run_main_end(run), door_now_ns() + 100000000);
            server_watch(run->server);
            continue;
        }
        if (report.kind == REPORT_FINISHED)
            return;
        take_report(training, &report, error);
    }
}
