/* See metrics.h. */
#include "trainer/metrics.h"

#include "base/door.h"
#include "base/file.h"
#include "base/list.h"
#include "trainer/loss_scale.h"
#include "trainer/message.h"

#include <errno.h>
#include <string.h>

static const char header[] = "kind,epoch,iteration,samples,lr,train_loss,train_accuracy,test_loss,test_accuracy,test_top5,images_per_s,seconds,loss_scale,skipped\n";

static int append(struct metrics *metrics, const char *text, size_t n, struct error *error)
{
    metrics->newest.bytes += (int64_t)n;
    return file_append(metrics->fd, metrics->path, text, n, error);
}

static void begin(struct metrics *metrics, const char *path, const struct schedule *schedule, int64_t global_batch)
{
    memset(metrics, 0, sizeof *metrics);
    metrics->schedule = schedule;
    metrics->global_batch = global_batch;
    metrics->newest.best_iteration = -1;
    snprintf(metrics->path, sizeof metrics->path, "%s", path);
}

int metrics_open(struct metrics *metrics, const char *path, const struct schedule *schedule, int64_t global_batch, struct error *error)
{
    begin(metrics, path, schedule, global_batch);
    metrics->fd = door_open_new(path);
    if (metrics->fd < 0)
        return fail_errno(error, EXIT_OUTPUT, errno, "%s: cannot create", path);
    return append(metrics, header, sizeof header - 1, error);
}

static int write_resumed(struct metrics *metrics, int64_t iteration, struct error *error)
{
    char text[128];
    int n = snprintf(text, sizeof text, "resumed_from,%.6g,%lld,%lld,,,,,,,,%.3f,,\n", (double)iteration / (double)metrics->schedule->iterations_per_epoch, (long long)iteration,
                     (long long)(iteration * metrics->global_batch), metrics->newest.seconds);
    return append(metrics, text, (size_t)n, error);
}

int metrics_resume(struct metrics *metrics, const char *path, const struct schedule *schedule, int64_t global_batch, const struct metrics_mark *mark, int64_t iteration, bool *whole,
                   struct error *error)
{
    begin(metrics, path, schedule, global_batch);
    metrics->newest = *mark;
    metrics->began_seconds = mark->seconds;
    metrics->fd = door_open_append(path);
    if (metrics->fd < 0)
        return fail_errno(error, EXIT_OUTPUT, errno, "%s: cannot open", path);
    int64_t bytes = door_file_bytes(metrics->fd);
    *whole = mark->bytes >= 0 && bytes >= mark->bytes;
    metrics->newest.bytes = *whole ? mark->bytes : bytes;
    if (bytes < 0 || (*whole && door_truncate(metrics->fd, mark->bytes)))
        return fail_errno(error, EXIT_OUTPUT, errno, "%s: cannot cut to %lld bytes", path, (long long)mark->bytes);
    if (metrics->newest.bytes == 0 && append(metrics, header, sizeof header - 1, error))
        return -1;
    return write_resumed(metrics, iteration, error);
}

double metrics_rate(const struct metrics *metrics, int i)
{
    /* back to the end of the epoch before: rows of evaluations alone lie between */
    int before = i - 1;
    while (before >= 0 && !metrics->epochs[before].trained)
        before--;
    double seconds = metrics->epochs[i].seconds - (before < 0 ? metrics->began_seconds : metrics->epochs[before].seconds);
    return seconds > 0 ? (double)metrics->epochs[i].samples / seconds : 0;
}

/* ",,", or in fp16 ",65536,3". */
static void scale_columns(const struct metrics *metrics, double scale, int64_t skipped, char text[64])
{
    snprintf(text, 64, ",,");
    if (loss_scale_is_used(metrics->schedule->config))
        snprintf(text, 64, ",%.9g,%lld", scale, (long long)skipped);
}

static int write_row(struct metrics *metrics, int i, struct error *error)
{
    const struct epoch *row = &metrics->epochs[i];
    char text[512], train[128] = ",", test[128] = ",,", rate[32] = "", scale[64] = ",,";
    if (row->trained) {
        scale_columns(metrics, row->loss_scale, row->skipped, scale);
        snprintf(train, sizeof train, "%.9g,%.9g", row->train_loss, row->train_accuracy);
        snprintf(rate, sizeof rate, "%.1f", metrics_rate(metrics, i));
    }
    if (row->evaluated)
        snprintf(test, sizeof test, "%.9g,%.9g,%.9g", row->test_loss, row->test_accuracy, row->test_top5);
    int n = snprintf(text, sizeof text, "epoch,%.6g,%lld,%lld,%.9g,%s,%s,%s,%.3f%s\n", (double)row->iteration / (double)metrics->schedule->iterations_per_epoch,
                     (long long)row->iteration, (long long)(row->iteration * metrics->global_batch), (double)schedule_rate(metrics->schedule, row->iteration - 1), train, test, rate, row->seconds, scale);
    return append(metrics, text, (size_t)n, error);
}

static int write_step(struct metrics *metrics, const struct message *report, struct error *error)
{
    char text[256], scale[64];
    scale_columns(metrics, (double)loss_scale_value(report->slot), (int64_t)report->bytes, scale);
    int n = snprintf(text, sizeof text, "step,%.6g,%lld,%lld,%.9g,%.9g,%.9g,,,,,%.3f%s\n", (double)report->iteration / (double)metrics->schedule->iterations_per_epoch,
                     (long long)report->iteration, (long long)(report->iteration * metrics->global_batch), (double)schedule_rate(metrics->schedule, report->iteration - 1),
                     bits_double(report->value), bits_double(report->spare), (double)report->sent_ns / 1e9, scale);
    return append(metrics, text, (size_t)n, error);
}

/* The row of that iteration, in order; training's and evaluation's reports of one iteration come in either order. */
static struct epoch *row_of(struct metrics *metrics, int64_t iteration, struct error *error)
{
    void *epochs = metrics->epochs;
    int i = metrics->n;
    while (i > metrics->written && metrics->epochs[i - 1].iteration > iteration)
        i--;
    if (i > metrics->written && metrics->epochs[i - 1].iteration == iteration)
        return &metrics->epochs[i - 1];
    if (list_grow(&epochs, metrics->n, &metrics->room, sizeof *metrics->epochs, "the table of epochs", error))
        return NULL;
    metrics->epochs = epochs;
    memmove(&metrics->epochs[i + 1], &metrics->epochs[i], (size_t)(metrics->n - i) * sizeof *metrics->epochs);
    metrics->n++;
    metrics->epochs[i] = (struct epoch){ .iteration = iteration };
    return &metrics->epochs[i];
}

/* Rows before the last one are whole: reports of later iterations have come. */
static int write_rows(struct metrics *metrics, int end, struct error *error)
{
    for (; metrics->written < end; metrics->written++)
        if (write_row(metrics, metrics->written, error))
            return -1;
    return 0;
}

int metrics_mark(struct metrics *metrics, struct metrics_mark *mark, struct error *error)
{
    if (write_rows(metrics, metrics->n, error))
        return -1;
    if (door_sync(metrics->fd))
        return fail_errno(error, EXIT_OUTPUT, errno, "%s: cannot sync", metrics->path);
    *mark = metrics->newest;
    return 0;
}

int metrics_take(struct metrics *metrics, const struct message *report, struct error *error)
{
    if (report->kind == REPORT_STEP)
        return write_step(metrics, report, error);
    struct epoch *row = row_of(metrics, report->iteration, error);
    if (!row)
        return -1;
    row->seconds = (double)report->sent_ns / 1e9;
    if (report->kind == REPORT_EPOCH) {
        row->trained = true;
        row->samples = report->version;
        row->train_loss = bits_double(report->value);
        row->train_accuracy = bits_double(report->spare);
        row->loss_scale = (double)loss_scale_value(report->slot);
        row->skipped = (int64_t)report->bytes;
        metrics->newest.seconds = row->seconds;
    } else {
        double samples = (double)report->bytes;
        row->evaluated = true;
        row->test_loss = bits_double(report->value);
        row->test_accuracy = (double)report->spare / samples;
        row->test_top5 = (double)report->version / samples;
        if (metrics->newest.best_iteration < 0 || row->test_accuracy > metrics->newest.best_accuracy) {
            metrics->newest.best_accuracy = row->test_accuracy;
            metrics->newest.best_iteration = row->iteration;
        }
    }
    return write_rows(metrics, row->trained && row->evaluated ? (int)(row - metrics->epochs) + 1 : metrics->n - 2, error);
}

int metrics_close(struct metrics *metrics, struct error *error)
{
    int result = write_rows(metrics, metrics->n, error);
    if (result == 0 && door_sync(metrics->fd))
        result = fail_errno(error, EXIT_OUTPUT, errno, "%s: cannot sync", metrics->path);
    int fd = metrics->fd;
    metrics->fd = -1;
    if (door_close(fd) && result == 0)
        result = fail_errno(error, EXIT_OUTPUT, errno, "%s: cannot close", metrics->path);
    return result;
}

void metrics_release(struct metrics *metrics)
{
    if (*metrics->path && metrics->fd >= 0)
        door_close(metrics->fd);
    door_free(metrics->epochs);
    memset(metrics, 0, sizeof *metrics);
    metrics->fd = -1;
}
