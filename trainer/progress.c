/* See progress.h. */
#include "trainer/progress.h"

#include "base/text.h"
#include "trainer/epoch_table.h"
#include "trainer/loss_scale.h"
#include "trainer/message.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int terminal_columns(int fd)
{
    struct winsize size;
    return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : TEXT_COLUMNS;
}

void progress_open(struct progress *progress, const struct schedule *schedule, int64_t global_batch)
{
    char header[EPOCH_ROW];
    *progress = (struct progress){ .live = isatty(STDERR_FILENO), .schedule = schedule, .global_batch = global_batch };
    progress->columns = isatty(STDOUT_FILENO) ? terminal_columns(STDOUT_FILENO) : TEXT_COLUMNS;
    epoch_table_header(header, progress->columns);
    puts(header);
    fflush(stdout);
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

enum field { FIELD_BAR = 1, FIELD_RATE = 2, FIELD_LOSS = 4, FIELD_ACCURACY = 8, FIELD_SCALE = 16, FIELD_EPOCH = 32,
    FIELDS = 63 };

static void add_bar(struct text *text, double done)
{
    enum { BAR = 16 };
    text_add(text, "[");
    for (int i = 0; i < BAR; i++)
        text_add(text, "%c", i < (int)(done * BAR) ? '=' : i == (int)(done * BAR) ? '>' : ' ');
    text_add(text, "] ");
}

static void write_fields(char line[PROGRESS_LINE], unsigned fields, const struct live *live)
{
    struct text text;
    char number[32], left[32];
    text_begin(&text, line, PROGRESS_LINE);
    write_duration(live->seconds_left, left, sizeof left);
    if (fields & FIELD_BAR)
        add_bar(&text, live->epochs > 0 ? live->epoch / live->epochs : 0);
    if (fields & FIELD_EPOCH)
        text_add(&text, "epoch %.1f of %.4g, ", live->epoch, live->epochs);
    if (fields & FIELD_RATE)
        text_add(&text, "%s images/s, ", grouped((int64_t)live->rate, number));
    if (fields & FIELD_LOSS)
        text_add(&text, "loss %.4f, ", live->loss);
    if (fields & FIELD_ACCURACY)
        text_add(&text, "accuracy %.2f %%, ", 100 * live->accuracy);
    if (fields & FIELD_SCALE && live->scale)
        text_add(&text, "%s, ", live->scale);
    text_add(&text, "%s left", left);
}

void progress_write(char line[PROGRESS_LINE], int columns, const struct live *live)
{
    static const unsigned first_to_go[] = { FIELD_BAR, FIELD_SCALE, FIELD_ACCURACY, FIELD_RATE, FIELD_LOSS,
        FIELD_EPOCH };
    unsigned fields = FIELDS;
    write_fields(line, fields, live);
    for (size_t i = 0; i < sizeof first_to_go / sizeof *first_to_go && (int)strlen(line) > columns; i++) {
        fields &= ~first_to_go[i];
        write_fields(line, fields, live);
    }
    if ((int)strlen(line) > columns)
        line[columns > 0 ? columns : 0] = 0;
}

/* A line that fills the terminal's last column would wrap on some, and could not be written over then. */
static void show(const struct progress *progress)
{
    fprintf(stderr, "\r\033[K%s", progress->line);
    fflush(stderr);
}

static void hide(const struct progress *progress)
{
    if (*progress->line)
        fprintf(stderr, "\r\033[K");
}

static void show_live(struct progress *progress, const struct message *report)
{
    const struct schedule *schedule = progress->schedule;
    double seconds = (double)report->sent_ns / 1e9, done = (double)report->iteration / (double)schedule->iterations;
    char scale[64];
    struct live live = {
        .epoch = (double)report->iteration / (double)schedule->iterations_per_epoch,
        .epochs = (double)schedule->iterations / (double)schedule->iterations_per_epoch,
        .rate = seconds > 0 ? (double)(report->iteration * progress->global_batch) / seconds : 0,
        .loss = bits_double(report->value), .accuracy = bits_double(report->spare),
        .seconds_left = done > 0 ? seconds * (1 - done) / done : 0,
    };
    if (loss_scale_is_used(schedule->config)) {
        snprintf(scale, sizeof scale, "scale 2^%u, %lld skipped", report->slot, (long long)report->bytes);
        live.scale = scale;
    }
    progress_write(progress->line, terminal_columns(STDERR_FILENO) - 1, &live);
    show(progress);
}

static void print_rows(struct progress *progress, const struct metrics *metrics, int end)
{
    char line[EPOCH_ROW];
    if (progress->printed >= end)
        return;
    hide(progress);
    for (; progress->printed < end; progress->printed++) {
        epoch_table_row(line, progress->columns, metrics, progress->printed);
        puts(line);
    }
    fflush(stdout);
    if (*progress->line)
        show(progress);
}

void progress_report(struct progress *progress, const struct message *report, const struct metrics *metrics)
{
    if (progress->live && report->kind == REPORT_PROGRESS)
        show_live(progress, report);
    print_rows(progress, metrics, metrics->written);
}

void progress_close(struct progress *progress, const struct metrics *metrics)
{
    hide(progress);
    *progress->line = 0;
    print_rows(progress, metrics, metrics->n);
}
