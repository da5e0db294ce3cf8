/* See progress.h. */
#include "trainer/progress.h"

#include "trainer/loss_scale.h"
#include "trainer/message.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

void progress_open(struct progress *progress, const struct schedule *schedule, int64_t global_batch)
{
    *progress = (struct progress){ .live = isatty(STDERR_FILENO), .schedule = schedule, .global_batch = global_batch };
}

const char *grouped(int64_t n, char text[32])
{
    char plain[32];
    int digits = snprintf(plain, sizeof plain, "%lld", (long long)n), used = 0;
    for (int i = 0; i < digits; i++) {
        if (i && (digits - i) % 3 == 0 && plain[i - 1] != '-')
            text[used++] = ',';
        text[used++] = plain[i];
    }
    text[used] = 0;
    return text;
}

static void write_duration(double seconds, char *text, size_t bytes)
{
    long s = (long)(seconds + 0.5);
    if (s < 120)
        snprintf(text, bytes, "%ld s", s);
    else if (s < 7200)
        snprintf(text, bytes, "%ld min %02ld s", s / 60, s % 60);
    else
        snprintf(text, bytes, "%ld h %02ld min", s / 3600, s / 60 % 60);
}

static int terminal_columns(void)
{
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
}

static void show_live(struct progress *progress, const struct message *report)
{
    enum { BAR = 16 };
    const struct schedule *schedule = progress->schedule;
    double seconds = (double)report->sent_ns / 1e9, done = (double)report->iteration / (double)schedule->iterations;
    double rate = seconds > 0 ? (double)(report->iteration * progress->global_batch) / seconds : 0;
    char left[32], number[32], bar[BAR + 1], line[256], scale[64] = "";
    write_duration(done > 0 ? seconds * (1 - done) / done : 0, left, sizeof left);
    for (int i = 0; i < BAR; i++)
        bar[i] = i < (int)(done * BAR) ? '=' : i == (int)(done * BAR) ? '>' : ' ';
    bar[BAR] = 0;
    if (loss_scale_is_used(schedule->config))
        snprintf(scale, sizeof scale, "scale 2^%u, %lld skipped, ", report->slot, (long long)report->bytes);
    snprintf(line, sizeof line, "epoch %.1f of %.4g [%s] %s images/s, loss %.4f, accuracy %.2f %%, %s%s left", (double)report->iteration / (double)schedule->iterations_per_epoch,
             (double)schedule->iterations / (double)schedule->iterations_per_epoch, bar, grouped((int64_t)rate, number), bits_double(report->value), 100 * bits_double(report->spare), scale, left);
    fprintf(stderr, "\r\033[K%.*s", terminal_columns() - 1, line); /* a line that wraps could not be written over */
    fflush(stderr);
    progress->shown = true;
}

static void print_row(const struct progress *progress, const struct metrics *metrics, int i)
{
    const struct epoch *row = &metrics->epochs[i];
    char number[32];
    printf("epoch %.4g: iteration %lld", (double)row->iteration / (double)progress->schedule->iterations_per_epoch, (long long)row->iteration);
    if (row->trained)
        printf(", train loss %.4f, accuracy %.2f %%, %s images/s", row->train_loss, 100 * row->train_accuracy, grouped((int64_t)metrics_rate(metrics, i), number));
    if (row->trained && loss_scale_is_used(progress->schedule->config))
        printf(", loss scale %g, %lld skipped", row->loss_scale, (long long)row->skipped);
    if (row->evaluated)
        printf(", test loss %.4f, accuracy %.2f %%", row->test_loss, 100 * row->test_accuracy);
    printf("\n");
    fflush(stdout);
}

static void print_rows(struct progress *progress, const struct metrics *metrics, int end)
{
    for (; !progress->live && progress->printed < end; progress->printed++)
        print_row(progress, metrics, progress->printed);
}

void progress_report(struct progress *progress, const struct message *report, const struct metrics *metrics)
{
    if (progress->live && report->kind == REPORT_PROGRESS)
        show_live(progress, report);
    print_rows(progress, metrics, metrics->written);
}

void progress_close(struct progress *progress, const struct metrics *metrics)
{
    if (progress->shown)
        fprintf(stderr, "\r\033[K");
    print_rows(progress, metrics, metrics->n);
}
